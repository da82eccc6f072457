/** @file Shape rules of operators that make tensors from shapes, ranges and attributes. */
import {
  ceilDivDims,
  constantTensor,
  dataTypeOfCode,
  intOf,
  intsOf,
  maxDims,
  productOfDims,
  subDims,
  tensorOf,
  type DataType,
  type Dim,
  type Node,
} from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferContext, InferRule } from '../record.js';
import {
  dimsAt,
  dtypeOf,
  listLength,
  numbersAt,
  requireRank,
  shapeOf,
  single,
  unknownDims,
  type RuleTable,
} from './support.js';

/** Longest tensor whose contents are followed by these rules. */
const MAX_CONTENT = 64;

/** Shape-1 … 21, with `start` and `end` since 15. */
const shape: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  if (x === undefined) return single('int64', [null]);
  const dims = x.slice(intOf(node, 'start', 0), intOf(node, 'end', x.length));
  return single('int64', [dims.length], dims);
};

/** Size-1 … 21. */
const size: InferRule = ({ inputs }) => {
  const x = shapeOf(inputs[0]);
  return single('int64', [], [x ? productOfDims(x) : null]);
};

/** ConstantOfShape-9 … 21: filled with the one-element attribute `value`, or float32 zeros. */
const constantOfShape: InferRule = (context) => {
  const value = tensorOf(context.node, 'value');
  const dims = dimsAt(context, 0);
  const rank = listLength(context, 0);
  const length = dims?.length === 1 && typeof dims[0] === 'number' ? dims[0] : dims?.length === 0 ? 1 : undefined;
  const content =
    value && length !== undefined && length <= MAX_CONTENT && (value.dtype === 'int64' || value.dtype === 'int32')
      ? Array<Dim>(length).fill(value.numbers()[0]!)
      : undefined;
  return single(value?.dtype ?? 'float32', dims ?? (rank === undefined ? undefined : unknownDims(rank)), content);
};

/** Range-11: max(⌈(limit − start) / delta⌉, 0) elements. */
const range: InferRule = (context) => {
  const dtype = dtypeOf(context.inputs[0]);
  const [start, limit, delta] = [0, 1, 2].map((i) => numbersAt(context, i)?.[0] ?? context.dims(i)?.[0] ?? null) as [
    Dim,
    Dim,
    Dim,
  ];
  if (delta === 0) throw new ShapeError(context.node, 'delta is 0');
  if (typeof start === 'number' && typeof limit === 'number' && typeof delta === 'number') {
    const length = Math.max(0, Math.ceil((limit - start) / delta));
    const follow = (dtype === 'int64' || dtype === 'int32') && length <= MAX_CONTENT;
    return single(dtype, [length], follow ? Array.from({ length }, (_, at) => start + at * delta) : undefined);
  }
  const counts = typeof delta === 'number' && delta > 0 ? maxDims(ceilDivDims(subDims(limit, start), delta), 0) : null;
  return single(dtype, [counts ?? context.symbol('range')]);
};

/** EyeLike-9 … 22. */
const eyeLike: InferRule = ({ node, inputs }) => {
  requireRank(node, 'the input', shapeOf(inputs[0]), 2, 2);
  return single(stated(node, 'dtype') ?? dtypeOf(inputs[0]), shapeOf(inputs[0]));
};

const stated = (node: Node, name: string): DataType | undefined => {
  const code = intOf(node, name, undefined);
  return code === undefined ? undefined : dataTypeOfCode(code);
};

/** RandomNormal/RandomUniform-1 … 22: the shape is an attribute. */
const random: InferRule = ({ node }) => single(stated(node, 'dtype') ?? 'float32', intsOf(node, 'shape', undefined));

/** Multinomial-7 … 22: [batch, classes] → [batch, sample_size]. */
const multinomial: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 2, 2);
  return single(stated(node, 'dtype') ?? 'int32', [x?.[0] ?? null, intOf(node, 'sample_size', 1)]);
};

/** HannWindow/HammingWindow/BlackmanWindow-17: as long as input 0 says. */
const windowFunction: InferRule = (context: InferContext) =>
  single(stated(context.node, 'output_datatype') ?? 'float32', [dimsAt(context, 0)?.[0] ?? context.symbol('window')]);

/** Constant-1 … 21 in its dense forms; the walk itself records what it holds. */
const constant: InferRule = ({ node }) => {
  const value = constantTensor(node);
  return single(value?.dtype, value?.dims);
};

export const generatingShapes: RuleTable = {
  Constant: constant,
  Shape: shape,
  Size: size,
  ConstantOfShape: constantOfShape,
  Range: range,
  EyeLike: eyeLike,
  RandomNormal: random,
  RandomUniform: random,
  Multinomial: multinomial,
  HannWindow: windowFunction,
  HammingWindow: windowFunction,
  BlackmanWindow: windowFunction,
};
