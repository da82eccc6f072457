/** @file Shape rules of operators that neither the test models nor ONNX Runtime's CPU kernels run: types as their definitions state them. */
import { expect, test } from 'vitest';
import {
  floats,
  formatType,
  GraphBuilder,
  ints,
  makeModel,
  strings,
  tensorType,
  type AttributeInput,
  type DataType,
  type Shape,
} from '../../src/ir/index.js';
import { inferShapes } from '../../src/passes/infer-shapes.js';

type Input = readonly [DataType, Shape];

const f = (...dims: Shape): Input => ['float32', dims];
const n = (...dims: Shape): Input => ['int64', dims];

const cases: readonly (readonly [
  op: string,
  inputs: readonly Input[],
  attributes: Readonly<Record<string, AttributeInput>>,
  expected: readonly string[],
])[] = [
  ['BitwiseOr', [n('batch', 1), n(3)], {}, ['int64[batch, 3]']],
  ['BitwiseXor', [n(2, 1), n(3)], {}, ['int64[2, 3]']],
  ['CumProd', [f('batch', 4), n()], {}, ['float32[batch, 4]']],
  ['Swish', [f('batch', 4)], {}, ['float32[batch, 4]']],
  ['ImageDecoder', [['uint8', ['bytes']]], { pixel_format: 'Grayscale' }, ['uint8[height_0, width_1, 1]']],
  ['Optional', [f(2)], {}, ['optional(float32[2])']],
  ['StringSplit', [['string', ['batch', 2]]], { delimiter: ' ' }, ['string[batch, 2, parts_0]', 'int64[batch, 2]']],
  ['TensorScatter', [f('batch', 2, 9, 4), f('batch', 2, 1, 4)], {}, ['float32[batch, 2, 9, 4]']],
  ['ai.onnx.ml:CategoryMapper', [['string', ['batch', 2]]], {}, ['int64[batch, 2]']],
  ['ai.onnx.ml:FeatureVectorizer', [f('batch', 2), f('batch', 3)], {}, ['float32[batch, 5]']],
  ['ai.onnx.ml:SVMClassifier', [f('batch', 2)], { classlabels_ints: ints([0, 1, 2]) }, ['int64[batch]', 'float32[batch, 3]']],
  ['ai.onnx.ml:SVMRegressor', [f('batch', 2)], {}, ['float32[batch, 1]']],
  ['ai.onnx.ml:TreeEnsembleClassifier', [f('batch', 2)], { classlabels_strings: strings(['a', 'b']) }, ['string[batch]', 'float32[batch, 2]']],
  ['ai.onnx.ml:TreeEnsembleRegressor', [f('batch', 2)], { n_targets: 3, target_weights: floats([1]) }, ['float32[batch, 3]']],
  ['ai.onnx.ml:ZipMap', [f('batch', 2)], { classlabels_strings: strings(['a', 'b']) }, ['sequence(map(string, float32[]))']],
  ['com.microsoft:BiasAdd', [f('batch', 9, 4), f(4), f('batch', 9, 4)], {}, ['float32[batch, 9, 4]']],
  ['com.microsoft:BiasSoftmax', [f('batch', 4), f('batch', 4)], {}, ['float32[batch, 4]']],
  ['com.microsoft:BiasSplitGelu', [f('batch', 9, 8), f(8)], {}, ['float32[batch, 9, 4]']],
  ['com.microsoft:GroupNorm', [f('batch', 5, 5, 8), f(8), f(8)], {}, ['float32[batch, 5, 5, 8]']],
  ['com.microsoft:GroupQueryAttention', [f('batch', 'n', 64), f('batch', 'n', 16), f('batch', 'n', 16)], { num_heads: 8, kv_num_heads: 2 }, ['float32[batch, n, 64]']],
  ['com.microsoft:SoftmaxCrossEntropyLossInternal', [f('batch', 10), n('batch')], {}, ['float32[]', 'float32[batch, 10]']],
  ['com.microsoft:TransposeMatMul', [f(4, 'batch'), f(4, 5)], { transA: 1 }, ['float32[batch, 5]']],
  // Batch first, which the CPU kernels refuse.
  ['LSTM', [f('batch', 'time', 3), f(2, 16, 3), f(2, 16, 4)], { layout: 1, direction: 'bidirectional' }, ['float32[batch, time, 2, 4]', 'float32[batch, 2, 4]', 'float32[batch, 2, 4]']],
]; // prettier-ignore

test.each(cases)('%s', (key, inputs, attributes, expected) => {
  const [op, domain] = key.includes(':') ? [key.split(':')[1]!, key.split(':')[0]!] : [key, ''];
  const b = new GraphBuilder();
  const names = inputs.map(([dtype, shape], index) => b.input(`x${index}`, tensorType(dtype, shape)));
  const outputs = b.ops(op, names, attributes, { outputs: expected.length, domain });
  const { types } = inferShapes(makeModel(b.graph('g', outputs), { opsets: new Map([['', 24], ['ai.onnx.ml', 1], ['com.microsoft', 1]]) })); // prettier-ignore
  expect(outputs.map((name) => formatType(types.get(name)))).toEqual(expected);
});
