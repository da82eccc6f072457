/** @file Inferred types equal what ONNX Runtime computes, for operators and forms that the operator test models lack. */
import { describe, expect, test } from 'vitest';
import {
  float,
  floats,
  formatType,
  GraphBuilder,
  makeModel,
  strings,
  string,
  Tensor,
  tensorType,
  type AttributeInput,
  type DataType,
  type Model,
} from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { inferShapes } from '../../src/passes/infer-shapes.js';
import { runOrt } from '../onnx/ort.js';

/** A tensor of small values that every operator here accepts. */
function filled(dtype: DataType, dims: readonly number[]): Tensor {
  const size = dims.reduce((a, b) => a * b, 1);
  if (dtype === 'string') return Tensor.ofStrings(dims, Array<string>(size).fill('a b'));
  const values = Array.from({ length: size }, (_, index) => (dtype.startsWith('float') ? Math.sin(index) : index % 3));
  return Tensor.of(dtype as 'float32', dims, values);
}

const x = (...dims: number[]): Tensor => filled('float32', dims);
const q = (...dims: number[]): Tensor => filled('uint8', dims);
const i = (...values: number[]): Tensor => Tensor.int64s(values);
const one = (dtype: 'float32' | 'uint8' | 'int64' | 'bool' | 'int32', value: number): Tensor =>
  Tensor.scalar(dtype, value);

interface Case {
  readonly op: string;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  readonly outputs?: number;
  readonly opset?: number;
  readonly domain?: string;
}

const ms = (op: string, inputs: Case['inputs'], attributes: Case['attributes'] = {}, outputs = 1): Case => ({
  op, inputs, attributes, outputs, domain: 'com.microsoft',
}); // prettier-ignore

const on = (opset: number, op: string, inputs: Case['inputs'], attributes: Case['attributes'] = {}, outputs = 1): Case => ({
  op, inputs, attributes, outputs, opset,
}); // prettier-ignore

const classical = (each: readonly Case[]): readonly Case[] => each.map((one) => ({ ...one, domain: 'ai.onnx.ml' }));

const s = one('float32', 0.1);
const z = one('uint8', 1);

const cases: readonly Case[] = [
  // Windows: padding, rounding, dilation.
  ...[1, 2, 3].flatMap((stride) =>
    [5, 6, 7, 8].flatMap((size) => [
      on(18, 'MaxPool', [x(1, 2, size, size)], { kernel_shape: [3, 3], strides: [stride, stride], ceil_mode: 1 }, 2),
      on(18, 'MaxPool', [x(1, 2, size, size)], { kernel_shape: [2, 2], strides: [3, 3], pads: [1, 0, 1, 1], ceil_mode: 1 }),
      on(19, 'AveragePool', [x(1, 2, size, size)], { kernel_shape: [2, 3], strides: [stride, 2], dilations: [2, 1], pads: [0, 1, 1, 1], ceil_mode: 1 }),
      on(18, 'MaxPool', [x(1, 2, size, size)], { kernel_shape: [3, 3], strides: [stride, stride], auto_pad: 'SAME_UPPER' }),
      on(18, 'AveragePool', [x(1, 2, size, size)], { kernel_shape: [3, 2], strides: [stride, stride], auto_pad: 'VALID', ceil_mode: 1 }),
      on(18, 'LpPool', [x(1, 2, size, size)], { kernel_shape: [3, 2], strides: [stride, stride], pads: [1, 0, 1, 1] }),
      on(18, 'Conv', [x(1, 4, size, size), x(6, 2, 3, 3)], { group: 2, strides: [stride, 1], dilations: [2, 1], pads: [1, 0, 2, 1] }),
      on(18, 'Conv', [x(1, 4, size, size), x(6, 4, 2, 3)], { strides: [stride, 1], auto_pad: 'SAME_LOWER' }),
      on(18, 'ConvTranspose', [x(1, 4, size, size), x(4, 3, 3, 2)], { group: 2, strides: [stride, 3], dilations: [1, 2], pads: [1, 0, 1, 1], output_padding: [0, 1] }),
      on(18, 'ConvTranspose', [x(1, 4, size, size), x(4, 3, 3, 3)], { strides: [stride, stride], auto_pad: 'SAME_UPPER' }),
    ]),
  ),
  on(18, 'ConvTranspose', [x(1, 4, 5, 5), x(4, 3, 3, 3)], { strides: [2, 2], output_shape: [11, 10] }),
  on(18, 'Col2Im', [x(1, 10, 3), i(5, 5), i(1, 5)], { strides: [2, 1], pads: [0, 0, 0, 0], dilations: [1, 1] }),
  on(18, 'GlobalLpPool', [x(1, 3, 4, 4)]),
  on(18, 'MaxRoiPool', [x(1, 3, 8, 8), Tensor.floats([0, 0, 0, 4, 4, 0, 1, 1, 5, 5], [2, 5])], { pooled_shape: [2, 3] }),
  on(18, 'LpNormalization', [x(2, 3)], { axis: 1 }),
  // Products and normalisations.
  on(18, 'MatMul', [x(3), x(3)]),
  on(18, 'MatMul', [x(3), x(2, 3, 4)]),
  on(18, 'MatMul', [x(5, 1, 2, 3), x(4, 3, 6)]),
  on(18, 'Gemm', [x(3, 2), x(4, 3), x(4)], { transA: 1, transB: 1 }),
  on(18, 'Einsum', [x(2, 3, 4), x(2, 4, 5)], { equation: '...ij,...jk' }),
  on(18, 'Einsum', [x(2, 3, 3)], { equation: 'bii->bi' }),
  on(17, 'LayerNormalization', [x(2, 3, 4), x(3, 4), x(3, 4)], { axis: -2 }, 3),
  on(21, 'GroupNormalization', [x(2, 4, 3, 3), x(4), x(4)], { num_groups: 2 }),
  on(18, 'SimplifiedLayerNormalization', [x(2, 3, 4), x(4)]),
  on(15, 'BatchNormalization', [x(2, 3, 4, 4), x(3), x(3), x(3), x(3)], { training_mode: 1 }, 3),
  on(20, 'Gelu', [x(2, 3)]),
  on(18, 'Mish', [x(2, 3)]),
  // Attributes that became inputs.
  on(13, 'ReduceMean', [x(2, 3, 4)], { axes: [-1, 0], keepdims: 0 }),
  on(18, 'ReduceMean', [x(2, 3, 4), i(-1, 0)], { keepdims: 0 }),
  on(18, 'ReduceMax', [x(2, 3, 4)], { keepdims: 0 }),
  on(18, 'ReduceSum', [x(2, 3, 4), i()], { noop_with_empty_axes: 1 }),
  on(11, 'Squeeze', [x(1, 3, 1)], { axes: [-1] }),
  on(13, 'Unsqueeze', [x(3, 2), i(0, -1)]),
  on(11, 'Unsqueeze', [x(3, 2)], { axes: [1] }),
  on(18, 'Split', [x(7, 2)], { axis: 0, num_outputs: 3 }, 3),
  on(18, 'Split', [x(2, 7), i(3, 4)], { axis: -1 }, 2),
  on(11, 'Split', [x(2, 6)], { axis: 1, split: [1, 5] }, 2),
  on(18, 'Pad', [x(2, 3, 4), i(1, 2, 0, -1), one('float32', 0), i(0, -1)]),
  on(9, 'Slice', [x(5, 6)], { starts: [1, -3], ends: [100, -1], axes: [0, 1] }),
  on(13, 'Slice', [x(5, 6), i(4, -1), i(-100, 0), i(0, 1), i(-2, -3)]),
  on(13, 'Slice', [x(5, 6), i(3), i(2)]),
  on(18, 'CenterCropPad', [x(5, 6, 3), i(7, 4)], { axes: [0, -2] }),
  on(14, 'Reshape', [x(0, 3, 4), i(3, 4, 0)], { allowzero: 1 }),
  on(14, 'Reshape', [x(2, 3, 4), i(0, -1)]),
  on(18, 'Flatten', [x(2, 3, 4)], { axis: -1 }),
  on(18, 'Flatten', [x(2, 3, 4)], { axis: 3 }),
  on(18, 'Flatten', [x(2, 3, 4)], { axis: 0 }),
  on(18, 'Expand', [x(3, 1), i(2, 1, 4)]),
  on(15, 'Shape', [x(2, 3, 4, 5)], { start: -3, end: -1 }),
  on(18, 'Resize', [x(1, 2, 5, 5), undefined, Tensor.floats([1.5, 0.7])], { axes: [2, 3], mode: 'linear' }),
  on(18, 'Resize', [x(1, 2, 5, 6), undefined, undefined, i(9, 7)], { axes: [2, 3], keep_aspect_ratio_policy: 'not_larger' }),
  on(18, 'Resize', [x(1, 2, 5, 6), undefined, undefined, i(9, 7)], { axes: [2, 3], keep_aspect_ratio_policy: 'not_smaller' }),
  on(13, 'Resize', [x(1, 2, 5, 6), undefined, Tensor.floats([1, 1, 2.3, 0.3])]),
  on(10, 'Resize', [x(1, 2, 5, 6), Tensor.floats([1, 1, 2, 3])]),
  on(9, 'Upsample', [x(1, 2, 5, 6), Tensor.floats([1, 1, 2, 1.5])]),
  on(18, 'ScatterND', [x(4, 3), filled('int64', [2, 1]), x(2, 3)], { reduction: 'add' }),
  on(18, 'GatherND', [x(2, 3, 4), filled('int64', [2, 1])], { batch_dims: 1 }),
  on(18, 'TopK', [x(2, 5), i(3)], { axis: 1 }, 2),
  on(9, 'TopK', [x(2, 5)], { k: 2 }, 2),
  on(18, 'OneHot', [filled('int64', [2, 2]), one('int64', 4), x(2)], { axis: 1 }),
  on(18, 'Multinomial', [x(2, 5)], { sample_size: 3 }),
  on(18, 'RandomNormal', [], { shape: [2, 3] }),
  on(18, 'RandomNormalLike', [x(2, 3)], { dtype: 11 }),
  on(18, 'RandomUniform', [], { shape: [4] }),
  on(18, 'BitwiseAnd', [filled('int32', [2, 1]), filled('int32', [3])]),
  on(18, 'BitwiseNot', [filled('int32', [2, 1])]),
  // Recurrent layers with the batch first are refused by this runtime's CPU kernels, so only time first.
  on(14, 'LSTM', [x(5, 2, 3), x(2, 16, 3), x(2, 16, 4)], { hidden_size: 4, direction: 'bidirectional' }, 3),
  on(14, 'GRU', [x(5, 2, 3), x(1, 12, 3), x(1, 12, 4)], { hidden_size: 4 }, 2),
  on(20, 'AffineGrid', [x(2, 2, 3), i(2, 3, 4, 5)]),
  on(20, 'AffineGrid', [x(2, 3, 4), i(2, 3, 4, 5, 6)]),
  on(20, 'DFT', [x(1, 8, 5, 1), undefined, one('int64', 1)], { onesided: 1 }),
  on(20, 'DFT', [x(1, 8, 5, 2), one('int64', 6), one('int64', 2)]),
  on(20, 'StringConcat', [filled('string', [2, 1]), filled('string', [3])]),
  on(20, 'RegexFullMatch', [filled('string', [2])], { pattern: 'a.*' }),
  on(16, 'GridSample', [x(1, 2, 4, 4), x(1, 3, 5, 2)]),
  on(21, 'QuantizeLinear', [x(2, 3), s], { output_dtype: 3 }),
  on(19, 'DeformConv', [x(1, 1, 3, 3), x(1, 1, 2, 2), x(1, 8, 2, 2)]),
  on(23, 'RMSNormalization', [x(2, 3, 4), x(4)]),
  on(23, 'RotaryEmbedding', [x(1, 2, 3, 4), x(3, 2), x(3, 2), filled('int64', [1, 3])]),
  on(23, 'Attention', [x(1, 2, 3, 4), x(1, 2, 5, 4), x(1, 2, 5, 6)]),
  on(23, 'Attention', [x(2, 3, 8), x(2, 5, 8), x(2, 5, 12)], { q_num_heads: 2, kv_num_heads: 2 }),
  on(23, 'Attention', [x(2, 2, 3, 4), x(2, 2, 5, 4), x(2, 2, 5, 6), undefined, x(2, 2, 7, 4), x(2, 2, 7, 6)], {}, 3),
  // What optimised exports contain.
  ms('FusedConv', [x(1, 2, 5, 5), x(4, 2, 3, 3)], { activation: 'Relu' }),
  ms('FusedMatMul', [x(2, 4, 3), x(2, 4, 5)], { transA: 1 }),
  ms('FusedMatMul', [x(2, 3, 4), x(2, 5, 4)], { transB: 1, alpha: float(0.5) }),
  ms('FusedMatMul', [x(4, 2, 3), x(2, 3, 5)], { transBatchA: 1 }),
  ms('FusedGemm', [x(3, 2), x(2, 4)], { activation: 'Relu' }),
  ms('Gelu', [x(2, 3)]),
  ms('FastGelu', [x(2, 3), x(3)]),
  ms('QuickGelu', [x(2, 3)]),
  ms('BiasGelu', [x(2, 3), x(3)]),
  ms('SkipLayerNormalization', [x(2, 3, 4), x(2, 3, 4), x(4), x(4)]),
  ms('SkipSimplifiedLayerNormalization', [x(2, 3, 4), x(2, 3, 4), x(4)]),
  ms('EmbedLayerNormalization', [filled('int32', [2, 3]), filled('int32', [2, 3]), x(5, 4), x(5, 4), x(5, 4), x(4), x(4)], {}, 2),
  ms('Attention', [x(2, 3, 8), x(8, 24), x(24)], { num_heads: 2 }),
  ms('MultiHeadAttention', [x(2, 3, 8), x(2, 5, 8), x(2, 5, 8)], { num_heads: 2 }),
  ms('QLinearAdd', [q(2, 3), s, z, q(3), s, z, s, z]),
  ms('QLinearMul', [q(2, 3), s, z, q(3), s, z, s, z]),
  ms('QLinearSigmoid', [q(2, 3), s, z, s, z]),
  ms('QLinearLeakyRelu', [q(2, 3), s, z, s, z], { alpha: float(0.1) }),
  ms('QLinearGlobalAveragePool', [q(1, 3, 4, 5), s, z, s, z], { channels_last: 0 }),
  ms('QLinearGlobalAveragePool', [q(1, 4, 5, 3), s, z, s, z], { channels_last: 1 }),
  ms('QLinearConcat', [s, z, q(1, 2), s, z, q(1, 5), s, z], { axis: 1 }),
  ms('QLinearSoftmax', [q(2, 3), s, z, s, z], { opset: 13 }),
  ms('QuantizeLinear', [x(2, 3), s, z]),
  ms('DequantizeLinear', [q(2, 3), s, z]),
  ms('DynamicQuantizeMatMul', [x(2, 3), q(3, 4), s, z]),
  ms('MatMulIntegerToFloat', [q(2, 3), q(3, 4), s, s, z, z]),
  ms('MatMulNBits', [x(2, 32), q(8, 1, 16), x(8)], { K: 32, N: 8, bits: 4, block_size: 32 }),
  ms('RotaryEmbedding', [x(1, 2, 3, 4), filled('int64', [1, 3]), x(3, 2), x(3, 2)]),
  ms('Inverse', [Tensor.floats([1, 2, 3, 5], [2, 2])]),
  ms('Trilu', [x(2, 3)]),
  // Classical models.
  ...classical([
    { op: 'Scaler', inputs: [x(2, 3)], attributes: { offset: floats([0, 0, 0]), scale: floats([1, 1, 1]) } },
    { op: 'Normalizer', inputs: [x(2, 3)], attributes: { norm: 'L2' } },
    { op: 'Binarizer', inputs: [x(2, 3)], attributes: { threshold: float(0.5) } },
    { op: 'Imputer', inputs: [x(2, 3)], attributes: { imputed_value_floats: floats([1]), replaced_value_float: float(0) } },
    { op: 'LabelEncoder', inputs: [filled('string', [2, 3])], attributes: { keys_strings: strings(['a b']), values_floats: floats([1]) }, opset: 2 },
    { op: 'OneHotEncoder', inputs: [filled('int64', [2, 3])], attributes: { cats_int64s: [0, 1, 2, 3] } },
    { op: 'ArrayFeatureExtractor', inputs: [x(2, 3), i(0, 2)] },
    { op: 'LinearRegressor', inputs: [x(2, 3)], attributes: { coefficients: floats([1, 2, 3, 4, 5, 6]), targets: 2 } },
    {
      op: 'LinearClassifier',
      inputs: [x(2, 3)],
      attributes: { coefficients: floats([1, 2, 3, 4, 5, 6]), intercepts: floats([0, 0]), classlabels_strings: strings(['a', 'b']), post_transform: string('SOFTMAX') },
      outputs: 2,
    },
  ]),
]; // prettier-ignore

/** Integer and short inputs are constants, so that rules may read them; the others are fed. */
function modelOf({ op, inputs, attributes, outputs = 1, opset, domain = '' }: Case): {
  model: Model;
  feeds: Record<string, Tensor>;
} {
  const b = new GraphBuilder();
  const feeds: Record<string, Tensor> = {};
  const names = inputs.map((tensor, index) => {
    if (tensor === undefined) return undefined;
    if (tensor.dims.length <= 1 && tensor.dtype !== 'string') return b.parameter(`c${index}`, tensor);
    feeds[`x${index}`] = tensor;
    return b.input(`x${index}`, tensorType(tensor.dtype, tensor.dims));
  });
  const results = b.ops(op, names, attributes, { outputs, domain });
  const opsets = new Map([
    ['', domain === '' ? (opset ?? 18) : 18],
    ...(domain === '' ? [] : [[domain, domain === 'ai.onnx.ml' ? (opset ?? 1) : 1] as const]),
  ]);
  return { model: makeModel(b.graph('g', results), { opsets, irVersion: 10 }), feeds };
}

describe('one operator at a time', () => {
  test.each(cases.map((each, index) => [`${index} ${each.domain ?? `opset ${each.opset}`} ${each.op}`, each] as const))(
    '%s',
    async (_, each) => {
      const { model, feeds } = modelOf(each);
      const { types } = inferShapes(model);
      const inferred = model.graph.outputs.map(({ name }) => formatType(types.get(name)));
      const typed: Model = {
        ...model,
        graph: { ...model.graph, outputs: model.graph.outputs.map(({ name }) => ({ name, type: types.get(name) })) },
      };
      const results = await runOrt(encodeModel(typed), feeds, 'disabled');
      expect(inferred).toEqual(
        model.graph.outputs.map(({ name }) => formatType(tensorType(results[name]!.dtype, results[name]!.dims))),
      );
    },
  );
});
