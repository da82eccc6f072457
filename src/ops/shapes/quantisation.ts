/** @file Shape rules of quantisation and of element-wise operators on quantised tensors. */
import { dataTypeOfCode, intOf, type DataType, type Dim } from '../../ir/index.js';
import type { InferContext, InferRule } from '../record.js';
import { broadcastShapes } from './broadcast.js';
import { axisOf, dtypeOf, hasInput, shapeOf, single, table, typed, type RuleTable } from './support.js';

/** QuantizeLinear-10 … 23: the zero point's type, or `output_dtype` (21), or uint8. */
const quantize: InferRule = ({ node, inputs }) => {
  checkAxis(node, inputs);
  const code = intOf(node, 'output_dtype', 0);
  const dtype: DataType | undefined = hasInput(node, 2)
    ? dtypeOf(inputs[2])
    : code === 0
      ? 'uint8'
      : dataTypeOfCode(code);
  return single(dtype, shapeOf(inputs[0]));
};

/** DequantizeLinear-10 … 23: the scale's type. */
const dequantize: InferRule = ({ node, inputs }) => {
  checkAxis(node, inputs);
  return single(dtypeOf(inputs[1]), shapeOf(inputs[0]));
};

/** A per-channel scale's axis must exist in the input. */
function checkAxis(node: InferContext['node'], inputs: InferContext['inputs']): void {
  const [x, scale] = inputs.map(shapeOf);
  if (x && scale && scale.length > 0 && scale[0] !== 1) axisOf(node, intOf(node, 'axis', 1), x.length);
}

/** DynamicQuantizeLinear-11: uint8 values, float32 scale, uint8 zero point. */
const dynamicQuantize: InferRule = ({ inputs }) => ({
  types: [typed('uint8', shapeOf(inputs[0])), typed('float32', []), typed('uint8', [])],
});

/** com.microsoft QLinearAdd/Mul: factors are inputs 0 and 3. */
const binary: InferRule = ({ node, inputs }) =>
  single(dtypeOf(inputs[0]), broadcastShapes(node, [shapeOf(inputs[0]), shapeOf(inputs[3])]));

const likeFirst: InferRule = ({ inputs }) => ({ types: [inputs[0]] });

/** com.microsoft QLinearGlobalAveragePool: [N, C, …] or, channels last, [N, …, C]. */
const globalAverage: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  const last = intOf(node, 'channels_last', 0) === 1;
  const kept = (axis: number): boolean => axis === 0 || axis === (last ? x!.length - 1 : 1);
  return single(
    dtypeOf(inputs[0]),
    x?.map((dim, axis): Dim => (kept(axis) ? dim : 1)),
  );
};

/** com.microsoft QLinearConcat: scale and zero point of the output, then (tensor, scale, zero point) per input. */
const concat: InferRule = ({ node, inputs }) => {
  const parts = inputs.filter((_, index) => index >= 2 && (index - 2) % 3 === 0);
  const shapes = parts.map(shapeOf);
  const first = shapes[0];
  if (first === undefined) return single(dtypeOf(inputs[1]), undefined);
  const axis = axisOf(node, intOf(node, 'axis', 1), first.length);
  const sizes = shapes.map((shape) => shape?.[axis] ?? null);
  const total = sizes.every((size) => typeof size === 'number') ? sizes.reduce((sum, size) => sum + size, 0) : null;
  return single(dtypeOf(inputs[1]), first.with(axis, total));
};

export const quantisationShapes: RuleTable = {
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
  DynamicQuantizeLinear: dynamicQuantize,
  'com.microsoft:QuantizeLinear': quantize,
  'com.microsoft:DequantizeLinear': dequantize,
  'com.microsoft:QLinearAdd': binary,
  'com.microsoft:QLinearMul': binary,
  ...table(
    ['QLinearSigmoid', 'QLinearLeakyRelu', 'QLinearSoftmax'].map((op) => `com.microsoft:${op}`),
    likeFirst,
  ),
  'com.microsoft:QLinearGlobalAveragePool': globalAverage,
  'com.microsoft:QLinearConcat': concat,
};
