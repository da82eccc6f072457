/** @file Shape rules of pooling. */
import { addDims, formatShape, intOf, intsOf, mulDims, subDims, type Dim } from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferRule } from '../record.js';
import { dimsAt, dtypeOf, requireRank, shapeOf, single, typed, type RuleTable } from './support.js';
import { extentOf, slide, windowOf } from './window.js';

/** MaxPool-1 … 22, AveragePool-7 … 22, LpPool-2 … 22: [N, C, …] → [N, C, …]; MaxPool's second output holds indices. */
const pool: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 3);
  const kernel = intsOf(node, 'kernel_shape', undefined);
  if (kernel === undefined) throw new ShapeError(node, 'attribute kernel_shape is missing');
  if (x && kernel.length !== x.length - 2)
    throw new ShapeError(node, `kernel_shape [${kernel.join(', ')}] does not fit input ${formatShape(x)}`);
  const window = windowOf(node, kernel);
  const shape = x && [x[0]!, x[1]!, ...slide(node, x.slice(2), window, intOf(node, 'ceil_mode', 0) === 1)];
  return { types: [typed(dtypeOf(inputs[0]), shape), typed('int64', shape)] };
};

/** [N, C, …] → [N, C, 1, …]. */
const globalPool: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 2);
  return single(
    dtypeOf(inputs[0]),
    x?.map((dim, axis): Dim => (axis < 2 ? dim : 1)),
  );
};

/** MaxUnpool-9 … 22: the inverse of MaxPool's shape rule, or the dims that input 2 states. */
const maxUnpool: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 3);
  const dtype = dtypeOf(inputs[0]);
  const stated = dimsAt(context, 2);
  if (stated) return single(dtype, stated);
  const kernel = intsOf(node, 'kernel_shape', undefined);
  if (kernel === undefined) throw new ShapeError(node, 'attribute kernel_shape is missing');
  const window = windowOf(node, kernel);
  if (x === undefined) return single(dtype, undefined);
  const rank = x.length - 2;
  if (kernel.length !== rank)
    throw new ShapeError(node, `kernel_shape [${kernel.join(', ')}] does not fit input ${formatShape(x)}`);
  if (node.inputs[2]) return single(dtype, [x[0]!, x[1]!, ...kernel.map(() => null)]);
  const spatial = x.slice(2).map((dim, axis) => {
    const pads = window.pads[axis]! + window.pads[axis + rank]!;
    return addDims(mulDims(subDims(dim, 1), window.strides[axis]!), subDims(extentOf(window, axis), pads));
  });
  return single(dtype, [x[0]!, x[1]!, ...spatial]);
};

/** MaxRoiPool-1 … 22: x [N, C, H, W], rois [R, 5] → [R, C, …pooled_shape]. */
const maxRoiPool: InferRule = ({ node, inputs }) => {
  const [x, rois] = inputs.map(shapeOf);
  requireRank(node, 'the input', x, 4, 4);
  requireRank(node, 'rois', rois, 2, 2);
  const pooled = intsOf(node, 'pooled_shape', undefined);
  if (pooled === undefined) throw new ShapeError(node, 'attribute pooled_shape is missing');
  return single(dtypeOf(inputs[0]), [rois?.[0] ?? null, x?.[1] ?? null, ...pooled]);
};

export const poolingShapes: RuleTable = {
  MaxPool: pool,
  AveragePool: pool,
  LpPool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  GlobalLpPool: globalPool,
  MaxUnpool: maxUnpool,
  MaxRoiPool: maxRoiPool,
};
