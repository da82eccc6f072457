/** @file The memo's bytes: round trip, and refusal of anything else. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  allocateMemo,
  checkMemo,
  decodeMemo,
  encodeMemo,
  InvalidMemoError,
  memoBytes,
  MemoTooLargeError,
  selectSamples,
} from '../../src/exits/memo.js';
import { syntheticMemo } from './synthetic.js';

const memo = syntheticMemo({ candidates: 3, samples: 17, classes: 4, seed: 5 });

describe('memo', () => {
  it('survives a round trip, from unaligned bytes too', () => {
    const bytes = encodeMemo(memo);
    expect(bytes.length).toBe(20 + memoBytes(17, 4, 4));
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeMemo(bytes)).toEqual(memo);
    expect(decodeMemo(shifted.subarray(3))).toEqual(memo);
    expect(encodeMemo(decodeMemo(bytes))).toEqual(bytes);
  });

  it('refuses truncated and damaged bytes', () => {
    const bytes = encodeMemo(memo);
    for (const length of [0, 3, 19, 20, bytes.length - 1])
      expect(() => decodeMemo(bytes.subarray(0, length))).toThrow(InvalidMemoError);
    fc.assert(
      fc.property(fc.nat(19), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = bytes.slice();
        damaged[at]! ^= change;
        expect(() => decodeMemo(damaged)).toThrow(InvalidMemoError);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => {
        expect(() => decodeMemo(noise)).toThrow(InvalidMemoError);
      }),
    );
  });

  it('refuses labels, shapes and logits that make no sense', () => {
    expect(() => allocateMemo(Int32Array.of(0, 4), 4, 2)).toThrow(/label 4/);
    expect(() => allocateMemo(Int32Array.of(0), 1, 2)).toThrow(InvalidMemoError);
    expect(() => allocateMemo(new Int32Array(1000), 10, 59, 1e6)).toThrow(MemoTooLargeError);
    const filled = allocateMemo(Int32Array.of(0, 1), 2, 1);
    checkMemo(filled);
    filled.logits[0]![3] = NaN;
    expect(() => checkMemo(filled)).toThrow(/sample 1/);
    expect(() => checkMemo({ ...filled, logits: [new Float32Array(3)] })).toThrow(InvalidMemoError);
  });

  it('gives the part that concerns some samples', () => {
    const part = selectSamples(memo, Uint32Array.of(16, 2));
    expect(Array.from(part.labels)).toEqual([memo.labels[16], memo.labels[2]]);
    expect(Array.from(part.logits[3]!)).toEqual([
      ...memo.logits[3]!.subarray(64, 68),
      ...memo.logits[3]!.subarray(8, 12),
    ]);
  });
});
