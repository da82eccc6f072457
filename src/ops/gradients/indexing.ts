/** @file Gradients of operators that pick elements or put them somewhere: Slice, Gather*, Scatter*, TopK. */
import { intOf, stringOf, type Tensor } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { back } from './movement.js';
import { dimValue, fromFront, range, zerosLike } from './shaping.js';

/** One sliced axis with constant start and step. */
interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** The cuts of a Slice node; refuses bounds that are computed at run time. */
function cutsOf(c: VjpContext): readonly Cut[] {
  const read = (i: number, name: string): readonly number[] | undefined => {
    const input = c.inputs[i];
    if (input === undefined) return undefined;
    const constant: Tensor | undefined = c.constant(input);
    return constant === undefined ? c.refuse(`its ${name} are computed at run time`) : constant.numbers();
  };
  const rank = c.shape(c.inputs[0]!).length;
  const starts = read(1, 'starts') ?? [];
  const ends = read(2, 'ends') ?? [];
  const axes = read(3, 'axes') ?? range(starts.length);
  const steps = read(4, 'steps');
  return starts.map((start, i) => ({ axis: fromFront(axes[i]!, rank), start, end: ends[i]!, step: steps?.[i] ?? 1 }));
}

/** The indices along an axis of size `dim` that a cut picks, in its order (ONNX Slice-13 clamping). */
function picked({ start, end, step }: Cut, dim: number): readonly number[] {
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
    const dim = shape[cut.axis]!;
    if (typeof dim !== 'number') {
      result = padAtRunTime(c, result, x, cut);
      continue;
    }
    const indices = picked(cut, dim);
    if (cut.step === 1 && indices.length > 0) {
      pads.begin[cut.axis] = indices[0]!;
      pads.end[cut.axis] = dim - indices[0]! - indices.length;
    } else result = placed(c, result, cut.axis, indices, dim);
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
function placed(c: VjpContext, value: string, axis: number, indices: readonly number[], dim: number): string {
  const rank = c.shape(c.inputs[0]!).length;
  const source = new Array<number>(dim).fill(indices.length);
  indices.forEach((position, k) => (source[position] = k));
  const pads = new Array<number>(rank * 2).fill(0);
  pads[rank + axis] = 1;
  return c.b.op('Gather', [c.b.op('Pad', [value, c.b.int64s(pads)]), c.b.int64s(source)], { axis });
}

/** Undoes a cut of step 1 along a symbolic axis: the padding is worked out from the run-time sizes. */
function padAtRunTime(c: VjpContext, value: string, x: string, { axis, start, step }: Cut): string {
  const { b } = c;
  if (step !== 1) c.refuse(`it takes every ${step}th element along an axis of unknown size`);
  const rank = c.shape(x).length;
  const whole = dimValue(c, x, axis);
  const length = b.op('Shape', [value], { start: axis, end: axis + 1 });
  const begin =
    start >= 0
      ? b.op('Min', [b.int64s([start]), whole])
      : b.op('Max', [b.op('Add', [whole, b.int64s([start])]), b.int64s([0])]);
  const end = b.op('Sub', [b.op('Sub', [whole, begin]), length]);
  const zeros = (count: number): string[] => (count === 0 ? [] : [b.int64s(range(count).map(() => 0))]);
  const pads = b.op('Concat', [...zeros(axis), begin, ...zeros(rank - 1), end, ...zeros(rank - 1 - axis)], { axis: 0 });
  return b.op('Pad', [value, pads], {}, { name: 'grad_slice' });
}

/** Gather-13: gradients of repeated picks add up. */
const gather = back((c, g) => {
  const { b } = c;
  const x = c.inputs[0]!;
  const indices = c.inputs[1]!;
  const rank = c.shape(x).length;
  const axis = fromFront(intOf(c.node, 'axis', 0), rank);
  const indexRank = c.shape(indices).length;
  const dim = c.shape(x)[axis]!;
  const known = c.constant(indices);
  if (known !== undefined && indexRank <= 1 && typeof dim === 'number') {
    const positions = known.numbers().map((index) => fromFront(index, dim));
    const row = indexRank === 0 ? b.op('Unsqueeze', [g, b.int64s([axis])]) : g;
    if (new Set(positions).size === positions.length) return placed(c, row, axis, positions, dim);
  }
  // ScatterND adds along the first axis: bring the picked axis, and in g the axes of the indices, to the front.
  const others = range(rank).filter((a) => a !== axis);
  const front = [axis, ...others];
  const gRank = rank - 1 + indexRank;
  const gFront = [
    ...range(indexRank).map((i) => i + axis),
    ...range(gRank).filter((a) => a < axis || a >= axis + indexRank),
  ];
  const moved = axis === 0 ? g : b.op('Transpose', [g], { perm: gFront });
  const zeros = axis === 0 ? zerosLike(c, x) : b.op('Transpose', [zerosLike(c, x)], { perm: front });
  const at = b.op('Unsqueeze', [asInt64(c, indices), b.int64s([-1])]);
  const added = b.op('ScatterND', [zeros, at, moved], { reduction: 'add' });
  return axis === 0 ? added : b.op('Transpose', [added], { perm: range(rank).map((a) => front.indexOf(a)) });
});

/** ScatterND takes int64 indices alone. */
function asInt64(c: VjpContext, indices: string): string {
  return c.type(indices).dtype === 'int64' ? indices : c.b.op('Cast', [indices], { to: 7 });
}

const gatherElements = back((c, g) =>
  c.b.op('ScatterElements', [zerosLike(c, c.inputs[0]!), c.inputs[1], g], {
    axis: intOf(c.node, 'axis', 0),
    reduction: 'add',
  }),
);

const gatherNd = back((c, g) => {
  if (intOf(c.node, 'batch_dims', 0) !== 0) c.refuse('it has batch_dims');
  return c.b.op('ScatterND', [zerosLike(c, c.inputs[0]!), c.inputs[1], g], { reduction: 'add' });
});

/** ScatterElements and ScatterND: what was overwritten gets no gradient, what was put there takes it. */
function scatter(op: 'ScatterElements' | 'ScatterND'): VjpRule {
  return (c) => {
    const g = c.grads[0];
    if (g === undefined) return [];
    const reduction = stringOf(c.node, 'reduction', 'none');
    if (reduction !== 'none' && reduction !== 'add') c.refuse(`its reduction is '${reduction}'`);
    const [, indices, updates] = c.inputs as readonly [string, string, string];
    const attributes = op === 'ScatterElements' ? { axis: intOf(c.node, 'axis', 0) } : {};
    return [
      !c.wants(0) ? undefined : reduction === 'add' ? g : c.b.op(op, [g, indices, zerosLike(c, updates)], attributes),
      undefined,
      c.wants(2) ? c.b.op(op === 'ScatterND' ? 'GatherND' : 'GatherElements', [g, indices], attributes) : undefined,
    ];
  };
}

/** TopK-11: the gradient goes back to where the values were found. */
const topK = back((c, g) => {
  const indices = c.outputs[1] ?? c.refuse('its indices output has no name');
  return c.b.op('ScatterElements', [zerosLike(c, c.inputs[0]!), indices, g], { axis: intOf(c.node, 'axis', -1) });
});

export const indexingGradients: Readonly<Record<string, VjpRule>> = {
  Slice: slice,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterElements: scatter('ScatterElements'),
  ScatterND: scatter('ScatterND'),
  TopK: topK,
};
