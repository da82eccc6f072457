/** @file Bringing gradients into the shape of what they are the gradient of; symbolic dims are kept symbolic. */
import { equalDims, Tensor, type Dim, type Shape } from '../../ir/index.js';
import type { EmitContext } from '../record.js';
import { Arith } from './arith.js';

/** The arithmetic of the type that input `i` (0 where omitted) has. */
export function arithOf(c: EmitContext, i = 0): Arith {
  return new Arith(c.b, c.type(c.inputs[i]!).dtype);
}

/** An axis counted from the front; the axis attribute of ONNX may count from the back. */
export function fromFront(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** 0, 1 … n−1. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** The dims as numbers; refuses the node where one is not. `what` names the dims in the message. */
export function needStatic(c: EmitContext, dims: Shape, what: string): readonly number[] {
  return dims.map((dim) =>
    typeof dim === 'number' ? dim : c.refuse(`${what} must be known, but it holds '${dim ?? '?'}'`),
  );
}

/** A value's shape as an int64 vector at run time, or as a constant where every dim is known. */
export function shapeValue(c: EmitContext, value: string): string {
  const shape = c.shape(value);
  return shape.every((dim) => typeof dim === 'number') ? c.b.int64s(shape) : c.b.op('Shape', [value]);
}

/** One dim of a forward value as an int64 vector of length 1. */
export function dimValue(c: EmitContext, value: string, axis: number): string {
  const dim = c.shape(value)[axis];
  return typeof dim === 'number' ? c.b.int64s([dim]) : c.b.op('Shape', [value], { start: axis, end: axis + 1 });
}

/** Reshapes to known dims, of which one may be −1 (and 0 copies, as in ONNX). */
export function reshape(c: EmitContext, value: string, dims: readonly number[]): string {
  return c.b.op('Reshape', [value, c.b.int64s(dims)]);
}

/** Reshapes to the shape of the forward value `like`. One unknown dim needs no run-time shape. */
export function reshapeLike(c: EmitContext, value: string, like: string): string {
  const shape = c.shape(like);
  const unknown = shape.filter((dim) => typeof dim !== 'number').length;
  if (!shape.includes(0) && unknown <= 1)
    return reshape(
      c,
      value,
      shape.map((dim) => (typeof dim === 'number' ? dim : -1)),
    );
  return c.b.op('Reshape', [value, shapeValue(c, like)], { allowzero: 1 });
}

/** Broadcasts up to the shape of the forward value `like`. */
export function expandLike(c: EmitContext, value: string, like: string): string {
  return c.b.op('Expand', [value, shapeValue(c, like)]);
}

/** Zeros in the shape and type of the forward value `like`. */
export function zerosLike(c: EmitContext, like: string): string {
  const { dtype } = c.type(like);
  if (dtype === 'float32' || dtype === 'float64')
    return c.b.op('ConstantOfShape', [shapeValue(c, like)], { value: Tensor.of(dtype, [1], [0]) });
  return expandLike(c, new Arith(c.b, dtype).scalar(0), like);
}

/**
 * Sums `grad`, which has the shape `from` (a broadcast result), down to the forward value `to`, so that it has exactly
 * its shape. Axes whose broadcasting cannot be told from the symbols are decided at run time.
 */
export function reduceTo(c: EmitContext, grad: string, from: Shape, to: string): string {
  const target = c.shape(to);
  const extra = from.length - target.length;
  const axes = range(Math.max(extra, 0));
  let unclear = false;
  target.forEach((dim, axis) => {
    const whole = from[axis + extra]!;
    if (equalDims(dim, whole)) return;
    if (dim === 1) axes.push(axis + extra);
    // A number above 1 equals the broadcast dim in any run that succeeds.
    else if (typeof dim !== 'number') unclear = true;
  });
  if (unclear) return reduceAtRunTime(c, grad, to, extra);
  if (axes.length === 0) return grad;
  const summed = c.b.op('ReduceSum', [grad, c.b.int64s(axes)], { keepdims: extra > 0 ? 0 : 1 });
  const left = from.length - axes.length;
  return extra > 0 && left !== target.length ? reshapeLike(c, summed, to) : summed;
}

/** Sums over the axes where `to` has size 1, found at run time: ReduceSum with no axes is a no-op there. */
function reduceAtRunTime(c: EmitContext, grad: string, to: string, extra: number): string {
  const { b } = c;
  const shape = b.op('Shape', [to]);
  const padded = extra > 0 ? b.op('Concat', [b.int64s(range(extra).map(() => 1)), shape], { axis: 0 }) : shape;
  const single = b.op('Equal', [padded, b.int64s([1])]);
  const axes = b.op('Reshape', [b.op('NonZero', [single]), b.int64s([-1])]);
  const summed = b.op('ReduceSum', [grad, axes], { keepdims: 1, noop_with_empty_axes: 1 });
  return b.op('Reshape', [summed, shape], { allowzero: 1 });
}

/** Per-channel values [C] shaped to broadcast against [N, C, …] of this rank. */
export function perChannel(c: EmitContext, value: string, rank: number): string {
  return rank <= 2 ? value : reshape(c, value, [-1, ...range(rank - 2).map(() => 1)]);
}

/** Number of elements along `axes` of a forward value as a scalar of its type; a number where all dims are known. */
export function countAlong(c: EmitContext, value: string, axes: readonly number[]): string | number {
  const shape = c.shape(value);
  const dims: Dim[] = axes.map((axis) => shape[axis]!);
  if (dims.every((dim) => typeof dim === 'number')) return dims.reduce<number>((product, dim) => product * dim, 1);
  const picked = c.b.op('Gather', [c.b.op('Shape', [value]), c.b.int64s(axes)]);
  const product = c.b.op('ReduceProd', [picked], { keepdims: 0 });
  return new Arith(c.b, c.type(value).dtype).cast(product);
}
