/** @file Shape rules of attention and of the fused operators that optimised transformer exports contain. */
import { addDims, divideExactly, intOf, intsOf, mulDims, type Dim } from '../../ir/index.js';
import type { InferRule } from '../record.js';
import { broadcastShapes } from './broadcast.js';
import { unary } from './elementwise.js';
import { dtypeOf, hasInput, requireRank, shapeOf, single, table, typed, type RuleTable } from './support.js';

/**
 * Attention-23: Q, K, V of rank 4 [batch, heads, length, size], or of rank 3 [batch, length, heads·size] with head
 * counts as attributes. Outputs: Y in Q's layout, present key and value, and the scores.
 */
const attention: InferRule = ({ node, inputs }) => {
  const [q, k, v, , pastKey, pastValue] = inputs.map(shapeOf);
  for (const [what, shape] of [
    ['Q', q],
    ['K', k],
    ['V', v],
  ] as const)
    requireRank(node, what, shape, 3, 4);
  const dtype = dtypeOf(inputs[0]);
  const heads = (shape: typeof q, attribute: string): readonly Dim[] => {
    if (shape === undefined) return [null, null, null, null];
    if (shape.length === 4) return shape;
    const count: Dim = intOf(node, attribute, undefined) ?? null;
    return [shape[0]!, count, shape[1]!, divideExactly(shape[2]!, count)];
  };
  const [qs, ks, vs] = [heads(q, 'q_num_heads'), heads(k, 'kv_num_heads'), heads(v, 'kv_num_heads')];
  const total = addDims(ks[2]!, hasInput(node, 4) ? (pastKey?.[2] ?? null) : 0);
  const output = q && (q.length === 4 ? [...q.slice(0, 3), vs[3]!] : [q[0]!, q[1]!, mulDims(qs[1]!, vs[3]!)]);
  const present = (side: readonly Dim[], past: typeof q): readonly Dim[] => [
    side[0]!,
    side[1]!,
    addDims(side[2]!, hasInput(node, 4) ? (past?.[2] ?? null) : 0),
    side[3]!,
  ];
  return {
    types: [
      typed(dtype, output),
      typed(dtypeOf(inputs[1]), present(ks, pastKey)),
      typed(dtypeOf(inputs[2]), present(vs, pastValue)),
      typed(dtype, [qs[0]!, qs[1]!, qs[2]!, total]),
    ],
  };
};

/** com.microsoft Attention: input [batch, length, in], weight [in, q+k+v] → [batch, length, v], present state. */
const packedAttention: InferRule = ({ node, inputs }) => {
  const [x, weight, bias] = inputs.map(shapeOf);
  requireRank(node, 'the input', x, 3, 3);
  const sizes = intsOf(node, 'qkv_hidden_sizes', undefined);
  const packed = weight?.[1] ?? bias?.[0] ?? null;
  const hidden: Dim = sizes?.[2] ?? divideExactly(packed, 3);
  const count = intOf(node, 'num_heads', undefined) ?? null;
  const past = shapeOf(inputs[4]);
  const length = addDims(x?.[1] ?? null, hasInput(node, 4) ? (past?.[3] ?? null) : 0);
  const dtype = dtypeOf(inputs[0]);
  return {
    types: [
      typed(dtype, x && [x[0]!, x[1]!, hidden]),
      typed(dtype, [2, x?.[0] ?? null, count, length, divideExactly(hidden, count)]),
    ],
  };
};

/** com.microsoft MultiHeadAttention, GroupQueryAttention: query [batch, length, hidden] first; Y follows it. */
const queryFirst: InferRule = ({ inputs }) => {
  const [q, , v] = inputs.map(shapeOf);
  if (q?.length !== 3) return { types: [typed(dtypeOf(inputs[0]), undefined)] };
  return { types: [typed(dtypeOf(inputs[0]), v?.length === 3 ? [q[0]!, q[1]!, v[2]!] : q)] };
};

const groupedQuery: InferRule = ({ node, inputs }) => {
  const q = shapeOf(inputs[0]);
  const packed = !hasInput(node, 1);
  const [heads, groups] = [intOf(node, 'num_heads', 1), intOf(node, 'kv_num_heads', 1)];
  const size = q && (packed ? divideExactly(q[2]!, heads + 2 * groups) : divideExactly(q[2]!, heads));
  return single(dtypeOf(inputs[0]), q && [q[0]!, q[1]!, mulDims(size ?? null, heads)]);
};

/** com.microsoft BiasGelu, BiasAdd …: the input and a bias that broadcasts. */
const withBias: InferRule = ({ node, inputs }) =>
  single(dtypeOf(inputs[0]), broadcastShapes(node, inputs.slice(0, 2).map(shapeOf)));

export const attentionShapes: RuleTable = {
  Attention: attention,
  RotaryEmbedding: unary,
  'com.microsoft:Attention': packedAttention,
  'com.microsoft:MultiHeadAttention': queryFirst,
  'com.microsoft:GroupQueryAttention': groupedQuery,
  'com.microsoft:BiasGelu': withBias,
  'com.microsoft:BiasSplitGelu': ({ inputs }) => {
    const x = shapeOf(inputs[0]);
    return single(dtypeOf(inputs[0]), x?.with(-1, divideExactly(x.at(-1)!, 2)));
  },
  'com.microsoft:BiasAdd': unary,
  ...table(
    ['Gelu', 'FastGelu', 'QuickGelu', 'RotaryEmbedding', 'BiasSoftmax', 'GroupNorm', 'Inverse', 'Trilu'].map(
      (op) => `com.microsoft:${op}`,
    ),
    unary,
  ),
};
