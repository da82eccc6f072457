/** @file Shape rules of operators that cut, join and pad along axes. */
import {
  addDims,
  ceilDivDims,
  divDims,
  formatShape,
  intOf,
  intsOf,
  maxDims,
  minDims,
  mulDims,
  subDims,
  type Dim,
} from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferRule } from '../record.js';
import {
  axesOf,
  axisOf,
  dimsAt,
  dtypeOf,
  givenAxes,
  hasInput,
  numbersAt,
  sameDim,
  shapeOf,
  single,
  typed,
  unknownDims,
  type RuleTable,
} from './support.js';

/** Beyond this, a bound means "to the end": INT64 and INT32 sentinels. */
const FAR = 2 ** 31 - 1;

/** The position that a slice bound means on an axis walked backwards: negative counts from the end; −1 is before the first. */
function backward(dim: Dim, bound: Dim): Dim {
  if (bound === null) return null;
  const last = subDims(dim, 1);
  if (typeof bound === 'number' && bound >= FAR) return last;
  if (typeof bound === 'number' && bound <= -FAR) return -1;
  return typeof bound === 'number' && bound < 0 ? maxDims(addDims(dim, bound), -1) : minDims(bound, last);
}

/**
 * Number of elements that start:end:step takes from an axis. Positions are clamped only as far as the count needs, so that
 * `[1:-1]` of `n` is `max(n-2, 0)`.
 */
export function sliceLength(dim: Dim, start: Dim, end: Dim, step: Dim): Dim {
  if (step === null || typeof step === 'string') return null;
  // An unknown axis may be empty, or shorter than the bounds say.
  if (dim === null || start === null || end === null) return null;
  if (step < 0) return maxDims(ceilDivDims(subDims(backward(dim, start), backward(dim, end)), -step), 0);
  const toEnd = typeof end === 'number' && end >= FAR;
  if (toEnd && typeof start === 'number' && start < 0) return ceilDivDims(minDims(-start, dim), step);
  const first = typeof start === 'number' && start < 0 ? maxDims(addDims(dim, start), 0) : start;
  const last = toEnd ? dim : typeof end === 'number' && end < 0 ? addDims(dim, end) : minDims(end, dim);
  return maxDims(ceilDivDims(subDims(last, first), step), 0);
}

/** Slice-1 (attributes) and 10 … 13 (inputs). Followed contents are sliced as well. */
const slice: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const dtype = dtypeOf(inputs[0]);
  const fromAttributes = node.attributes.has('starts');
  const starts = fromAttributes ? intsOf(node, 'starts', []) : dimsAt(context, 1);
  const ends = fromAttributes ? intsOf(node, 'ends', []) : dimsAt(context, 2);
  if (x === undefined) return single(dtype, undefined);
  const given = fromAttributes ? intsOf(node, 'axes', undefined) : givenAxes(context, 3);
  const count = starts?.length ?? ends?.length;
  if (given === 'unknown' || (given === undefined && count === undefined)) return single(dtype, unknownDims(x.length));
  const axes = axesOf(node, given ?? Array.from({ length: count! }, (_, axis) => axis), x.length);
  const steps = hasInput(node, 4) && !fromAttributes ? dimsAt(context, 4) : axes.map(() => 1);
  for (const list of [starts, ends, steps])
    if (list && list.length !== axes.length)
      throw new ShapeError(node, `starts, ends, axes and steps differ in length: ${list.length} and ${axes.length}`);
  if (steps?.includes(0)) throw new ShapeError(node, 'a step is 0');
  const shape = [...x];
  axes.forEach((axis, at) => {
    const whole = starts?.[at] === 0 && typeof ends?.[at] === 'number' && ends[at] >= FAR && steps?.[at] === 1;
    if (!whole) shape[axis] = sliceLength(x[axis]!, starts?.[at] ?? null, ends?.[at] ?? null, steps?.[at] ?? null);
  });
  return single(dtype, shape, slicedContents(context.dims(0), x.length, starts, ends, steps));
};

function slicedContents(
  content: readonly Dim[] | undefined,
  rank: number,
  starts: readonly Dim[] | undefined,
  ends: readonly Dim[] | undefined,
  steps: readonly Dim[] | undefined,
): readonly Dim[] | undefined {
  if (!content || rank !== 1 || starts?.length !== 1) return undefined;
  const [start, end, step] = [starts[0]!, ends?.[0], steps?.[0]];
  if (typeof start !== 'number' || typeof end !== 'number' || typeof step !== 'number') return undefined;
  const length = sliceLength(content.length, start, end, step) as number;
  const size = content.length;
  const forward = start < 0 ? Math.max(start + size, 0) : start;
  const first = step > 0 ? forward : (backward(size, start) as number);
  return Array.from({ length }, (_, at) => content[first + at * step]!);
}

/** Concat-4 … 13: all dims but one are equal; that one adds up. */
const concat: InferRule = (context) => {
  const { node, inputs } = context;
  const shapes = inputs.map(shapeOf);
  const dtype = inputs.map(dtypeOf).find((found) => found !== undefined);
  const rank = shapes.find((shape) => shape !== undefined)?.length;
  if (rank === undefined) return single(dtype, undefined);
  const axis = axisOf(node, intOf(node, 'axis', 1), rank);
  const shape = Array<Dim>(rank).fill(null);
  shape[axis] = 0;
  for (const part of shapes) {
    if (part && part.length !== rank)
      throw new ShapeError(node, `inputs differ in rank: ${shapes.map(formatShape).join(', ')}`);
    for (let at = 0; at < rank; at++)
      shape[at] =
        at === axis
          ? addDims(shape[at]!, part?.[at] ?? null)
          : sameDim(
              node,
              `axis ${at} of the inputs ${shapes.map(formatShape).join(', ')}`,
              shape[at]!,
              part?.[at] ?? null,
            );
  }
  const contents = inputs.map((_, i) => dimsAt(context, i));
  const known = rank === 1 && contents.every((content) => content !== undefined);
  return single(dtype, shape, known ? contents.flat() : undefined);
};

/** Split-2 … 18: equal parts, or the sizes of attribute `split` (input 1 since opset 13); the last part may be smaller. */
const split: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const dtype = dtypeOf(inputs[0]);
  const count = node.outputs.length;
  if (x === undefined) return { types: node.outputs.map(() => typed(dtype, undefined)) };
  const axis = axisOf(node, intOf(node, 'axis', 0), x.length);
  const sizes = splitSizes(context, x[axis]!, count);
  const content = context.dims(0);
  const numeric = sizes.every((size) => typeof size === 'number') ? sizes : undefined;
  let at = 0;
  return {
    types: node.outputs.map((_, index) => typed(dtype, x.with(axis, sizes[index]!))),
    ...(content && numeric && x.length === 1 ? { dims: numeric.map((size) => content.slice(at, (at += size))) } : {}),
  };
};

function splitSizes(context: Parameters<InferRule>[0], dim: Dim, count: number): readonly Dim[] {
  const { node } = context;
  const given = intsOf(node, 'split', undefined) ?? (hasInput(node, 1) ? (dimsAt(context, 1) ?? 'unknown') : undefined);
  if (given === 'unknown') return unknownDims(count);
  if (given) {
    const total = given.reduce<Dim>(addDims, 0);
    if (given.length !== count || (typeof total === 'number' && typeof dim === 'number' && total !== dim))
      throw new ShapeError(node, `sizes [${given.join(', ')}] do not part an axis of ${dim} into ${count} outputs`);
    return given;
  }
  const parts = intOf(node, 'num_outputs', count);
  if (typeof dim === 'number' && dim % parts !== 0 && !node.attributes.has('num_outputs'))
    throw new ShapeError(node, `an axis of ${dim} does not part into ${parts} equal outputs`);
  if (!node.attributes.has('num_outputs')) return Array<Dim>(count).fill(divDims(dim, parts));
  const size = ceilDivDims(dim, parts);
  return Array.from({ length: count }, (_, index): Dim => {
    const rest = subDims(dim, mulDims(size, index));
    return typeof rest === 'number' && typeof size === 'number'
      ? Math.max(0, Math.min(size, rest))
      : index < parts - 1
        ? size
        : rest;
  });
}

/** Pad-2 (attribute) and 11 … 21 (inputs; axes since 18): negative pads cut. */
const pad: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const dtype = dtypeOf(inputs[0]);
  const pads = intsOf(node, 'pads', undefined) ?? dimsAt(context, 1);
  if (x === undefined) return single(dtype, undefined);
  const given = hasInput(node, 3) ? numbersAt(context, 3) : [...x.keys()];
  if (pads === undefined || given === undefined) return single(dtype, unknownDims(x.length));
  const axes = axesOf(node, given, x.length);
  if (pads.length !== 2 * axes.length)
    throw new ShapeError(node, `pads [${pads.join(', ')}] need ${2 * axes.length} entries for input ${formatShape(x)}`);
  const shape = [...x];
  axes.forEach((axis, at) => {
    shape[axis] = addDims(x[axis]!, addDims(pads[at]!, pads[at + axes.length]!));
    const dim = shape[axis];
    if (typeof dim === 'number' && dim < 0)
      throw new ShapeError(node, `pads [${pads.join(', ')}] leave ${dim} elements on axis ${axis}`);
  });
  return single(dtype, shape);
};

/** CenterCropPad-18: the named axes (all by default) take the dims of input 1. */
const centerCropPad: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const target = dimsAt(context, 1);
  if (x === undefined) return single(dtypeOf(inputs[0]), undefined);
  const axes = axesOf(node, intsOf(node, 'axes', undefined) ?? [...x.keys()], x.length);
  if (target && target.length !== axes.length)
    throw new ShapeError(node, `target [${target.join(', ')}] needs ${axes.length} entries`);
  const shape = [...x];
  axes.forEach((axis, at) => (shape[axis] = target?.[at] ?? null));
  return single(dtypeOf(inputs[0]), shape);
};

export const slicingShapes: RuleTable = {
  Slice: slice,
  Concat: concat,
  Split: split,
  Pad: pad,
  CenterCropPad: centerCropPad,
};
