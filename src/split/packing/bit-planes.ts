/**
 * @file Bit shuffling: bits of equal significance side by side (DynO, algorithm 1). Plane p holds bit p of every element,
 * ⌈n / 8⌉ bytes; bit i of its byte j belongs to element 8j + i. Planes lie one after another, the least significant first.
 * Quantising and shuffling are one loop: eight values become two words, whose 8 × 8 bits are transposed (Warren, Hacker's
 * Delight, 7-3).
 */
import { dequantise, integerOf, levelsOf, quantise, valueTable, type LinearScale } from './quantise.js';

/** Bytes of one plane. */
export function planeBytes(elements: number): number {
  return Math.ceil(elements / 8);
}

/** Quantises straight into bit planes: the same as `planesOf(quantise(values, scale), scale.bits)`. */
export function quantiseToPlanes(values: Float32Array, scale: LinearScale): Uint8Array {
  const { bits, min, step } = scale;
  if (bits > 8) return planesOf(quantise(values, scale), bits);
  const levels = levelsOf(bits);
  const bytes = planeBytes(values.length);
  const planes = new Uint8Array(bits * bytes);
  const whole = values.length >>> 3;
  for (let j = 0, i = 0; j < whole; j++, i += 8) {
    const y =
      integerOf(values[i]!, min, step, levels) |
      (integerOf(values[i + 1]!, min, step, levels) << 8) |
      (integerOf(values[i + 2]!, min, step, levels) << 16) |
      (integerOf(values[i + 3]!, min, step, levels) << 24);
    const x =
      integerOf(values[i + 4]!, min, step, levels) |
      (integerOf(values[i + 5]!, min, step, levels) << 8) |
      (integerOf(values[i + 6]!, min, step, levels) << 16) |
      (integerOf(values[i + 7]!, min, step, levels) << 24);
    spread(x, y, planes, j, bytes, bits);
  }
  if (whole < bytes) {
    const rest = planesOf(quantise(values.subarray(8 * whole), scale), bits);
    for (let p = 0; p < bits; p++) planes[p * bytes + whole] = rest[p]!;
  }
  return planes;
}

/** Bit planes of integers. */
export function planesOf(integers: Uint8Array | Uint16Array, bits: number): Uint8Array {
  const bytes = planeBytes(integers.length);
  const planes = new Uint8Array(bits * bytes);
  const lane = (index: number, shift: number): number => ((integers[index] ?? 0) >>> shift) & 255;
  for (let first = 0; first < bits; first += 8)
    for (let i = 0, j = 0; i < integers.length; i += 8, j++) {
      const y = lane(i, first) | (lane(i + 1, first) << 8) | (lane(i + 2, first) << 16) | (lane(i + 3, first) << 24);
      const x =
        lane(i + 4, first) | (lane(i + 5, first) << 8) | (lane(i + 6, first) << 16) | (lane(i + 7, first) << 24);
      spread(x, y, planes, first * bytes + j, bytes, bits - first);
    }
  return planes;
}

/** Values of bit planes: the inverse of `quantiseToPlanes`. `planes` must hold bits · ⌈elements / 8⌉ bytes. */
export function valuesOfPlanes(planes: Uint8Array, elements: number, scale: LinearScale): Float32Array {
  const { bits } = scale;
  if (bits > 8) return dequantise(integersOfPlanes(planes, elements, bits), scale);
  const table = valueTable(scale);
  const values = new Float32Array(elements);
  const bytes = planeBytes(elements);
  const whole = elements >>> 3;
  for (let j = 0, i = 0; j < bytes; j++, i += 8) {
    let x = 0;
    let y = 0;
    let from = j;
    for (let p = 0; p < bits && p < 4; p++, from += bytes) y |= planes[from]! << (8 * p);
    for (let p = 4; p < bits; p++, from += bytes) x |= planes[from]! << (8 * p - 32);
    x = mixed(x);
    y = mixed(y);
    const high = (x & 0xf0f0f0f0) | ((y >>> 4) & 0x0f0f0f0f);
    const low = ((x << 4) & 0xf0f0f0f0) | (y & 0x0f0f0f0f);
    if (j < whole) {
      values[i] = table[low & 255]!;
      values[i + 1] = table[(low >>> 8) & 255]!;
      values[i + 2] = table[(low >>> 16) & 255]!;
      values[i + 3] = table[low >>> 24]!;
      values[i + 4] = table[high & 255]!;
      values[i + 5] = table[(high >>> 8) & 255]!;
      values[i + 6] = table[(high >>> 16) & 255]!;
      values[i + 7] = table[high >>> 24]!;
    } else
      for (let k = 0; i + k < elements; k++) values[i + k] = table[((k < 4 ? low : high) >>> (8 * (k & 3))) & 255]!;
  }
  return values;
}

/** Integers of bit planes: the inverse of `planesOf`. */
export function integersOfPlanes(planes: Uint8Array, elements: number, bits: number): Uint8Array | Uint16Array {
  const bytes = planeBytes(elements);
  const integers = bits <= 8 ? new Uint8Array(elements) : new Uint16Array(elements);
  for (let first = 0; first < bits; first += 8)
    for (let j = 0, i = 0; j < bytes; j++, i += 8) {
      let x = 0;
      let y = 0;
      let from = first * bytes + j;
      for (let p = first; p < bits && p < first + 4; p++, from += bytes) y |= planes[from]! << (8 * (p - first));
      for (let p = first + 4; p < bits && p < first + 8; p++, from += bytes)
        x |= planes[from]! << (8 * (p - first - 4));
      x = mixed(x);
      y = mixed(y);
      const high = (x & 0xf0f0f0f0) | ((y >>> 4) & 0x0f0f0f0f);
      const low = ((x << 4) & 0xf0f0f0f0) | (y & 0x0f0f0f0f);
      for (let k = 0; k < 8 && i + k < elements; k++)
        integers[i + k]! |= (((k < 4 ? low : high) >>> (8 * (k & 3))) & 255) << first;
    }
  return integers;
}

/** Bytes of equal significance side by side: for values that are sent unchanged. `width` bytes per element. */
export function shuffleBytes(bytes: Uint8Array, width: number): Uint8Array {
  const count = bytes.length / width;
  const shuffled = new Uint8Array(bytes.length);
  for (let w = 0; w < width; w++)
    for (let i = 0, from = w, to = w * count; i < count; i++, from += width, to++) shuffled[to] = bytes[from]!;
  return shuffled;
}

/** The inverse of `shuffleBytes`. */
export function unshuffleBytes(shuffled: Uint8Array, width: number): Uint8Array<ArrayBuffer> {
  const count = shuffled.length / width;
  const bytes = new Uint8Array(shuffled.length);
  for (let w = 0; w < width; w++)
    for (let i = 0, to = w, from = w * count; i < count; i++, to += width, from++) bytes[to] = shuffled[from]!;
  return bytes;
}

/** Transposes eight bytes (`y` holds elements 0 to 3, `x` 4 to 7) and writes byte `at` of each of up to eight planes. */
function spread(x: number, y: number, planes: Uint8Array, at: number, bytes: number, bits: number): void {
  x = mixed(x);
  y = mixed(y);
  const high = (x & 0xf0f0f0f0) | ((y >>> 4) & 0x0f0f0f0f);
  const low = ((x << 4) & 0xf0f0f0f0) | (y & 0x0f0f0f0f);
  for (let p = 0; p < bits && p < 4; p++, at += bytes) planes[at] = low >>> (8 * p);
  for (let p = 4; p < bits && p < 8; p++, at += bytes) planes[at] = high >>> (8 * p - 32);
}

/** The first two of the three exchanges that transpose 8 × 8 bits: within 2 × 2 and 4 × 4 bits, for half of the rows. */
function mixed(word: number): number {
  let t = (word ^ (word >>> 7)) & 0x00aa00aa;
  word ^= t ^ (t << 7);
  t = (word ^ (word >>> 14)) & 0x0000cccc;
  return word ^ t ^ (t << 14);
}
