/** @file Gradient of Slice: zeros around what was taken, with bounds known beforehand or worked out at run time. */
import type { VjpContext, VjpRule } from '../record.js';
import { back } from './movement.js';
import { placeAlong } from './scatter.js';
import { dimValue, fromFront, range } from './shaping.js';

/** One sliced axis; bounds that are computed at run time are `undefined`. */
interface Cut {
  readonly axis: number;
  /** Place in the lists of bounds. */
  readonly at: number;
  readonly start: number | undefined;
  readonly end: number | undefined;
  readonly step: number | undefined;
}

function cutsOf(c: VjpContext): readonly Cut[] {
  const [x, , , axesInput, stepsInput] = c.inputs;
  const rank = c.shape(x!).length;
  const [starts, ends] = [1, 2].map((i) => c.constant(c.inputs[i])?.numbers());
  const count = starts?.length ?? ends?.length ?? c.shape(c.inputs[1]!)[0];
  if (typeof count !== 'number') c.refuse('the number of its axes is not known');
  const axes =
    axesInput === undefined
      ? range(count)
      : (c.constant(axesInput)?.numbers() ?? c.refuse('its axes are computed at run time'));
  const steps = stepsInput === undefined ? range(count).map(() => 1) : c.constant(stepsInput)?.numbers();
  return axes.map((axis, at) => ({
    axis: fromFront(axis, rank),
    at,
    start: starts?.[at],
    end: ends?.[at],
    step: steps?.[at],
  }));
}

/** The indices along an axis of size `dim` that a cut picks, in its order (ONNX Slice-13 clamping). */
function picked(start: number, end: number, step: number, dim: number): readonly number[] {
  const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
  const from = start < 0 ? start + dim : start;
  const to = end < 0 ? end + dim : end;
  const [first, last] =
    step > 0 ? [clamp(from, 0, dim), clamp(to, 0, dim)] : [clamp(from, 0, dim - 1), clamp(to, -1, dim - 1)];
  const indices: number[] = [];
  for (let i = first; step > 0 ? i < last : i > last; i += step) indices.push(i);
  return indices;
}

/** Slice: the gradient stands where the elements were taken from, with zeros around. */
const slice = back((c, g) => {
  const x = c.inputs[0]!;
  const shape = c.shape(x);
  const pads = { begin: shape.map(() => 0), end: shape.map(() => 0) };
  let result = g;
  for (const cut of cutsOf(c)) {
    const { axis, start, end, step } = cut;
    const dim = shape[axis]!;
    if (typeof dim !== 'number' || start === undefined || end === undefined || step === undefined) {
      result = atRunTime(c, result, x, cut);
      continue;
    }
    const indices = picked(start, end, step, dim);
    if (step === 1 && indices.length > 0) {
      pads.begin[axis] = indices[0]!;
      pads.end[axis] = dim - indices[0]! - indices.length;
    } else result = placed(c, result, axis, indices, dim);
  }
  const total = [...pads.begin, ...pads.end];
  return total.every((pad) => pad === 0)
    ? result
    : c.b.op('Pad', [result, c.b.int64s(total)], {}, { name: 'grad_slice' });
});

/**
 * Puts element k of an axis at distinct position `indices[k]` of an axis of size `dim`, zeros elsewhere: each position
 * picks its element, or a row of zeros that is appended for the purpose.
 */
export function placed(c: VjpContext, value: string, axis: number, indices: readonly number[], dim: number): string {
  const rank = c.shape(c.inputs[0]!).length;
  const source = new Array<number>(dim).fill(indices.length);
  indices.forEach((position, k) => (source[position] = k));
  const pads = new Array<number>(rank * 2).fill(0);
  pads[rank + axis] = 1;
  return c.b.op('Gather', [c.b.op('Pad', [value, c.b.int64s(pads)]), c.b.int64s(source)], { axis });
}

/** One entry of a list of bounds as an int64 vector of length 1. */
function boundValue(c: VjpContext, i: number, known: number | undefined, at: number): string {
  const { b } = c;
  if (known !== undefined) return b.int64s([known]);
  const whole = c.type(c.inputs[i]!).dtype === 'int64' ? c.inputs[i]! : b.op('Cast', [c.inputs[i]], { to: 7 });
  return b.op('Slice', [whole, b.int64s([at]), b.int64s([at + 1]), b.int64s([0])]);
}

/** Undoes a cut whose size or bounds are known at run time alone. A step of 1 needs padding, another one an addition. */
function atRunTime(c: VjpContext, value: string, x: string, { axis, at, start, end, step }: Cut): string {
  const { b } = c;
  const rank = c.shape(x).length;
  const whole = dimValue(c, x, axis);
  const zero = b.int64s([0]);
  if (step !== 1) {
    const all = b.op('Range', [b.op('Squeeze', [zero]), b.op('Squeeze', [whole]), b.op('Squeeze', [b.int64s([1])])]);
    const steps = boundValue(c, 4, step, at);
    const taken = b.op('Slice', [all, boundValue(c, 1, start, at), boundValue(c, 2, end, at), zero, steps]);
    return placeAlong(c.b, value, rank, axis, taken, whole);
  }
  const length = b.op('Shape', [value], { start: axis, end: axis + 1 });
  const fromEnd = (bound: string): string => b.op('Max', [b.op('Add', [whole, bound]), zero]);
  let begin: string;
  if (start !== undefined) begin = start >= 0 ? b.op('Min', [b.int64s([start]), whole]) : fromEnd(b.int64s([start]));
  else {
    const bound = boundValue(c, 1, undefined, at);
    begin = b.op('Where', [b.op('Less', [bound, zero]), fromEnd(bound), b.op('Min', [bound, whole])]);
  }
  const rest = b.op('Sub', [b.op('Sub', [whole, begin]), length]);
  const zeros = (count: number): string[] => (count === 0 ? [] : [b.int64s(range(count).map(() => 0))]);
  const pads = b.op('Concat', [...zeros(axis), begin, ...zeros(rank - 1), rest, ...zeros(rank - 1 - axis)], {
    axis: 0,
  });
  return b.op('Pad', [value, pads], {}, { name: 'grad_slice' });
}

export const sliceGradients: Readonly<Record<string, VjpRule>> = { Slice: slice };
