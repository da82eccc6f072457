/** @file Shape rules of operators that pick or place elements by index. */
import { formatShape, intOf, productOfDims, type Dim } from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferRule } from '../record.js';
import { axisOf, dtypeOf, numbersAt, requireRank, shapeOf, single, table, typed, type RuleTable } from './support.js';

/** Gather-1 … 13: the axis is replaced by the dims of the indices. Followed contents are gathered. */
const gather: InferRule = (context) => {
  const { node, inputs } = context;
  const [x, indices] = inputs.map(shapeOf);
  requireRank(node, 'the input', x, 1);
  const dtype = dtypeOf(inputs[0]);
  if (x === undefined || indices === undefined) return single(dtype, undefined);
  const axis = axisOf(node, intOf(node, 'axis', 0), x.length);
  const content = x.length === 1 ? context.dims(0) : undefined;
  const picks = content && indices.length <= 1 ? numbersAt(context, 1) : undefined;
  const picked = picks?.map((at): Dim => {
    const dim = content!.at(at);
    if (dim === undefined) throw new ShapeError(node, `index ${at} is outside a list of ${content!.length}`);
    return dim;
  });
  return single(dtype, [...x.slice(0, axis), ...indices, ...x.slice(axis + 1)], picked);
};

/** GatherElements-11 … 13: the shape of the indices. */
const gatherElements: InferRule = ({ node, inputs }) => {
  const [x, indices] = inputs.map(shapeOf);
  if (x && indices && x.length !== indices.length)
    throw new ShapeError(node, `input ${formatShape(x)} and indices ${formatShape(indices)} differ in rank`);
  return single(dtypeOf(inputs[0]), indices);
};

/** GatherND-11 … 13: batch dims, then the indices' own, then what each index tuple leaves of the input. */
const gatherND: InferRule = ({ node, inputs }) => {
  const [x, indices] = inputs.map(shapeOf);
  const dtype = dtypeOf(inputs[0]);
  const tuple = indices?.at(-1);
  if (x === undefined || indices === undefined || typeof tuple !== 'number') return single(dtype, undefined);
  const batch = intOf(node, 'batch_dims', 0);
  if (batch + tuple > x.length)
    throw new ShapeError(
      node,
      `index tuples of ${tuple} are too long for input ${formatShape(x)} with ${batch} batch dims`,
    );
  return single(dtype, [...indices.slice(0, -1), ...x.slice(batch + tuple)]);
};

const likeFirst: InferRule = ({ inputs }) => ({ types: [inputs[0]] });

/** OneHot-9 … 11: a new axis of `depth` dims; the element type of the values. */
const oneHot: InferRule = (context) => {
  const { node, inputs } = context;
  const indices = shapeOf(inputs[0]);
  const depth = numbersAt(context, 1)?.[0] ?? context.dims(1)?.[0] ?? null;
  if (indices === undefined) return single(dtypeOf(inputs[2]), undefined);
  const axis = axisOf(node, intOf(node, 'axis', -1), indices.length + 1);
  return single(dtypeOf(inputs[2]), indices.toSpliced(axis, 0, depth));
};

/** NonZero-9 … 13: [rank, number of non-zero elements]. */
const nonZero: InferRule = ({ inputs, symbol }) => {
  const x = shapeOf(inputs[0]);
  return single('int64', [x?.length ?? null, symbol('nonzero')]);
};

/** Compress-9 … 11: as many slices as the condition has true entries. */
const compress: InferRule = (context) => {
  const { node, inputs, symbol } = context;
  const x = shapeOf(inputs[0]);
  const kept = numbersAt(context, 1)?.filter((flag) => flag !== 0).length ?? symbol('compressed');
  const axis = intOf(node, 'axis', undefined);
  if (axis === undefined) return single(dtypeOf(inputs[0]), [kept]);
  return single(dtypeOf(inputs[0]), x?.with(axisOf(node, axis, x.length), kept));
};

/** Unique-11: the distinct elements (or slices), where each stood first, where each element went, how often each came. */
const unique: InferRule = ({ node, inputs, symbol }) => {
  const x = shapeOf(inputs[0]);
  const axis = intOf(node, 'axis', undefined);
  const count = symbol('unique');
  const shape = axis === undefined ? [count] : x?.with(axisOf(node, axis, x.length), count);
  const inverse = axis === undefined ? (x ? productOfDims(x) : null) : (x?.[axisOf(node, axis, x.length)] ?? null);
  return {
    types: [
      typed(dtypeOf(inputs[0]), shape),
      typed('int64', [count]),
      typed('int64', [inverse]),
      typed('int64', [count]),
    ],
  };
};

/** Trilu-14, ReverseSequence-10: as the input, of rank 2 and more. */
const likeMatrix: InferRule = ({ node, inputs }) => {
  requireRank(node, 'the input', shapeOf(inputs[0]), 2);
  return { types: [inputs[0]] };
};

/** NonMaxSuppression-10 … 11: [number of selected boxes, 3]. */
const nonMaxSuppression: InferRule = ({ symbol }) => single('int64', [symbol('selected'), 3]);

/** ArrayFeatureExtractor (ai.onnx.ml 1): columns by index. */
const arrayFeatureExtractor: InferRule = ({ inputs }) => {
  const [x, indices] = inputs.map(shapeOf);
  const count = indices ? productOfDims(indices) : null;
  return single(dtypeOf(inputs[0]), x && (x.length === 1 ? [1, count] : [...x.slice(0, -1), count]));
};

/** TensorScatter-24: the cache with its rows updated. */
export const indexingShapes: RuleTable = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  ...table(['Scatter', 'ScatterElements', 'ScatterND', 'TensorScatter'], likeFirst),
  OneHot: oneHot,
  NonZero: nonZero,
  Compress: compress,
  Unique: unique,
  ...table(['Trilu', 'ReverseSequence'], likeMatrix),
  NonMaxSuppression: nonMaxSuppression,
  'ai.onnx.ml:ArrayFeatureExtractor': arrayFeatureExtractor,
};
