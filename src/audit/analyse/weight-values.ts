/** @file The numbers of a weight, as stored bytes say, whatever their type and wherever they lie. */
import { bitsOf } from '../read/assemble.js';
import type { AuditWeight } from '../read/model.js';
import { isCanonical, kernelAxes } from './kernel-axes.js';

/** Stored numbers: as they are for integers, as numbers for all floats. */
export type WeightValues =
  Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;

const views: Readonly<Record<string, new (buffer: ArrayBufferLike, offset: number, length: number) => WeightValues>> = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
};

/** Reads the numbers; `undefined` where the bytes are elsewhere, or of a type that is not known. Copies only what is not aligned or packed. */
export function weightValues({ bytes, dtype, size, sparse }: AuditWeight): WeightValues | undefined {
  if (bytes === undefined) return undefined;
  const width = bitsOf(dtype) / 8;
  // Sparse tensors hold only some of their numbers.
  const count = sparse === true ? Math.floor(bytes.byteLength / width) : size;
  if (bytes.byteLength < Math.ceil(count * width)) return undefined;
  const view = views[dtype];
  if (view !== undefined) {
    const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice(0, count * width);
    return new view(aligned.buffer, aligned.byteOffset, count);
  }
  if (dtype === 'float16') return widened(bytes, count, halfToFloat);
  if (dtype === 'bfloat16') return widened(bytes, count, brainToFloat);
  if (dtype === 'int4' || dtype === 'uint4') return unpacked(bytes, count, dtype === 'int4');
  return undefined;
}

function widened(bytes: Uint8Array, count: number, convert: (bits: number) => number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = convert(bytes[2 * i]! | (bytes[2 * i + 1]! << 8));
  return values;
}

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const scratch = new DataView(new ArrayBuffer(4));
function brainToFloat(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

/** Two numbers a byte, the lower half first. */
function unpacked(bytes: Uint8Array, count: number, signed: boolean): Int8Array {
  const values = new Int8Array(count);
  for (let i = 0; i < count; i++) {
    const half = i % 2 === 0 ? bytes[i >> 1]! & 15 : bytes[i >> 1]! >> 4;
    values[i] = signed && half > 7 ? half - 16 : half;
  }
  return values;
}

/**
 * The stored bytes in the order outputs, inputs, window, so that one kernel has one order in all formats. A view where they
 * stand so already; `undefined` where there are none.
 */
export function canonicalBytes(weight: AuditWeight): Uint8Array | undefined {
  const { bytes, dtype, size, sparse } = weight;
  if (bytes === undefined) return undefined;
  const width = bitsOf(dtype) / 8;
  const axes = kernelAxes(weight);
  if (axes === undefined || isCanonical(weight) || sparse === true || !Number.isInteger(width)) return bytes;
  if (bytes.byteLength !== size * width) return bytes;
  const { outputs, inputs, window, strides } = axes;
  const positions = window.reduce((count, dim) => count * dim, 1);
  if (outputs * inputs * positions !== size) return bytes;
  const made = new Uint8Array(bytes.byteLength);
  let to = 0;
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let k = 0; k < positions; k++) {
        const from = (o * strides.output + i * strides.input + k * strides.window) * width;
        for (let b = 0; b < width; b++) made[to++] = bytes[from + b]!;
      }
  return made;
}
