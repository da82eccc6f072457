/** @file Reductions, normalisations and products over axes. */
import { CannotConvert, rankOf, type Emitter } from '../emitter.js';
import { axisIn, type Flow, type Stated } from '../flow.js';
import { activated, type Activation } from './activation.js';
import { kernelIn, biasOf } from './windows.js';

/** An ONNX Reduce* operator at opset 18. Both spatial axes of a picture at once stay channels first. */
export function reduce(e: Emitter, out: Stated, op: string, x: Flow, axes: readonly number[], keepDims: boolean): Flow {
  const rank = rankOf(x);
  const given = axes.map((axis) => (axis < 0 ? axis + rank : axis));
  const first = e.layoutOf(x) === 'channelsFirst';
  // Without the reduced axes, the others keep the file's order only if no spatial one is left beside the channels.
  const left = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => !given.includes(axis));
  const spatialLeft = left.some((axis) => axis > 0 && axis < rank - 1) && left.includes(rank - 1);
  const layout = first && (keepDims || !spatialLeft) ? 'channelsFirst' : 'stated';
  const placed = given.map((axis) => axisIn(layout, axis, rank)).sort((a, b) => a - b);
  const name = e.op(op, [e.real(x, layout), e.builder.int64s(placed)], { keepdims: keepDims ? 1 : 0 });
  return e.result(out, name, keepDims ? layout : 'stated');
}

/** ONNX Softmax-13 and LogSoftmax-13 over the last axis of `beta × x`. */
export function softmax(e: Emitter, out: Stated, op: 'Softmax' | 'LogSoftmax', x: Flow, beta = 1, axis = -1): Flow {
  const rank = rankOf(x);
  const layout = rank >= 3 ? e.layoutOf(x) : 'stated';
  const given = e.real(x, layout);
  const scaled = beta === 1 ? given : e.op('Mul', [given, e.builder.scalar(beta)]);
  return e.result(out, e.op(op, [scaled], { axis: axisIn(layout, axis, rank) }), layout);
}

/** x / max(‖x‖₂, ε) over the last axis. */
export function l2Normalise(e: Emitter, out: Stated, x: Flow, epsilon = 1e-6): Flow {
  const rank = rankOf(x);
  const layout = rank >= 3 ? e.layoutOf(x) : 'stated';
  const given = e.real(x, layout);
  const norm = e.op('ReduceL2', [given, e.builder.int64s([axisIn(layout, -1, rank)])], { keepdims: 1 });
  return e.result(out, e.op('Div', [given, e.op('Max', [norm, e.builder.scalar(epsilon)])]), layout);
}

/** ONNX LRN-13 over the channels; TensorFlow's alpha counts per element. */
export function localResponse(
  e: Emitter,
  out: Stated,
  x: Flow,
  radius: number,
  bias: number,
  alpha: number,
  beta: number,
): Flow {
  const size = 2 * radius + 1;
  const name = e.op('LRN', [e.real(x, 'channelsFirst')], {
    size,
    alpha: e.float(alpha * size),
    beta: e.float(beta),
    bias: e.float(bias),
  });
  return e.result(out, name, 'channelsFirst');
}

/** A dense layer's parts: weights [output, input] (`order` [0, 1]) or [input, output] ([1, 0]). */
export interface Dense {
  readonly weights: Flow;
  readonly order: readonly [number, number];
  readonly bias: Flow | undefined;
  readonly activation: Activation;
}

/** x · Wᵀ + b: ONNX Gemm-13 on matrices, MatMul-13 on more axes. */
export function dense(e: Emitter, out: Stated, x: Flow, d: Dense): Flow {
  const bias = d.bias && biasOf(e, d.bias);
  if (x.shape?.length === 2) {
    const name = e.op('Gemm', [e.real(x), kernelIn(e, d.weights, d.order), bias], { transB: 1 });
    return activated(e, out, name, 'stated', d.activation);
  }
  const product = e.op('MatMul', [e.real(x), kernelIn(e, d.weights, [d.order[1], d.order[0]])]);
  return activated(e, out, bias === undefined ? product : e.op('Add', [product, bias]), 'stated', d.activation);
}

/** ONNX MatMul-13 with either operand's last axes swapped first. */
export function matmul(e: Emitter, out: Stated, a: Flow, b: Flow, swapA: boolean, swapB: boolean): Flow {
  return e.result(out, e.op('MatMul', [swapped(e, a, swapA), swapped(e, b, swapB)]), 'stated');
}

function swapped(e: Emitter, x: Flow, swap: boolean): string {
  if (!swap) return e.real(x);
  const rank = rankOf(x);
  if (rank < 2) throw new CannotConvert('a matrix product of a vector');
  const order = Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
  return x.constant ? kernelIn(e, x, order) : e.op('Transpose', [e.real(x)], { perm: order });
}
