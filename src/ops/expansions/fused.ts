/** @file Fused operators of com.microsoft, as ONNX Runtime's optimiser and exporters write them, in their parts. */
import { float, floatOf, floatsOf, intOf, stringOf, type AttributeInput } from '../../ir/index.js';
import { arithOf, range } from '../gradients/shaping.js';
import type { EmitContext, ExpandRule } from '../record.js';

const DOMAIN = 'com.microsoft';

/** Activation that a fused operator ends with, by name and parameters. */
function activated(c: EmitContext, value: string, name: string, parameters: readonly number[]): string {
  const { b } = c;
  const [first, second] = parameters;
  switch (name) {
    case '':
      return value;
    case 'Relu':
    case 'Tanh':
    case 'Sigmoid':
      return b.op(name, [value]);
    case 'LeakyRelu':
      return b.op(name, [value], { alpha: float(first ?? 0.01) });
    case 'HardSigmoid':
      return b.op(name, [value], { alpha: float(first ?? 0.2), beta: float(second ?? 0.5) });
    case 'Clip':
      return b.op(name, [value, ...parameters.map((bound) => b.scalar(bound))]);
    default:
      return c.refuse(`its activation is '${name}'`);
  }
}

/** FusedMatMul, TransposeMatMul: α·A′·B′; `transBatch` brings the second axis from the end to the front of the batch. */
const fusedMatMul: ExpandRule = (c) => {
  const { b } = c;
  const side = (value: string, letter: 'A' | 'B'): string => {
    const rank = c.shape(value).length;
    const batch = intOf(c.node, `transBatch${letter}`, 0) === 1;
    const turn = intOf(c.node, `trans${letter}`, 0) === 1;
    if (rank < 2 || (!batch && !turn)) return value;
    // With transBatch the value lies as [rows, batch…, columns].
    const order = batch ? [...range(rank - 2).map((axis) => axis + 1), 0, rank - 1] : range(rank);
    if (turn) [order[rank - 2], order[rank - 1]] = [order[rank - 1]!, order[rank - 2]!];
    return b.op('Transpose', [value], { perm: order });
  };
  const product = b.op('MatMul', [side(c.inputs[0]!, 'A'), side(c.inputs[1]!, 'B')]);
  return [arithOf(c).mul(product, floatOf(c.node, 'alpha', 1))];
};

/** FusedGemm: Gemm with an activation. */
const fusedGemm: ExpandRule = (c) => {
  const { node, b } = c;
  const attributes = Object.fromEntries(
    [...node.attributes].filter(([name]) => !name.startsWith('activation')),
  ) as Record<string, AttributeInput>;
  const parameters = ['activation_alpha', 'activation_beta', 'activation_gamma'].flatMap((name) =>
    node.attributes.has(name) ? [floatOf(node, name, 0)] : [],
  );
  return [activated(c, b.op('Gemm', c.inputs, attributes), stringOf(node, 'activation', ''), parameters)];
};

/** FusedConv: Conv, the sum with a fourth input, an activation. */
const fusedConv: ExpandRule = (c) => {
  const { node, b } = c;
  const attributes = Object.fromEntries(
    [...node.attributes].filter(([name]) => !name.startsWith('activation')),
  ) as Record<string, AttributeInput>;
  const product = b.op('Conv', c.inputs.slice(0, 3), attributes);
  const sum = c.inputs[3] === undefined ? product : b.op('Add', [product, c.inputs[3]]);
  return [activated(c, sum, stringOf(node, 'activation', ''), floatsOf(node, 'activation_params', []))];
};

/** SkipLayerNormalization and its simplified form: the sum of input, skip and bias, normalised; the sum is the last output. */
const skipNormalization =
  (simplified: boolean): ExpandRule =>
  (c) => {
    const { b, outputs } = c;
    const [x, skip, scale] = c.inputs as readonly [string, string, string];
    const [shift, bias] = simplified ? [undefined, c.inputs[3]] : [c.inputs[3], c.inputs[4]];
    const pair = b.op('Add', [x, skip]);
    const sum = bias === undefined ? pair : b.op('Add', [pair, bias]);
    const attributes = { axis: -1, epsilon: float(floatOf(c.node, 'epsilon', 1e-5)) };
    if (simplified) {
      const [y, inverse] = b.ops('SimplifiedLayerNormalization', [sum, scale], attributes, {
        outputs: outputs[2] === undefined ? 1 : 2,
      });
      return [y, undefined, inverse, sum];
    }
    const statistics = outputs[1] !== undefined || outputs[2] !== undefined;
    const [y, mean, inverse] = b.ops('LayerNormalization', [sum, scale, shift], attributes, {
      outputs: statistics ? 3 : 1,
    });
    return [y, mean, inverse, sum];
  };

/** EmbedLayerNormalization: the sum of word, position and segment embeddings, normalised. */
const embedNormalization: ExpandRule = (c) => {
  const { b } = c;
  const [words, segments, wordTable, positionTable, segmentTable, scale, shift, mask, positions] = c.inputs;
  const length = b.op('Shape', [words], { start: 1, end: 2 });
  const pick = (table: string | undefined, at: string): string => b.op('Gather', [table, at], { axis: 0 });
  const place =
    positions === undefined
      ? b.op('Slice', [positionTable, b.int64s([0]), length, b.int64s([0])])
      : pick(positionTable, positions);
  const parts = [pick(wordTable, words!), place];
  if (segments !== undefined) parts.push(pick(segmentTable, segments));
  const sum = parts.reduce((total, part) => b.op('Add', [total, part]));
  const attributes = { axis: -1, epsilon: float(floatOf(c.node, 'epsilon', 1e-12)) };
  const count = (): string => {
    const first = b.op('Shape', [words], { start: 0, end: 1 });
    if (mask === undefined) return b.op('Cast', [b.op('Expand', [b.int64s([0]), first])], { to: 6 });
    return b.op('ReduceSum', [mask, b.int64s([1])], { keepdims: 0 });
  };
  return [
    b.op('LayerNormalization', [sum, scale, shift], attributes),
    c.outputs[1] === undefined ? undefined : count(),
    sum,
  ];
};

/** BiasAdd, BiasSplitGelu, BiasSoftmax: a sum before (and after) an operator. */
const biasAdd: ExpandRule = (c) => {
  const [x, bias, skip] = c.inputs as readonly [string, string, string];
  return [c.b.op('Add', [c.b.op('Add', [x, bias]), skip])];
};

const biasSplitGelu: ExpandRule = (c) => {
  const [x, bias] = c.inputs as readonly [string, string];
  const [value, gate] = c.b.ops('Split', [c.b.op('Add', [x, bias])], { axis: -1, num_outputs: 2 }, { outputs: 2 });
  return [c.b.op('Mul', [value!, c.b.op('Gelu', [gate!], {}, { domain: DOMAIN })])];
};

const biasSoftmax: ExpandRule = (c) => {
  if (intOf(c.node, 'is_inner_broadcast', 1) === 1) c.refuse('its bias broadcasts over inner axes');
  const axis = intOf(c.node, 'axis', 1);
  if (axis !== c.shape(c.inputs[0]!).length - 1) c.refuse('its softmax runs over several axes');
  return [c.b.op('Softmax', [c.b.op('Add', c.inputs.slice(0, 2))], { axis })];
};

export const fusedExpansions: Readonly<Record<string, ExpandRule>> = {
  'com.microsoft:FusedMatMul': fusedMatMul,
  'com.microsoft:TransposeMatMul': fusedMatMul,
  'com.microsoft:FusedGemm': fusedGemm,
  'com.microsoft:FusedConv': fusedConv,
  'com.microsoft:SkipLayerNormalization': skipNormalization(false),
  'com.microsoft:SkipSimplifiedLayerNormalization': skipNormalization(true),
  'com.microsoft:EmbedLayerNormalization': embedNormalization,
  'com.microsoft:BiasAdd': biasAdd,
  'com.microsoft:BiasSplitGelu': biasSplitGelu,
  'com.microsoft:BiasSoftmax': biasSoftmax,
};
