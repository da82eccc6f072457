/** @file A tensor's data in the protocol's three forms: raw bytes, and the numbers, booleans or strings of JSON and typed contents. */
import { byteLength, dataTypes, sizeOf, Tensor, type DataType } from '../../ir/index.js';
import { bfloatOfNumber, halfOfNumber, numberOfBfloat, numberOfHalf } from './half.js';
import { OipError } from './status.js';

/** Most elements that a shape may claim. */
const MAX_ELEMENTS = 2 ** 31;

/** Dims as given, checked. Throws OipError 'invalid' for negative, fractional or absurdly many elements. */
export function checkedDims(shape: readonly (number | bigint)[], tensor: string): readonly number[] {
  const dims = shape.map(Number);
  if (
    dims.length > 64 ||
    !dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0) ||
    !(sizeOf(dims) <= MAX_ELEMENTS)
  )
    throw new OipError('invalid', `tensor '${tensor}' has no possible shape: [${shape.slice(0, 64).join(', ')}]`);
  return dims;
}

/** A tensor over raw content, shared, not copied; BYTES elements have their length, 4 bytes little-endian, before them. */
export function tensorOfRaw(dtype: DataType, dims: readonly number[], bytes: Uint8Array, tensor: string): Tensor {
  if (dtype === 'string') return Tensor.ofStrings(dims, stringsOfRaw(bytes, sizeOf(dims), tensor));
  const expected = byteLength(dtype, sizeOf(dims));
  if (bytes.length !== expected)
    throw new OipError(
      'invalid',
      `tensor '${tensor}', ${dtype}[${dims.join(', ')}], takes ${expected} bytes, not ${bytes.length}`,
    );
  if (dtype === 'bool' && bytes.some((byte) => byte > 1))
    throw new OipError('invalid', `tensor '${tensor}' holds booleans that are neither 0 nor 1`);
  return Tensor.fromBytes(dtype, dims, bytes);
}

/** A tensor's raw content: its own bytes, or strings with their lengths before them. */
export function rawOfTensor(tensor: Tensor): Uint8Array {
  if (tensor.strings === undefined) return tensor.bytes;
  const encoded = tensor.strings.map((text) => new TextEncoder().encode(text));
  const raw = new Uint8Array(encoded.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(raw.buffer);
  let at = 0;
  for (const text of encoded) {
    view.setUint32(at, text.length, true);
    raw.set(text, at + 4);
    at += 4 + text.length;
  }
  return raw;
}

function stringsOfRaw(bytes: Uint8Array, count: number, tensor: string): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: string[] = [];
  let at = 0;
  while (at + 4 <= bytes.length && strings.length < count) {
    const length = view.getUint32(at, true);
    if (at + 4 + length > bytes.length) break;
    strings.push(textOf(bytes.subarray(at + 4, at + 4 + length), tensor));
    at += 4 + length;
  }
  if (at !== bytes.length || strings.length !== count)
    throw new OipError('invalid', `tensor '${tensor}' does not hold ${count} elements of BYTES`);
  return strings;
}

/** Text of a BYTES element. ONNX strings are UTF-8. */
export function textOf(bytes: Uint8Array, tensor: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new OipError('invalid', `tensor '${tensor}' holds BYTES that are not UTF-8`, { cause });
  }
}

/** One element of a list as JSON and typed contents give it. */
export type Element = number | bigint | boolean | string;

/** What makes the numbers of a 16-bit float type, and back. */
const HALVES = {
  float16: { number: numberOfHalf, bits: halfOfNumber },
  bfloat16: { number: numberOfBfloat, bits: bfloatOfNumber },
} as const;

const isHalf = (dtype: DataType): dtype is 'float16' | 'bfloat16' => dtype in HALVES;

/** Least and largest value of the integer types. */
function rangeOf(dtype: DataType): readonly [bigint, bigint] | undefined {
  const { kind, bits } = dataTypes[dtype];
  if (kind === 'int') return [-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n];
  return kind === 'uint' ? [0n, (1n << BigInt(bits)) - 1n] : undefined;
}

/**
 * A tensor over listed elements. Throws OipError 'invalid' for another number of them, another kind of element than the
 * type's, integers out of its range, and JSON integers beyond 2^53, which have lost their last digits.
 */
export function tensorOfElements(
  dtype: DataType,
  dims: readonly number[],
  elements: ArrayLike<Element>,
  tensor: string,
): Tensor {
  const fail = (why: string): never => {
    throw new OipError('invalid', `tensor '${tensor}', ${dtype}[${dims.join(', ')}], ${why}`);
  };
  if (elements.length !== sizeOf(dims)) fail(`takes ${sizeOf(dims)} elements, not ${elements.length}`);
  const list = Array.from(elements);
  if (dtype === 'string') {
    if (!list.every((value) => typeof value === 'string')) fail('takes strings');
    return Tensor.ofStrings(dims, list as string[]);
  }
  if (dtype === 'bool') {
    if (!list.every((value) => typeof value === 'boolean')) fail('takes true and false');
    return Tensor.of('bool', dims, list.map(Number));
  }
  const range = rangeOf(dtype);
  for (const value of list) {
    if (typeof value !== 'number' && typeof value !== 'bigint') fail('takes numbers');
    if (range === undefined) continue;
    if (typeof value === 'number' && !Number.isSafeInteger(value))
      fail(`takes whole numbers, in JSON up to 2^53; ${String(value)} must be sent as binary data`);
    const whole = BigInt(value);
    if (whole < range[0] || whole > range[1]) fail(`cannot hold ${whole}`);
  }
  if (isHalf(dtype))
    return Tensor.of(
      dtype,
      dims,
      list.map((value) => HALVES[dtype].bits(Number(value))),
    );
  if (dtype === 'int64' || dtype === 'uint64') {
    const array = dataTypes[dtype].array;
    const data = new array(list.map((value) => BigInt(value as number)));
    return Tensor.fromBytes(dtype, dims, new Uint8Array(data.buffer));
  }
  return Tensor.of(dtype as 'float32', dims, list.map(Number));
}

/** A tensor's elements as a list: numbers (bigints for 64-bit integers), booleans, strings. */
export function elementsOfTensor(tensor: Tensor): ArrayLike<Element> {
  const { dtype, strings } = tensor;
  if (strings !== undefined) return strings;
  if (dtype === 'bool') return Array.from(tensor.data as Uint8Array, (value) => value !== 0);
  if (isHalf(dtype)) return Array.from(tensor.data as Uint16Array, HALVES[dtype].number);
  return tensor.data;
}
