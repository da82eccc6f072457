/**
 * @file Straight-through gradients of quantisation. A quantised value carries the gradient of the real number that it stands
 * for, in floating point, so that scales learn as well (LSQ, arXiv 1902.08153, without its gradient scaling).
 */
import { intOf, type DataType } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { Arith } from './arith.js';
import { fromFront, range, reshape, reshapeLike } from './shaping.js';

/** Least and greatest integer of the types that values are rounded to. */
const RANGES: Readonly<Partial<Record<DataType, readonly [number, number]>>> = {
  int4: [-8, 7],
  uint4: [0, 15],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
};

/** A scale or zero point as it applies to x: one number, or one per slice of an axis. */
function spread(c: VjpContext, x: string, parameter: string): { value: string; axis: number | undefined } {
  const rank = c.shape(x).length;
  const own = c.shape(parameter);
  if (intOf(c.node, 'block_size', 0) !== 0 || own.length > 1) c.refuse('its scale is per block');
  if (own.length === 0 || own[0] === 1) return { value: parameter, axis: undefined };
  const axis = fromFront(intOf(c.node, 'axis', 1), rank);
  return { value: reshape(c, parameter, [-1, ...range(rank - 1 - axis).map(() => 1)]), axis };
}

/** Sums what flows to each element of x down to the scale. */
function toScale(c: VjpContext, e: Arith, full: string, rank: number, axis: number | undefined, scale: string): string {
  const axes = range(rank).filter((other) => other !== axis);
  return reshapeLike(c, e.sum(full, axes, 0), scale);
}

/** QuantizeLinear-10 … 23: passes where the value was not clipped. */
const quantize: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const [x, scale, zero] = c.inputs as readonly [string, string, string | undefined];
  const e = new Arith(c.b, c.type(scale).dtype);
  const { dtype } = c.type(c.outputs[0]!);
  const [low, high] = RANGES[dtype] ?? c.refuse(`it rounds to ${dtype}`);
  const { value: step, axis } = spread(c, x, scale);
  const ratio = e.div(x, step);
  const rounded = e.unary('Round', ratio);
  const level = zero === undefined ? rounded : e.add(rounded, e.cast(spread(c, x, zero).value));
  const inside = e.and(e.greaterOrEqual(level, low), e.lessOrEqual(level, high));
  const dx = e.where(inside, e.div(g, step), 0);
  return [
    c.wants(0) ? dx : undefined,
    c.wants(1) ? toScale(c, e, e.neg(e.mul(dx, ratio)), c.shape(x).length, axis, scale) : undefined,
  ];
};

/** DequantizeLinear-10 … 23. */
const dequantize: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const [x, scale, zero] = c.inputs as readonly [string, string, string | undefined];
  const e = new Arith(c.b, c.type(scale).dtype);
  const { value: step, axis } = spread(c, x, scale);
  const levels = (): string => {
    const level = e.cast(x);
    return zero === undefined ? level : e.sub(level, e.cast(spread(c, x, zero).value));
  };
  return [
    c.wants(0) ? e.mul(g, step) : undefined,
    c.wants(1) ? toScale(c, e, e.mul(g, levels()), c.shape(x).length, axis, scale) : undefined,
  ];
};

/** DynamicQuantizeLinear-11: nothing is clipped; the scale that it finds counts as a constant, as PyTorch's observers have it. */
const dynamicQuantize: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const scale = c.outputs[1] ?? c.refuse('its scale output has no name: give it one');
  return [new Arith(c.b, 'float32').div(g, scale)];
};

/** MatMulInteger-10: the matrix product of the levels, whose zero points drop out of the gradient's own operand. */
const matMulInteger: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const e = new Arith(c.b, 'float32');
  const [a, b, aZero, bZero] = c.inputs as readonly [string, string, string | undefined, string | undefined];
  if (c.shape(a).length !== c.shape(b).length && c.shape(b).length !== 2) c.refuse('its operands broadcast');
  if (c.wants(1) && c.shape(a).length !== c.shape(b).length) c.refuse('its right operand broadcasts');
  const turned = (x: string, zero: string | undefined, column: boolean): string => {
    const rank = c.shape(x).length;
    let level = e.cast(x);
    if (zero !== undefined) {
      const perRow = column && c.shape(zero).length === 1 && c.shape(zero)[0] !== 1;
      level = e.sub(level, e.cast(perRow ? reshape(c, zero, [-1, 1]) : zero));
    }
    return c.b.op('Transpose', [level], { perm: [...range(rank - 2), rank - 1, rank - 2] });
  };
  return [
    c.wants(0) ? c.b.op('MatMul', [g, turned(b, bZero, false)]) : undefined,
    c.wants(1) ? c.b.op('MatMul', [turned(a, aZero, true), g]) : undefined,
  ];
};

export const quantisationGradients: Readonly<Record<string, VjpRule>> = {
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
  DynamicQuantizeLinear: dynamicQuantize,
  MatMulInteger: matMulInteger,
  'com.microsoft:QuantizeLinear': quantize,
  'com.microsoft:DequantizeLinear': dequantize,
};
