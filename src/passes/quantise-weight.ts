/** @file Weights as symmetric integers with one scale per channel. */
import { Tensor } from '../ir/index.js';

/** Symmetric integers of a weight, with one scale per index of `axis` (one in all where undefined). */
export function quantiseWeight(
  weight: Tensor,
  axis: number | undefined,
  bits: 7 | 8,
): { readonly integers: Tensor; readonly scales: Float32Array } {
  const values = weight.data as Float32Array;
  const limit = 2 ** (bits - 1) - 1;
  const channels = axis === undefined ? 1 : weight.dims[axis]!;
  const inner = axis === undefined ? values.length : weight.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const channel = (i: number): number => Math.floor(i / inner) % channels;
  const scales = new Float32Array(channels);
  values.forEach((value, i) => (scales[channel(i)] = Math.max(scales[channel(i)]!, Math.abs(value))));
  // A channel of zeros needs some scale.
  scales.forEach((largest, c) => (scales[c] = largest === 0 ? 1 : largest / limit));
  const integers = Int8Array.from(values, (value, i) => clamp(Math.round(value / scales[channel(i)]!), limit));
  return { integers: Tensor.of('int8', weight.dims, integers), scales };
}

/** A number kept between ±limit. */
export const clamp = (value: number, limit: number): number => Math.max(-limit, Math.min(limit, value));
