/** @file Rotary position embedding in products and sums: ai.onnx RotaryEmbedding-23 and com.microsoft RotaryEmbedding. */
import { floatOf, intOf } from '../../ir/index.js';
import { arithOf, dimValue, needStatic, reshape } from '../gradients/shaping.js';
import type { EmitContext, ExpandRule } from '../record.js';
import { counting, int64Of } from './attention.js';

/**
 * Turns the first `width` elements of each head by the angles whose cosines and sines are given as [batch, length, width/2].
 * `x` is [batch, heads, length, size], or [batch, length, heads·size] with the number of heads.
 */
export function rotate(
  c: EmitContext,
  x: string,
  rank: number,
  heads: number,
  angles: readonly [cos: string, sin: string],
  width: number,
  size: number,
  interleaved: boolean,
): string {
  const { b } = c;
  const e = arithOf(c);
  const split = rank === 3 ? reshape(c, x, [0, 0, heads, size]) : x;
  const [cos, sin] = angles.map((angle) => b.op('Unsqueeze', [angle, b.int64s([rank === 3 ? 2 : 1])]));
  const turned = width === size ? split : cut(c, split, 0, width, 1);
  const [first, second] = interleaved
    ? [cut(c, turned, 0, width, 2), cut(c, turned, 1, width, 2)]
    : [cut(c, turned, 0, width / 2, 1), cut(c, turned, width / 2, width, 1)];
  const real = e.sub(e.mul(first, cos!), e.mul(second, sin!));
  const imaginary = e.add(e.mul(first, sin!), e.mul(second, cos!));
  const pairs = interleaved
    ? reshape(
        c,
        b.op(
          'Concat',
          [real, imaginary].map((part) => b.op('Unsqueeze', [part, b.int64s([-1])])),
          { axis: -1 },
        ),
        [0, 0, 0, width],
      )
    : b.op('Concat', [real, imaginary], { axis: -1 });
  const whole = width === size ? pairs : b.op('Concat', [pairs, cut(c, split, width, size, 1)], { axis: -1 });
  return rank === 3 ? reshape(c, whole, [0, 0, heads * size]) : whole;
}

/** Elements start … end of the last axis of a value of rank 4. */
function cut(c: EmitContext, value: string, start: number, end: number, step: number): string {
  const { b } = c;
  return b.op('Slice', [value, b.int64s([start]), b.int64s([end]), b.int64s([3]), b.int64s([step])]);
}

const rotaryEmbedding: ExpandRule = (c) => {
  const [x, cos, sin, positions] = c.inputs as readonly [string, string, string, string | undefined];
  const shape = c.shape(x);
  const heads = shape.length === 3 ? intOf(c.node, 'num_heads', 0) : 1;
  const [last] = needStatic(c, [shape.at(-1)!], 'the width of its input');
  const size = last! / heads;
  const width = intOf(c.node, 'rotary_embedding_dim', 0) || size;
  const angle = (cache: string): string =>
    positions === undefined ? cache : c.b.op('Gather', [cache, positions], { axis: 0 });
  const interleaved = intOf(c.node, 'interleaved', 0) === 1;
  return [rotate(c, x, shape.length, heads, [angle(cos), angle(sin)], width, size, interleaved)];
};

/** com.microsoft: the positions come second; a single one is where the sequence starts. */
const microsoftRotary: ExpandRule = (c) => {
  const { b } = c;
  const [x, positions, cos, sin] = c.inputs as readonly [string, string, string, string];
  if (floatOf(c.node, 'scale', 1) !== 1) c.refuse('it has a scale');
  if (intOf(c.node, 'is_packed_batching', 0) === 1) c.refuse('its batch is packed');
  const shape = c.shape(x);
  const [last, half] = needStatic(c, [shape.at(-1)!, c.shape(cos)[1]!], 'the widths of input and cache');
  const given = intOf(c.node, 'num_heads', 0);
  const heads = shape.length === 4 ? 1 : given || last! / (2 * half!);
  const size = last! / heads;
  const width = intOf(c.node, 'rotary_embedding_dim', 0) || size;
  let at = int64Of(c, positions);
  if (c.shape(positions).length === 1) {
    const along = counting(b, dimValue(c, x, shape.length === 3 ? 1 : 2));
    at = b.op('Unsqueeze', [b.op('Add', [along, at]), b.int64s([0])]);
  }
  const angle = (cache: string): string => b.op('Gather', [cache, at], { axis: 0 });
  const interleaved = intOf(c.node, 'interleaved', 0) === 1;
  return [rotate(c, x, shape.length, heads, [angle(cos), angle(sin)], width, size, interleaved)];
};

export const rotaryExpansions: Readonly<Record<string, ExpandRule>> = {
  RotaryEmbedding: rotaryEmbedding,
  'com.microsoft:RotaryEmbedding': microsoftRotary,
};
