/** @file Reading images between their pixels: neighbours and weights along each axis, gathered and summed. */
import type { GraphBuilder } from '../../ir/index.js';
import { Arith, castTo } from '../gradients/arith.js';

/** A neighbour along one axis for every sample [batch, samples]: which pixel, with what weight (1 where `undefined`). */
export interface Tap {
  /** int64, within the image. */
  readonly index: string;
  readonly weight: string | undefined;
}

/** ⌊x⌋ as float and as int64; no gradient passes. */
export function wholePart(b: GraphBuilder, e: Arith, x: string): { float: string; int: string } {
  const int = castTo(b, e.unary('Floor', x), 'int64');
  return { float: e.cast(int), int };
}

/** Pixel `index` (any int64) of an axis of this size: kept inside, with weight 0 where it lies outside. */
export function zeroPadded(b: GraphBuilder, e: Arith, index: string, size: number, weight: string | undefined): Tap {
  const whole = new Arith(b, 'int64');
  const inside = e.cast(e.and(whole.greaterOrEqual(index, 0), whole.less(index, size)));
  return { index: clamped(b, index, size), weight: weight === undefined ? inside : e.mul(weight, inside) };
}

/** An int64 index kept within 0 … size − 1. */
export function clamped(b: GraphBuilder, index: string, size: number): string {
  const whole = new Arith(b, 'int64');
  return b.op('Clip', [index, whole.scalar(0), whole.scalar(size - 1)]);
}

/** The two neighbours of positions x, with linear weights; pixels outside count as zeros. */
export function linearTaps(b: GraphBuilder, e: Arith, x: string, size: number): readonly Tap[] {
  const low = wholePart(b, e, x);
  const fraction = e.sub(x, low.float);
  const next = new Arith(b, 'int64').add(low.int, 1);
  return [zeroPadded(b, e, low.int, size, e.sub(1, fraction)), zeroPadded(b, e, next, size, fraction)];
}

/**
 * Σ over combinations of one tap per axis of weight·pixel. `image` is [batch, channels, pixels] with the axes' sizes
 * multiplied into `pixels`, the result [batch, channels, samples].
 */
export function gatherTaps(
  b: GraphBuilder,
  e: Arith,
  image: string,
  channels: string,
  axes: readonly (readonly Tap[])[],
  sizes: readonly number[],
): string {
  const whole = new Arith(b, 'int64');
  const combined = axes.reduce<readonly Tap[]>(
    (found, taps, axis) =>
      axis === 0
        ? taps
        : found.flatMap((outer) =>
            taps.map((inner) => ({
              index: whole.add(whole.mul(outer.index, sizes[axis]!), inner.index),
              weight:
                outer.weight === undefined || inner.weight === undefined
                  ? (outer.weight ?? inner.weight)
                  : e.mul(outer.weight, inner.weight),
            })),
          ),
    [],
  );
  const one = b.int64s([1]);
  const spread = b.op('Concat', [one, channels, one], { axis: 0 });
  const terms = combined.map(({ index, weight }) => {
    const at = b.op('Expand', [b.op('Unsqueeze', [index, one]), spread]);
    const pixels = b.op('GatherElements', [image, at], { axis: 2 });
    return weight === undefined ? pixels : e.mul(pixels, b.op('Unsqueeze', [weight, one]));
  });
  return terms.length === 1 ? terms[0]! : b.op('Sum', terms);
}
