/** @file The attention operators of com.microsoft in MatMul and Softmax: Attention, MultiHeadAttention, GroupQueryAttention. */
import { floatOf, intOf, intsOf } from '../../ir/index.js';
import type { Arith } from '../gradients/arith.js';
import { arithOf, dimValue, needStatic } from '../gradients/shaping.js';
import type { EmitContext, ExpandRule } from '../record.js';
import { attend, causalBias, counting, int64Of, joinHeads, maskBias, splitHeads } from './attention.js';
import { rotate } from './rotary.js';

/** com.microsoft's default for what is masked out; another one only shifts what has no weight. */
const FILTERED = -10000;

/** A mask over keys as a bias: [batch] lengths or [batch, keys] of 0 and 1. */
function keyBias(c: EmitContext, e: Arith, mask: string, keys: string): string {
  const { b } = c;
  const filtered = floatOf(c.node, 'mask_filter_value', FILTERED);
  const rank = c.shape(mask).length;
  if (rank === 1) {
    const lengths = b.op('Unsqueeze', [int64Of(c, mask), b.int64s([1, 2, 3])]);
    return maskBias(e, b.op('Less', [counting(b, keys), lengths]), filtered);
  }
  if (rank !== 2) c.refuse(`its mask has rank ${rank}`);
  return maskBias(e, b.op('Cast', [b.op('Unsqueeze', [mask, b.int64s([1, 2])])], { to: 9 }), filtered);
}

/** Part `start … end` of the last axis. */
function columns(c: EmitContext, value: string, start: number, end: number): string {
  return c.b.op('Slice', [value, c.b.int64s([start]), c.b.int64s([end]), c.b.int64s([-1])]);
}

/** com.microsoft Attention-1: queries, keys and values from one product. */
const packedAttention: ExpandRule = (c) => {
  const { b } = c;
  const [x, weight, bias, mask, past, extra, pastLength] = c.inputs as readonly [string, string, ...string[]];
  if (pastLength !== undefined) c.refuse('its past lies in a buffer of fixed length');
  if (intOf(c.node, 'do_rotary', 0) === 1) c.refuse('it rotates: use RotaryEmbedding');
  const e = arithOf(c);
  const heads = intOf(c.node, 'num_heads', 1);
  const [width] = needStatic(c, [c.shape(weight)[1]!], 'the width of its weight');
  const third = width! / 3;
  const sizes = intsOf(c.node, 'qkv_hidden_sizes', [third, third, third]);
  const product = b.op('MatMul', [x, weight]);
  const packed = bias === undefined ? product : e.add(product, bias);
  const parts = b.ops('Split', [packed, b.int64s(sizes)], { axis: -1 }, { outputs: 3 });
  const [q, k, v] = parts.map((part) => splitHeads(c, part, heads));
  const before = (i: number): string => b.op('Gather', [past!, b.op('Squeeze', [b.int64s([i])])], { axis: 0 });
  const joined = (i: number, now: string): string =>
    past === undefined ? now : b.op('Concat', [before(i), now], { axis: 2 });
  const [keys, values] = [joined(0, k!), joined(1, v!)];
  const length = dimValue(c, x, 1);
  const offset = past === undefined ? undefined : dimValue(c, past, 3);
  const total = offset === undefined ? length : b.op('Add', [length, offset]);
  const biases: string[] = [];
  if (mask !== undefined) biases.push(keyBias(c, e, mask, total));
  if (intOf(c.node, 'unidirectional', 0) === 1) biases.push(causalBias(b, e, length, total, offset));
  if (extra !== undefined) biases.push(extra);
  const { output } = attend(b, e, {
    q: q!,
    k: keys,
    v: values,
    scale: floatOf(c.node, 'scale', 0) || 1 / Math.sqrt(sizes[0]! / heads),
    softcap: 0,
    biases,
    group: 1,
  });
  const present = (): string =>
    b.op(
      'Concat',
      [keys, values].map((value) => b.op('Unsqueeze', [value, b.int64s([0])])),
      { axis: 0 },
    );
  return [joinHeads(c, output), c.outputs[1] === undefined ? undefined : present()];
};

/** com.microsoft MultiHeadAttention-1 with separate queries, keys and values. */
const multiHead: ExpandRule = (c) => {
  const { b } = c;
  const [q, k, v, bias, mask, extra, pastKey, pastValue] = c.inputs as readonly [string, string, string, ...string[]];
  if (k === undefined || v === undefined || c.shape(q).length !== 3)
    c.refuse('its queries, keys and values are packed into one tensor');
  const e = arithOf(c);
  const heads = intOf(c.node, 'num_heads', 1);
  const [width] = needStatic(c, [c.shape(q)[2]!], 'the width of its queries');
  let from = 0;
  const biased = (value: string): string => {
    if (c.shape(value).length === 4) return value;
    let sum = value;
    if (bias !== undefined) {
      const [size] = needStatic(c, [c.shape(value)[2]!], 'the width of its keys and values');
      sum = e.add(value, columns(c, bias, from, (from += size!)));
    }
    return splitHeads(c, sum, heads);
  };
  const [query, key, value] = [biased(q), biased(k), biased(v)];
  const joined = (before: string | undefined, now: string): string =>
    before === undefined ? now : b.op('Concat', [before, now], { axis: 2 });
  const [keys, values] = [joined(pastKey, key), joined(pastValue, value)];
  const offset = pastKey === undefined ? undefined : dimValue(c, pastKey, 2);
  const now = dimValue(c, k, c.shape(k).length === 4 ? 2 : 1);
  const total = offset === undefined ? now : b.op('Add', [now, offset]);
  const biases: string[] = [];
  if (mask !== undefined) biases.push(keyBias(c, e, mask, total));
  if (intOf(c.node, 'unidirectional', 0) === 1) biases.push(causalBias(b, e, dimValue(c, q, 1), total, offset));
  if (extra !== undefined) biases.push(extra);
  const { output } = attend(b, e, {
    q: query,
    k: keys,
    v: values,
    scale: floatOf(c.node, 'scale', 0) || 1 / Math.sqrt(width! / heads),
    softcap: 0,
    biases,
    group: 1,
  });
  return [joinHeads(c, output), keys, values];
};

/** com.microsoft GroupQueryAttention-1 over a whole sequence: causal, with the rotation it may hold. */
const groupQuery: ExpandRule = (c) => {
  const { b } = c;
  const [q, k, v, pastKey, , lengths, , cos, sin, positions, extra] = c.inputs as readonly [string, ...string[]];
  if (k === undefined || v === undefined) return c.refuse('its queries, keys and values are packed into one tensor');
  if (pastKey !== undefined) c.refuse('it continues from a past: train on whole sequences');
  if (positions !== undefined) c.refuse('it has position ids');
  if (intOf(c.node, 'local_window_size', -1) !== -1) c.refuse('it attends within a window');
  if (intOf(c.node, 'smooth_softmax', 0) === 1) c.refuse('its softmax is smoothed');
  const e = arithOf(c);
  const [heads, keyHeads] = [intOf(c.node, 'num_heads', 1), intOf(c.node, 'kv_num_heads', 1)];
  const [width] = needStatic(c, [c.shape(q)[2]!], 'the width of its queries');
  const size = width! / heads;
  const length = dimValue(c, q, 1);
  let turned = (value: string): string => value;
  if (intOf(c.node, 'do_rotary', 0) === 1) {
    const [half] = needStatic(c, [c.shape(cos!)[1]!], 'the width of its cosines');
    const at = b.op('Unsqueeze', [counting(b, length), b.int64s([0])]);
    const angle = (cache: string): string => b.op('Gather', [cache, at], { axis: 0 });
    const angles = [angle(cos!), angle(sin!)] as const;
    const interleaved = intOf(c.node, 'rotary_interleaved', 0) === 1;
    turned = (value) => rotate(c, value, 4, 1, angles, half! * 2, size, interleaved);
  }
  const [query, key, value] = [
    turned(splitHeads(c, q, heads)),
    turned(splitHeads(c, k, keyHeads)),
    splitHeads(c, v, keyHeads),
  ];
  const biases = [causalBias(b, e, length, length, undefined)];
  if (lengths !== undefined) {
    const last = b.op('Reshape', [int64Of(c, lengths), b.int64s([-1, 1, 1, 1])]);
    biases.push(maskBias(e, b.op('LessOrEqual', [counting(b, length), last])));
  }
  if (extra !== undefined) biases.push(extra);
  const { output } = attend(b, e, {
    q: query,
    k: key,
    v: value,
    scale: floatOf(c.node, 'scale', 0) || 1 / Math.sqrt(size),
    softcap: floatOf(c.node, 'softcap', 0),
    biases,
    group: heads / keyHeads,
    keyHeads,
    sizes: [size, size],
  });
  return [joinHeads(c, output), key, value];
};

export const microsoftAttentionExpansions: Readonly<Record<string, ExpandRule>> = {
  'com.microsoft:Attention': packedAttention,
  'com.microsoft:MultiHeadAttention': multiHead,
  'com.microsoft:GroupQueryAttention': groupQuery,
};
