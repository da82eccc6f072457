/** @file Cost of convolutions, matrix products, recurrent layers and attention, in multiply–accumulates. */
import { intOf, sizeOf, stringOf } from '../../ir/index.js';
import type { Cost, CostContext, CostRule } from '../record.js';
import { einsumSizes, parseEinsum } from '../shapes/einsum.js';
import { flops, inputSize, macs, outputSize, type CostTable } from './support.js';

/** Each output element takes one MAC per weight of its filter; `bias` and each `extra` add an operation per element. */
const convolution =
  (weight: number, bias: number, extra = 0): CostRule =>
  (context) => {
    const filter = context.inputs[weight];
    const size = outputSize(context);
    const biased = bias > 0 && context.inputs[bias] !== undefined ? 1 : 0;
    return macs(filter ? size * sizeOf(filter.shape.slice(1)) : 0, size * (biased + extra));
  };

/** Each input element meets every weight of its channel. */
const convTranspose: CostRule = (context) => {
  const weight = context.inputs[1];
  const biased = context.inputs[2] ? outputSize(context) : 0;
  return macs(weight ? inputSize(context) * sizeOf(weight.shape.slice(1)) : 0, biased);
};

/** Each output element takes one MAC per element of the dim that is summed. */
const matMul =
  (inner: (context: CostContext) => number, extra = 0): CostRule =>
  (context) =>
    macs(outputSize(context) * inner(context), outputSize(context) * extra);

const lastDim = ({ inputs }: CostContext): number => inputs[0]?.shape.at(-1) ?? 1;

const gemm: CostRule = (context) => {
  const shape = context.inputs[0]?.shape;
  const inner = shape?.[intOf(context.node, 'transA', 0) === 1 ? 0 : 1] ?? 0;
  return macs(outputSize(context) * inner, context.inputs[2] ? outputSize(context) : 0);
};

const fusedMatMul: CostRule = (context) => {
  const a = context.inputs[0]?.shape ?? [];
  const { node } = context;
  const batchFirst = intOf(node, 'transBatchA', 0) === 1;
  const transposed = intOf(node, 'transA', 0) === 1;
  const inner = transposed && a.length > 1 ? (batchFirst ? a[0]! : a.at(-2)!) : (a.at(-1) ?? 1);
  return macs(outputSize(context) * inner);
};

/** The product of all letters' sizes, once per operand after the first: the plain nested loop. */
const einsum: CostRule = ({ node, inputs }) => {
  const equation = parseEinsum(node, stringOf(node, 'equation', ''));
  const sizes = einsumSizes(
    node,
    equation,
    inputs.map((input) => input?.shape),
  );
  if (sizes === undefined) return flops(0);
  const loop = sizeOf([...sizes.letters.values(), ...sizes.ellipsis] as readonly number[]);
  return inputs.length > 1 ? macs(loop * (inputs.length - 1)) : flops(loop);
};

/** Per step, direction and sample: gates × hidden × (input + hidden) MACs, and the gates' own arithmetic. */
const recurrent =
  (gates: number, perHidden: number): CostRule =>
  ({ inputs }) => {
    const [x, , r] = inputs;
    const [a = 0, b = 0, features = 0] = x?.shape ?? [];
    const [dirs = 0, , hidden = 0] = r?.shape ?? [];
    const cells = a * b * dirs * hidden;
    // Each of three peepholes multiplies and adds the cell state.
    const peepholes = inputs[7] === undefined ? 0 : 6;
    return macs(cells * gates * (features + hidden), cells * (perHidden + peepholes));
  };

/** Attention-23: scores and weighted values; softmax and scaling as flops. */
const attention: CostRule = ({ node, inputs }) => {
  const [q, k, v, , past] = inputs;
  if (!q || !k || !v) return flops(0);
  const heads = q.shape.length === 4 ? q.shape[1]! : intOf(node, 'q_num_heads', 1);
  const groups = v.shape.length === 4 ? v.shape[1]! : intOf(node, 'kv_num_heads', 1);
  const [batch, length, size] =
    q.shape.length === 4 ? [q.shape[0]!, q.shape[2]!, q.shape[3]!] : [q.shape[0]!, q.shape[1]!, q.shape[2]! / heads];
  const total = (k.shape.length === 4 ? k.shape[2]! : k.shape[1]!) + (past?.shape[2] ?? 0);
  const valueSize = v.shape.length === 4 ? v.shape[3]! : v.shape[2]! / groups;
  return attend(batch * heads * length * total, size, valueSize);
};

const attend = (scores: number, size: number, valueSize: number): Cost => macs(scores * (size + valueSize), scores * 6);

/** com.microsoft Attention: the projection to Q, K and V, then attention itself. */
const packedAttention: CostRule = ({ node, inputs, outputs }) => {
  const [x, weight] = inputs;
  if (!x || !weight) return flops(0);
  const [batch = 0, length = 0, features = 0] = x.shape;
  const packed = weight.shape[1] ?? 0;
  const value = outputs[0]?.shape.at(-1) ?? packed / 3;
  const heads = intOf(node, 'num_heads', 1);
  const past = inputs[4]?.shape[3] ?? 0;
  const core = attend(batch * heads * length * (length + past), (packed - value) / 2 / heads, value / heads);
  return macs(batch * length * features * packed + core.macs, core.flops + batch * length * packed);
};

/** com.microsoft MultiHeadAttention and GroupQueryAttention on [batch, length, hidden] inputs without projection. */
const splitAttention: CostRule = ({ node, inputs, outputs }) => {
  const [q, k] = inputs;
  const y = outputs[0];
  if (!q || !y) return flops(0);
  const heads = intOf(node, 'num_heads', 1);
  const [batch = 0, length = 0] = q.shape;
  const keys = k ? (k.shape.length === 4 ? k.shape[2]! : k.shape[1]!) : length;
  return attend(batch * heads * length * keys, (y.shape.at(-1) ?? 0) / heads, (y.shape.at(-1) ?? 0) / heads);
};

/** A frame's discrete transform, counted as the plain matrix product that needs no fast algorithm: length × bins. */
const transform =
  (axisLength: (context: CostContext) => number): CostRule =>
  (context) =>
    macs((outputSize(context) / 2) * axisLength(context) * 2);

const linear: CostRule = ({ inputs, outputs }) => {
  const scores = outputs.at(-1);
  return macs((scores ? sizeOf(scores.shape) : 0) * (inputs[0]?.shape.at(-1) ?? 1));
};

export const productCosts: CostTable = {
  Conv: convolution(1, 2),
  ConvInteger: convolution(1, 0),
  // Requantising takes a scale, a rounding, a shift and a clip.
  QLinearConv: convolution(3, 8, 4),
  DeformConv: convolution(1, 3, 0),
  'com.microsoft:FusedConv': convolution(1, 2, 1),
  ConvTranspose: convTranspose,
  MatMul: matMul(lastDim),
  MatMulInteger: matMul(lastDim),
  QLinearMatMul: matMul(lastDim, 4),
  Gemm: gemm,
  'com.microsoft:FusedGemm': gemm,
  'com.microsoft:FusedMatMul': fusedMatMul,
  'com.microsoft:TransposeMatMul': fusedMatMul,
  'com.microsoft:DynamicQuantizeMatMul': matMul(lastDim, 2),
  'com.microsoft:MatMulIntegerToFloat': matMul(lastDim, 2),
  'com.microsoft:MatMulNBits': matMul(lastDim),
  Einsum: einsum,
  RNN: recurrent(1, 2),
  // Three gates: two sigmoids, one tanh, and the blend of old and new state.
  GRU: recurrent(3, 13),
  // Four gates: three sigmoids, two tanh, and the two products and the sum of the cell state.
  LSTM: recurrent(4, 18),
  Attention: attention,
  'com.microsoft:Attention': packedAttention,
  'com.microsoft:MultiHeadAttention': splitAttention,
  'com.microsoft:GroupQueryAttention': splitAttention,
  DFT: transform(({ node, inputs }) => inputs[0]?.shape.at(intOf(node, 'axis', 1)) ?? 1),
  STFT: transform(({ inputs }) => inputs[2]?.shape[0] ?? 1),
  AffineGrid: (context) => macs(outputSize(context) * (context.inputs[0]?.shape.at(-1) ?? 1)),
  // Gaussian elimination: n³/3 per matrix.
  Det: (context) => macs(Math.round((inputSize(context) * lastDim(context)) / 3)),
  'com.microsoft:Inverse': (context) => macs(inputSize(context) * lastDim(context)),
  'ai.onnx.ml:LinearClassifier': linear,
  'ai.onnx.ml:LinearRegressor': linear,
};
