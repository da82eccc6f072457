/**
 * @file Linear quantisation per tensor and input (DynO, algorithm 1): the range is that of the very values, so nothing is
 * ever clamped. Float32 arithmetic step by step, so that the same formulas as ONNX operators give the same integers.
 */
import { PackingError } from './errors.js';

/** How integers map to values: value = q · step + min, each operation rounded to float32. */
export interface LinearScale {
  /** 1 to 16. */
  readonly bits: number;
  readonly min: number;
  /** Distance of neighbouring values; at least `SMALLEST_STEP`, which a constant tensor gets. */
  readonly step: number;
}

export const MAX_BITS = 16;

/** Smallest normal float32: below it steps would lose precision, and 0 would divide by 0. */
export const SMALLEST_STEP = 2 ** -126;

/** Adding and taking away 1.5·2^52 rounds a double to the nearest integer, ties to even, like ONNX's Round. */
const ROUND = 6755399441055744;

/** Largest integer of a bit-width: 2^bits − 1. */
export function levelsOf(bits: number): number {
  return 2 ** bits - 1;
}

/** Throws PackingError unless `bits` is a whole number from 1 to 16. */
export function checkBits(bits: number): void {
  if (!Number.isInteger(bits) || bits < 1 || bits > MAX_BITS)
    throw new PackingError(`${bits} bits are not between 1 and ${MAX_BITS}`, 'Use 32 bits to send values unchanged.');
}

/**
 * The scale of these values at a bit-width. `undefined` where no linear scale represents them: a value is NaN or infinite,
 * or the range exceeds float32; such a tensor is sent unchanged. An empty tensor has the scale of a constant 0.
 */
export function scaleOf(values: Float32Array, bits: number): LinearScale | undefined {
  checkBits(bits);
  if (values.length === 0) return { bits, min: 0, step: SMALLEST_STEP };
  let min = values[0]!;
  let max = min;
  let finite = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value < min) min = value;
    if (value > max) max = value;
    // 0 for every finite value, NaN for every other one, and NaN stays.
    finite += value * 0;
  }
  const range = Math.fround(max - min);
  if (finite !== 0 || range === Infinity) return undefined;
  const step = Math.max(Math.fround(range / levelsOf(bits)), SMALLEST_STEP);
  // `+ 0` makes −0 a plain 0.
  return { bits, min: min + 0, step };
}

/** The integer that stands for a value within the scale. */
export function integerOf(value: number, min: number, step: number, levels: number): number {
  const q = (Math.fround(Math.fround(value - min) / step) + ROUND - ROUND) | 0;
  return q > levels ? levels : q;
}

/** Quantises into bytes (up to 8 bits) or 16-bit words. Every value must lie within the scale. */
export function quantise(values: Float32Array, { bits, min, step }: LinearScale): Uint8Array | Uint16Array {
  const levels = levelsOf(bits);
  const lanes = bits <= 8 ? new Uint8Array(values.length) : new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) lanes[i] = integerOf(values[i]!, min, step, levels);
  return lanes;
}

/** The value of an integer. */
export function valueOf(q: number, { min, step }: LinearScale): number {
  return Math.fround(Math.fround(q * step) + min);
}

/** Values of all 2^bits integers of a scale of at most 8 bits, 256 entries: integers beyond repeat the first ones. */
export function valueTable(scale: LinearScale): Float32Array {
  const levels = levelsOf(scale.bits);
  return Float32Array.from({ length: 256 }, (_, q) => valueOf(q & levels, scale));
}

/** The inverse of `quantise`. Bits above the width are ignored. */
export function dequantise(lanes: Uint8Array | Uint16Array, scale: LinearScale): Float32Array {
  const values = new Float32Array(lanes.length);
  if (scale.bits <= 8) {
    const table = valueTable(scale);
    for (let i = 0; i < values.length; i++) values[i] = table[lanes[i]! & 255]!;
    return values;
  }
  const { min, step } = scale;
  const levels = levelsOf(scale.bits);
  for (let i = 0; i < values.length; i++) values[i] = Math.fround(Math.fround((lanes[i]! & levels) * step) + min);
  return values;
}
