/** @file Shape rules of reductions. */
import { intOf, productOfDims, type DataType, type Dim, type Shape } from '../../ir/index.js';
import type { InferContext, InferRule } from '../record.js';
import {
  axesOf,
  axisOf,
  dtypeOf,
  givenAxes,
  listLength,
  requireRank,
  shapeOf,
  single,
  table,
  unknownDims,
  type RuleTable,
} from './support.js';

/** Shape after a reduction whose axes are an attribute (before opset 18; ReduceSum 13) or input 1. */
function reducedShape(context: InferContext): Shape | undefined {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const keep = intOf(node, 'keepdims', 1) === 1;
  const axes = givenAxes(context, 1);
  if (x === undefined) return undefined;
  if (axes === 'unknown') {
    if (keep) return unknownDims(x.length);
    const count = listLength(context, 1);
    return count === undefined || count === 0 ? undefined : unknownDims(x.length - count);
  }
  const none = axes === undefined || axes.length === 0;
  if (none && intOf(node, 'noop_with_empty_axes', 0) === 1) return x;
  const reduced = new Set(none ? x.keys() : axesOf(node, axes, x.length));
  return keep ? x.map((dim, axis): Dim => (reduced.has(axis) ? 1 : dim)) : x.filter((_, axis) => !reduced.has(axis));
}

const reduce: InferRule = (context) => single(dtypeOf(context.inputs[0]), reducedShape(context));

/** Products of followed dims: how `ReduceProd(Shape(x))` counts elements. */
const reduceProd: InferRule = (context) => {
  const dims = context.dims(0);
  const rank = shapeOf(context.inputs[0])?.length;
  return single(
    dtypeOf(context.inputs[0]),
    reducedShape(context),
    dims && rank === 1 && intOf(context.node, 'noop_with_empty_axes', 0) === 0 ? [productOfDims(dims)] : undefined,
  );
};

/** ArgMax/ArgMin-1 … 13: int64 indices. */
const argument: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  if (x === undefined) return single('int64', undefined);
  const axis = axisOf(node, intOf(node, 'axis', 0), x.length);
  return single('int64', intOf(node, 'keepdims', 1) === 1 ? x.with(axis, 1) : x.toSpliced(axis, 1));
};

/** TopK-1 … 11: `k` is an attribute before opset 10, then input 1. Values, then int64 indices. */
const topK: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 1);
  const k: Dim = intOf(node, 'k', undefined) ?? context.dims(1)?.[0] ?? null;
  const shape = x?.with(axisOf(node, intOf(node, 'axis', -1), x.length), k);
  const dtype: DataType | undefined = dtypeOf(inputs[0]);
  return { types: [single(dtype, shape).types[0], single('int64', shape).types[0]] };
};

/** CumSum-11, CumProd: as the input. */
const cumulative: InferRule = ({ inputs }) => ({ types: [inputs[0]] });

export const reductionShapes: RuleTable = {
  ...table(
    [
      'ReduceL1',
      'ReduceL2',
      'ReduceLogSum',
      'ReduceLogSumExp',
      'ReduceMax',
      'ReduceMean',
      'ReduceMin',
      'ReduceSum',
      'ReduceSumSquare',
    ],
    reduce,
  ),
  ReduceProd: reduceProd,
  ArgMax: argument,
  ArgMin: argument,
  TopK: topK,
  CumSum: cumulative,
  CumProd: cumulative,
};
