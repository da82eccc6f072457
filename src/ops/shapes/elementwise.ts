/** @file Shape rules of operators that work element by element, with numpy broadcasting. */
import {
  addDims,
  dataTypeOfCode,
  divDims,
  intOf,
  maxDims,
  minDims,
  mulDims,
  subDims,
  type DataType,
  type Dim,
} from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferContext, InferRule } from '../record.js';
import { broadcastShapes } from './broadcast.js';
import { axisOf, dtypeOf, shapeOf, single, table, type RuleTable } from './support.js';

/** Output equals the first input in type and shape. */
export const unary: InferRule = ({ inputs }) => ({ types: [inputs[0]] });

/** Output has the first input's shape and a fixed element type. */
export const unaryTo =
  (dtype: DataType): InferRule =>
  ({ inputs }) =>
    single(dtype, shapeOf(inputs[0]));

/** Output equals the first input; the attribute `axis`, where given, must fit its rank. */
const alongAxis: InferRule = ({ node, inputs, opset }) => {
  const rank = shapeOf(inputs[0])?.length;
  // Before opset 13 `axis` may equal the rank: it parts the dims in two groups.
  if (rank !== undefined) axisOf(node, intOf(node, 'axis', -1), opset < 13 ? rank + 1 : Math.max(rank, 1));
  return { types: [inputs[0]] };
};

/** Inputs broadcast; the output has the first known input's element type, or the given one. */
const broadcast =
  (dtype?: DataType): InferRule =>
  ({ node, inputs }) => {
    const first = inputs.find((input) => input?.kind === 'tensor');
    return single(dtype ?? dtypeOf(first), broadcastShapes(node, inputs.map(shapeOf)));
  };

/** Element-wise on followed contents: lists of one broadcast. `undefined` where the contents are not known. */
function followed(
  context: InferContext,
  combine: (...dims: readonly Dim[]) => Dim,
): readonly (readonly Dim[] | undefined)[] {
  const lists = context.node.inputs.map((_, i) => context.dims(i));
  if (lists.some((list) => list === undefined)) return [undefined];
  const known = lists as readonly (readonly Dim[])[];
  const length = known.some((list) => list.length === 0) ? 0 : Math.max(...known.map((list) => list.length));
  if (known.some((list) => list.length !== length && list.length !== 1)) return [undefined];
  return [
    Array.from({ length }, (_, at) => combine(...known.map((list) => (list.length === 1 ? list[0]! : list[at]!)))),
  ];
}

/** Adds the following of integer contents to a rule. */
const following =
  (rule: InferRule, combine: (context: InferContext, ...dims: readonly Dim[]) => Dim): InferRule =>
  (context) => ({ ...rule(context), dims: followed(context, (...dims) => combine(context, ...dims)) });

const fold =
  (operation: (a: Dim, b: Dim) => Dim) =>
  (_: InferContext, ...dims: readonly Dim[]): Dim =>
    dims.reduce((a, b) => operation(a, b));

const ofNumber =
  (operation: (value: number) => number) =>
  (_: InferContext, dim: Dim): Dim =>
    typeof dim === 'number' ? operation(dim) : null;

/** ONNX integer division truncates; on floats it is exact. */
const quotient = (context: InferContext, a: Dim, b: Dim): Dim => {
  const dtype = dtypeOf(context.inputs[0]);
  if (typeof a === 'number' && typeof b === 'number')
    return b === 0 ? null : dtype === 'float32' || dtype === 'float64' ? a / b : Math.trunc(a / b);
  return dtype === 'int64' || dtype === 'int32' ? divDims(a, b) : null;
};

/** 1, 0 or unknown. Symbols are never negative. */
const equals = (_: InferContext, a: Dim, b: Dim): Dim => {
  if (a === null || b === null) return null;
  if (a === b) return 1;
  const difference = subDims(a, b);
  if (typeof difference === 'number') return difference === 0 ? 1 : 0;
  return (typeof a === 'number' && a < 0) || (typeof b === 'number' && b < 0) ? 0 : null;
};

const compare =
  (operation: (difference: number) => boolean) =>
  (_: InferContext, a: Dim, b: Dim): Dim => {
    const difference = subDims(a, b);
    return typeof difference === 'number' ? Number(operation(difference)) : null;
  };

const isFractional = (dtype: DataType | undefined): boolean => dtype !== undefined && /^(b?float)/.test(dtype);

/** Cast-6 … 21. Followed contents lose their fraction on the way to an integer type. */
const cast: InferRule = (context) => {
  const { node, inputs } = context;
  const code = intOf(node, 'to', undefined);
  const dtype = code === undefined ? undefined : dataTypeOfCode(code);
  if (dtype === undefined) throw new ShapeError(node, `attribute 'to' (${code ?? 'missing'}) is no element type`);
  return castTo(context, dtype, inputs[0]);
};

const castTo = (context: InferContext, dtype: DataType | undefined, source: InferContext['inputs'][number]) => {
  const toInteger = dtype !== undefined && !isFractional(dtype);
  const dims = context.dims(0)?.map((dim) => (toInteger && typeof dim === 'number' ? Math.trunc(dim) : dim));
  return single(dtype, shapeOf(source), dims);
};

const where: InferRule = (context) => {
  const { node, inputs } = context;
  const shape = broadcastShapes(node, inputs.map(shapeOf));
  const pick = (condition: Dim, a: Dim, b: Dim): Dim =>
    a === b ? a : typeof condition === 'number' ? (condition ? a : b) : null;
  return {
    ...single(dtypeOf(inputs[1]) ?? dtypeOf(inputs[2]), shape),
    dims: followed(context, (...dims) => pick(dims[0]!, dims[1]!, dims[2]!)),
  };
};

/** PRelu: the slope broadcasts to the input, never the other way round. */
const prelu: InferRule = ({ node, inputs, opset }) => {
  const [x, slope] = inputs.map(shapeOf);
  if (x && slope && opset >= 7) {
    const both = broadcastShapes(node, [x, slope]);
    if (both?.length !== x.length)
      throw new ShapeError(node, `the slope's rank ${slope.length} exceeds the input's ${x.length}`);
  }
  return { types: [inputs[0]] };
};

const random =
  (like: boolean): InferRule =>
  ({ node, inputs }) => {
    const code = intOf(node, 'dtype', undefined);
    return single(
      code === undefined ? (like ? dtypeOf(inputs[0]) : 'float32') : dataTypeOfCode(code),
      shapeOf(inputs[0]),
    );
  };

/** Dropout-7 … 22: output and, from opset 10 on, a mask of booleans (before that, of the input's own type). */
const dropout: InferRule = ({ inputs, opset }) => ({
  types: [inputs[0], opset >= 10 ? single('bool', shapeOf(inputs[0])).types[0] : inputs[0]],
});

export const elementwiseShapes: RuleTable = {
  ...table(
    [
      'Acos',
      'Acosh',
      'Asin',
      'Asinh',
      'Atan',
      'Atanh',
      'Celu',
      'Clip',
      'Cos',
      'Cosh',
      'Elu',
      'Erf',
      'Exp',
      'Gelu',
      'HardSigmoid',
      'HardSwish',
      'LeakyRelu',
      'Log',
      'Mish',
      'Not',
      'Reciprocal',
      'Relu',
      'Selu',
      'Shrink',
      'Sigmoid',
      'Sign',
      'Sin',
      'Sinh',
      'Softplus',
      'Softsign',
      'Sqrt',
      'Swish',
      'Tan',
      'Tanh',
      'ThresholdedRelu',
      'BitwiseNot',
    ],
    unary,
  ),
  ...table(['Softmax', 'LogSoftmax', 'Hardmax'], alongAxis),
  ...table(['And', 'Or', 'Xor'], broadcast('bool')),
  ...table(['BitShift', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor', 'Mean', 'Pow'], broadcast()),
  ...table(['IsInf', 'IsNaN'], unaryTo('bool')),
  Identity: following(
    unary,
    fold((a) => a),
  ),
  Neg: following(unary, (_, dim) => subDims(0, dim)),
  Abs: following(unary, (_, dim) => (typeof dim === 'number' ? Math.abs(dim) : dim)),
  Floor: following(unary, ofNumber(Math.floor)),
  Ceil: following(unary, ofNumber(Math.ceil)),
  Round: following(
    unary,
    ofNumber((value) => (value % 1 === 0.5 && Math.floor(value) % 2 === 0 ? Math.floor(value) : Math.round(value))),
  ),
  Add: following(broadcast(), fold(addDims)),
  Sum: following(broadcast(), fold(addDims)),
  Sub: following(broadcast(), fold(subDims)),
  Mul: following(broadcast(), fold(mulDims)),
  Div: following(broadcast(), quotient),
  Mod: following(broadcast(), (_, a, b) =>
    typeof a === 'number' && typeof b === 'number' && b > 0 ? a - b * Math.floor(a / b) : null,
  ),
  Max: following(broadcast(), fold(maxDims)),
  Min: following(broadcast(), fold(minDims)),
  Equal: following(broadcast('bool'), equals),
  Greater: following(
    broadcast('bool'),
    compare((difference) => difference > 0),
  ),
  GreaterOrEqual: following(
    broadcast('bool'),
    compare((difference) => difference >= 0),
  ),
  Less: following(
    broadcast('bool'),
    compare((difference) => difference < 0),
  ),
  LessOrEqual: following(
    broadcast('bool'),
    compare((difference) => difference <= 0),
  ),
  Cast: cast,
  CastLike: (context) => castTo(context, dtypeOf(context.inputs[1]), context.inputs[0]),
  Where: where,
  PRelu: prelu,
  Dropout: dropout,
  Bernoulli: random(true),
  RandomNormalLike: random(true),
  RandomUniformLike: random(true),
};
