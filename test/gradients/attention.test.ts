/** @file Gradients of attention, rotary embedding and fused transformer operators, against central differences of ONNX Runtime's own kernels. */
import { describe, it } from 'vitest';
import { float, Tensor } from '../../src/ir/index.js';
import { between, checkCase, checkSpelledOut, f, type FloatInput, type OpCase } from './harness.js';

const bools = (dims: readonly number[], given: readonly number[]): Tensor => Tensor.of('bool', dims, given);
const ints = (dims: readonly number[], given: readonly number[]): Tensor => Tensor.of('int32', dims, given);
const fixed = (input: FloatInput): FloatInput => ({ ...input, constant: true });
/** Lower triangle and one padded key. */
const MASK = bools([3, 5], [1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0]);

const attention = (name: string, test: Omit<OpCase, 'name' | 'op'>): OpCase => ({
  name: `Attention ${name}`,
  op: 'Attention',
  opset: 23,
  ...test,
});
const four = [f(2, 2, 3, 4), f(2, 2, 5, 4), f(2, 2, 5, 3)];
const attentions: readonly OpCase[] = [
  attention('of rank 4', { inputs: four, batched: [0, 1, 2] }),
  attention('of rank 3', {
    inputs: [f(2, 3, 8), f(2, 5, 8), f(2, 5, 6)],
    attributes: { q_num_heads: 2, kv_num_heads: 2 },
    batched: [0, 1, 2],
  }),
  attention('grouped', { inputs: [f(2, 4, 3, 4), f(2, 2, 5, 4), f(2, 2, 5, 3)], batched: [0, 1, 2] }),
  attention('grouped of rank 3, scaled', {
    inputs: [f(2, 3, 16), f(2, 5, 8), f(2, 5, 6)],
    attributes: { q_num_heads: 4, kv_num_heads: 2, scale: float(0.7) },
    batched: [0, 1, 2],
  }),
  attention('causal', { inputs: [f(2, 2, 4, 3), f(2, 2, 4, 3), f(2, 2, 4, 3)], attributes: { is_causal: 1 } }),
  attention('with a boolean mask', { inputs: [...four, MASK] }),
  attention('with a trained bias', { inputs: [...four, f(2, 1, 3, 5)] }),
  attention('with a bias per query and key', { inputs: [...four, f(3, 5)], batched: [] }),
  attention('with past, causal', {
    inputs: [f(2, 2, 3, 4), f(2, 2, 3, 4), f(2, 2, 3, 4), undefined, f(2, 2, 2, 4), f(2, 2, 2, 4)],
    attributes: { is_causal: 1 },
    outputs: 3,
  }),
  attention('capped', { inputs: four, attributes: { softcap: float(0.9) } }),
  attention('capped and masked', { inputs: [...four, MASK], attributes: { softcap: float(0.9) } }),
  ...[0, 3].map((mode) =>
    attention(`with its scores, mode ${mode}`, {
      inputs: [...four, undefined, undefined, undefined],
      attributes: { qk_matmul_output_mode: mode },
      outputs: 4,
      lossOutputs: [0, 3],
    }),
  ),
  attention('24 with padded keys', {
    inputs: [...four, undefined, undefined, undefined, Tensor.int64s([5, 2])],
    opset: 24,
  }),
];

type Rotary = Pick<OpCase, 'name' | 'inputs' | 'attributes'>;
const rotaries: readonly OpCase[] = [
  ...[0, 1].flatMap((interleaved): readonly Rotary[] => [
    {
      name: `RotaryEmbedding of rank 4, interleaved ${interleaved}`,
      inputs: [f(2, 3, 4, 8), f(2, 4, 4), f(2, 4, 4)],
      attributes: { interleaved },
    },
    {
      name: `RotaryEmbedding of rank 3, in part, interleaved ${interleaved}`,
      inputs: [f(2, 3, 16), f(2, 3, 2), f(2, 3, 2)],
      attributes: { interleaved, num_heads: 2, rotary_embedding_dim: 4 },
    },
    {
      name: `RotaryEmbedding by positions, interleaved ${interleaved}`,
      inputs: [f(2, 3, 4, 8), f(9, 4), f(9, 4), Tensor.of('int64', [2, 4], [0, 1, 2, 3, 8, 1, 1, 4])],
      attributes: { interleaved },
    },
  ]),
].map((test): OpCase => ({ op: 'RotaryEmbedding', opset: 23, dtype: 'float32', ...test }));

const microsoft = (op: string, what: string, test: Omit<OpCase, 'name' | 'op'>): OpCase => ({
  name: `com.microsoft ${op} ${what}`,
  op,
  domain: 'com.microsoft',
  dtype: 'float32',
  ...test,
});
const rotaryCaches = [fixed(f(9, 4)), fixed(f(9, 4))];
const fusedAttentions: readonly OpCase[] = [
  microsoft('Attention', 'packed', { inputs: [f(2, 3, 6), f(6, 24), f(24)], attributes: { num_heads: 2 } }),
  microsoft('Attention', 'causal and masked', {
    inputs: [f(2, 3, 6), f(6, 24), f(24), ints([2, 3], [1, 1, 1, 1, 1, 0])],
    attributes: { num_heads: 2, unidirectional: 1 },
  }),
  microsoft('Attention', 'with a narrower value and a bias on the scores', {
    inputs: [f(2, 3, 6), f(6, 20), f(20), undefined, undefined, f(2, 2, 3, 3)],
    attributes: { num_heads: 2, qkv_hidden_sizes: [8, 8, 4] },
  }),
  microsoft('MultiHeadAttention', 'of rank 3 with biases', {
    inputs: [f(2, 3, 8), f(2, 5, 8), f(2, 5, 6), f(22)],
    attributes: { num_heads: 2 },
  }),
  microsoft('MultiHeadAttention', 'masked, with a bias on the scores', {
    inputs: [
      f(2, 3, 8),
      f(2, 5, 8),
      f(2, 5, 8),
      undefined,
      ints([2, 5], [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
      f(2, 2, 3, 5),
    ],
    attributes: { num_heads: 2, scale: float(0.4) },
  }),
  microsoft('GroupQueryAttention', 'over a whole sequence', {
    inputs: [f(2, 3, 32), f(2, 3, 16), f(2, 3, 16), undefined, undefined, ints([2], [2, 2]), ints([], [3])],
    attributes: { num_heads: 4, kv_num_heads: 2 },
    outputs: 3,
    lossOutputs: [0],
  }),
  microsoft('GroupQueryAttention', 'rotated', {
    inputs: [
      ...[f(2, 3, 32), f(2, 3, 16), f(2, 3, 16), undefined, undefined, ints([2], [2, 2]), ints([], [3])],
      ...[fixed(f(9, 8)), fixed(f(9, 8))],
    ],
    attributes: { num_heads: 2, kv_num_heads: 1, do_rotary: 1 },
    outputs: 3,
    lossOutputs: [0],
  }),
  microsoft('RotaryEmbedding', 'by positions', {
    inputs: [f(2, 3, 4, 8), Tensor.of('int64', [2, 4], [0, 1, 2, 3, 8, 1, 1, 4]), ...rotaryCaches],
  }),
  microsoft('RotaryEmbedding', 'of rank 3 from a start', {
    inputs: [f(2, 3, 16), Tensor.int64s([2]), ...rotaryCaches],
    attributes: { interleaved: 1 },
  }),
];

const fusedProducts: readonly (Pick<OpCase, 'inputs' | 'attributes'> & { readonly what: string })[] = [
  { what: 'plain', inputs: [f(2, 3, 4), f(4, 5)] },
  {
    what: 'turned, scaled',
    inputs: [f(2, 4, 3), f(2, 5, 4)],
    attributes: { transA: 1, transB: 1, alpha: float(0.3) },
  },
  { what: 'turned batch', inputs: [f(3, 2, 4), f(2, 4, 5)], attributes: { transBatchA: 1 } },
  { what: 'turned batch and matrix', inputs: [f(4, 2, 3), f(2, 4, 5)], attributes: { transBatchA: 1, transA: 1 } },
];
const norm = [between(0.5, 1.5, 4), f(4)];
const fused: readonly OpCase[] = [
  microsoft('SkipLayerNormalization', 'with a bias and its sum', {
    inputs: [f(2, 3, 4), f(2, 3, 4), ...norm, f(4)],
    outputs: 4,
    lossOutputs: [0, 3],
    // The kernel leaves mean and deviation empty.
  }),
  microsoft('SkipLayerNormalization', 'plain', { inputs: [f(2, 3, 4), f(2, 3, 4), norm[0]] }),
  microsoft('SkipSimplifiedLayerNormalization', 'plain', { inputs: [f(2, 3, 4), f(2, 3, 4), norm[0]] }),
  microsoft('EmbedLayerNormalization', 'of words, segments and positions', {
    inputs: [
      ints([2, 3], [4, 1, 2, 1, 0, 1]),
      ints([2, 3], [0, 0, 1, 0, 1, 1]),
      ...[f(5, 4), f(6, 4), f(2, 4), ...norm],
      ints([2, 3], [1, 1, 1, 1, 1, 0]),
    ],
    outputs: 2,
    batched: [],
  }),
  ...[
    { op: 'Gelu', inputs: [f(3, 5)] },
    { op: 'FastGelu', inputs: [f(2, 3, 5)] },
    { op: 'FastGelu', inputs: [f(2, 3, 5), f(5)] },
    { op: 'QuickGelu', inputs: [f(3, 5)] },
    { op: 'QuickGelu', inputs: [f(3, 5)], attributes: { alpha: float(0.8) } },
    { op: 'BiasGelu', inputs: [f(2, 3, 5), f(5)] },
  ].map(({ op, ...test }) =>
    microsoft(op, `of ${test.inputs.length} inputs${'attributes' in test ? ', α' : ''}`, test),
  ),
  ...fusedProducts.map(({ what, ...test }) =>
    microsoft('FusedMatMul', what, { ...test, dtype: 'float64', batched: [] }),
  ),
  microsoft('TransposeMatMul', 'turned', { inputs: [f(2, 3, 4), f(2, 5, 4)], attributes: { transB: 1 } }),
  ...['Relu', 'LeakyRelu', 'Tanh', 'Sigmoid'].map((activation) =>
    microsoft('FusedGemm', activation, {
      inputs: [f(3, 4), f(5, 4), f(5)],
      attributes: { transB: 1, alpha: float(0.7), activation, activation_alpha: float(0.2) },
    }),
  ),
  microsoft('FusedConv', 'with Relu', {
    inputs: [f(2, 2, 5, 4), f(3, 2, 3, 3), f(3)],
    attributes: { activation: 'Relu', pads: [1, 1, 1, 1] },
  }),
  microsoft('FusedConv', 'with a sum and a Clip', {
    inputs: [f(2, 2, 5, 4), f(3, 2, 3, 3), f(3), f(2, 3, 3, 2)],
    attributes: { activation: 'Clip', activation_params: { type: 'floats', value: [-1, 1] } },
  }),
  microsoft('Trilu', 'upper', { inputs: [f(3, 4)], attributes: { upper: 1 }, dtype: 'float64' }),
  microsoft('Inverse', 'of well-conditioned matrices', {
    inputs: [
      {
        dims: [2, 3, 3],
        values: [2, 0.3, -0.4, 0.1, -1.7, 0.2, 0.5, -0.3, 1.9, -1.5, 0.2, 0.7, 0.4, 2.2, -0.1, 0.3, 0.6, 1.4],
      },
    ],
    dtype: 'float64',
  }),
];

describe('gradient of attention', () => {
  it.each([...attentions, ...rotaries, ...fusedAttentions])('$name', (test) => checkCase(test));
});

describe('gradient of fused operators', () => {
  it.each(fused)('$name', (test) => checkCase(test));
});

describe('operators spelled out for their gradients give the same values', () => {
  it.each([...attentions, ...rotaries, ...fusedAttentions, ...fused])('$name', (test) => checkSpelledOut(test));
});
