/** @file Tensors: bytes are the truth, views are made without need to copy. */
import { describe, expect, test } from 'vitest';
import {
  byteLength,
  clampToSafeInteger,
  dataTypeOfCode,
  dataTypes,
  InvalidGraphError,
  Tensor,
  type DataType,
} from '../../src/ir/index.js';

describe('Tensor', () => {
  test('a view shares aligned bytes and copies unaligned ones', () => {
    const bytes = new Uint8Array(new Float32Array([0, 1.5, -2]).buffer);
    const aligned = Tensor.fromBytes('float32', [2], bytes.subarray(4));
    expect(aligned.data).toEqual(new Float32Array([1.5, -2]));
    expect(aligned.data.buffer).toBe(bytes.buffer);

    const shifted = new Uint8Array(9);
    shifted.set(bytes.subarray(4), 1);
    const unaligned = Tensor.fromBytes('float32', [2], shifted.subarray(1));
    expect(unaligned.data).toEqual(new Float32Array([1.5, -2]));
    expect(unaligned.bytes.buffer).toBe(shifted.buffer);
  });

  test('a typed array becomes a tensor without a copy', () => {
    const values = new BigInt64Array([3n, -1n]);
    const tensor = Tensor.of('int64', [2], values);
    expect(tensor.data).toBe(values);
    expect(tensor.numbers()).toEqual([3, -1]);
  });

  test('byte counts that do not fit are refused', () => {
    expect(() => Tensor.fromBytes('int64', [2], new Uint8Array(15))).toThrow(InvalidGraphError);
    expect(() => Tensor.of('float32', [3], [1, 2])).toThrow(/needs 12 bytes, but 8/);
    expect(() => Tensor.ofStrings([2], ['a'])).toThrow(InvalidGraphError);
  });

  test('packed types take half a byte an element, rounded up', () => {
    expect(byteLength('int4', 3)).toBe(2);
    expect(Tensor.fromBytes('uint4', [3], new Uint8Array([0x21, 0x03])).size).toBe(3);
    expect(() => Tensor.fromBytes('uint4', [1], new Uint8Array([1])).numbers()).toThrow(/uint4/);
  });

  test('an empty tensor has no elements, a scalar has one', () => {
    expect(Tensor.of('float32', [0, 4], []).size).toBe(0);
    expect(Tensor.scalar('float32', 2.5).numbers()).toEqual([2.5]);
  });

  test('INT64 sentinels saturate', () => {
    expect(clampToSafeInteger(2n ** 63n - 1n)).toBe(Number.MAX_SAFE_INTEGER);
    expect(clampToSafeInteger(-(2n ** 63n))).toBe(Number.MIN_SAFE_INTEGER);
  });

  test('every data type is found by its ONNX code', () => {
    for (const dtype of Object.keys(dataTypes) as DataType[]) expect(dataTypeOfCode(dataTypes[dtype].code)).toBe(dtype);
    expect(dataTypeOfCode(0)).toBeUndefined();
  });
});
