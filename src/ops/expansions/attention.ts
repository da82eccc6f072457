/** @file Scaled dot-product attention in MatMul and Softmax: ai.onnx Attention, and what the com.microsoft kinds share. */
import { dataTypeOfCode, floatOf, intOf, type GraphBuilder } from '../../ir/index.js';
import { Arith, castTo } from '../gradients/arith.js';
import { arithOf, dimValue, needStatic, reshape } from '../gradients/shaping.js';
import type { EmitContext, ExpandRule } from '../record.js';

/** Queries, keys and values as [batch, heads, length, size]; keys and values may have fewer heads. */
export interface Attended {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly scale: number;
  /** 0 for none. */
  readonly softcap: number;
  /** Added to the scores, broadcasting to [batch, heads, queries, keys]. */
  readonly biases: readonly string[];
  /** How many query heads share a key head. */
  readonly group: number;
  /** Key heads and sizes of keys and values: needed where `group` is above 1. */
  readonly keyHeads?: number;
  readonly sizes?: readonly [key: number, value: number];
  /** Type in which Softmax works, where it is another one. */
  readonly precision?: Arith;
}

export interface Attention {
  readonly output: string;
  readonly raw: string;
  readonly biased: string;
  readonly capped: string;
  readonly probabilities: string;
}

/** softmax(cap(q·kᵀ·scale) + biases)·v, with the values on the way. */
export function attend(b: GraphBuilder, e: Arith, attended: Attended): Attention {
  const { q, scale, softcap, biases, group, keyHeads, sizes, precision } = attended;
  const spread = (value: string, size: number): string => {
    const copies = b.op('Expand', [b.op('Unsqueeze', [value, b.int64s([2])]), b.int64s([1, 1, group, 1, 1])]);
    return b.op('Reshape', [copies, b.int64s([0, keyHeads! * group, -1, size])]);
  };
  const k = group === 1 ? attended.k : spread(attended.k, sizes![0]);
  const v = group === 1 ? attended.v : spread(attended.v, sizes![1]);
  // Scaling the queries touches fewer elements than scaling the scores.
  const raw = b.op('MatMul', [e.mul(q, scale), b.op('Transpose', [k], { perm: [0, 1, 3, 2] })]);
  const capped = softcap === 0 ? raw : e.mul(e.tanh(e.div(raw, softcap)), softcap);
  const biased = biases.reduce((sum, bias) => e.add(sum, bias), capped);
  const probabilities =
    precision === undefined
      ? b.op('Softmax', [biased], { axis: -1 })
      : e.cast(b.op('Softmax', [precision.cast(biased)], { axis: -1 }));
  return { output: b.op('MatMul', [probabilities, v]), raw, capped, biased, probabilities };
}

/** [batch, length, heads·size] → [batch, heads, length, size]. */
export function splitHeads(c: EmitContext, value: string, heads: number): string {
  return c.b.op('Transpose', [reshape(c, value, [0, 0, heads, -1])], { perm: [0, 2, 1, 3] });
}

/** [batch, heads, length, size] → [batch, length, heads·size]. */
export function joinHeads(c: EmitContext, value: string): string {
  return reshape(c, c.b.op('Transpose', [value], { perm: [0, 2, 1, 3] }), [0, 0, -1]);
}

/** 0, 1 … n−1 for a dim given as an int64 vector of length 1. */
export function counting(b: GraphBuilder, dim: string): string {
  const scalar = (value: string): string => b.op('Squeeze', [value, b.int64s([0])]);
  return b.op('Range', [scalar(b.int64s([0])), scalar(dim), scalar(b.int64s([1]))]);
}

/** 0 where `allowed`, `filtered` elsewhere. */
export function maskBias(e: Arith, allowed: string, filtered = LOWEST): string {
  return e.where(allowed, 0, filtered);
}

/** What masked scores are set to: the lowest float32, as ONNX Runtime has it. */
export const LOWEST = -3.4028234663852886e38;

/** The bias that lets query i see keys up to i + `offset` only: [queries, keys]. */
export function causalBias(
  b: GraphBuilder,
  e: Arith,
  queries: string,
  keys: string,
  offset: string | undefined,
  filtered = LOWEST,
): string {
  const last = counting(b, queries);
  const rows = b.op('Unsqueeze', [offset === undefined ? last : b.op('Add', [last, offset]), b.int64s([1])]);
  const columns = b.op('Unsqueeze', [counting(b, keys), b.int64s([0])]);
  return maskBias(e, b.op('GreaterOrEqual', [rows, columns]), filtered);
}

/** Attention-23/24. */
const attention: ExpandRule = (c) => {
  const { b } = c;
  const [q, k, v, mask, pastKey, pastValue, lengths] = c.inputs as readonly [string, string, string, ...string[]];
  const e = arithOf(c);
  const flat = c.shape(q).length === 3;
  const heads = (value: string, attribute: string): { value: string; count: number; size: number } => {
    const shape = c.shape(value);
    if (shape.length === 4) {
      const [count, size] = needStatic(c, [shape[1]!, shape[3]!], 'head count and size');
      return { value, count: count!, size: size! };
    }
    const count = intOf(c.node, attribute, undefined) ?? c.refuse(`it lacks ${attribute}`);
    const [width] = needStatic(c, [shape[2]!], 'the width of queries, keys and values');
    return { value: splitHeads(c, value, count), count, size: width! / count };
  };
  const [query, key, value] = [heads(q, 'q_num_heads'), heads(k, 'kv_num_heads'), heads(v, 'kv_num_heads')];
  const joined = (past: string | undefined, now: string): string =>
    past === undefined ? now : b.op('Concat', [past, now], { axis: 2 });
  const [keys, values] = [joined(pastKey, key.value), joined(pastValue, value.value)];

  const lengthAxis = (of: string): number => (c.shape(of).length === 4 ? 2 : 1);
  const past = pastKey === undefined ? undefined : dimValue(c, pastKey, 2);
  const now = dimValue(c, k, lengthAxis(k));
  const total = past === undefined ? now : b.op('Add', [past, now]);
  const biases: string[] = [];
  if (intOf(c.node, 'is_causal', 0) === 1) biases.push(causalBias(b, e, dimValue(c, q, lengthAxis(q)), total, past));
  if (mask !== undefined) biases.push(c.type(mask).dtype === 'bool' ? maskBias(e, mask) : mask);
  if (lengths !== undefined) {
    const end = b.op('Unsqueeze', [lengths, b.int64s([1, 2, 3])]);
    biases.push(maskBias(e, b.op('Less', [counting(b, total), end])));
  }
  const code = intOf(c.node, 'softmax_precision', 0);
  const precision = code === 0 ? undefined : dataTypeOfCode(code);
  const result = attend(b, e, {
    q: query.value,
    k: keys,
    v: values,
    scale: floatOf(c.node, 'scale', 0) || 1 / Math.sqrt(query.size),
    softcap: floatOf(c.node, 'softcap', 0),
    biases,
    group: query.count / key.count,
    keyHeads: key.count,
    sizes: [key.size, value.size],
    ...(precision === undefined || precision === e.dtype ? {} : { precision: new Arith(b, precision) }),
  });
  const stages = [result.raw, result.biased, result.capped, result.probabilities];
  const mode = intOf(c.node, 'qk_matmul_output_mode', 0);
  return [flat ? joinHeads(c, result.output) : result.output, keys, values, stages[mode]];
};

/** An integer vector as int64. */
export function int64Of(c: EmitContext, value: string): string {
  return c.type(value).dtype === 'int64' ? value : castTo(c.b, value, 'int64');
}

export const attentionExpansions: Readonly<Record<string, ExpandRule>> = { Attention: attention };
