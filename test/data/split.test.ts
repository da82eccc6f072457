/** @file No sample in two parts, proportions kept, duplicates kept together. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  chooseStratified,
  classCounts,
  divide,
  samplePixels,
  sharedImages,
  takeSamples,
  type ImageDataset,
} from '../../src/data/index.js';
import { splitParts } from '../../src/data/parts.js';

/** Images of 2 pixels whose 16 bits are the identity; equal identities are equal pictures. */
function labelled(identities: readonly number[], labels: readonly number[], classes: number): ImageDataset {
  const pixels = new Uint8Array(identities.length * 2);
  identities.forEach((id, i) => {
    pixels[2 * i] = id & 255;
    pixels[2 * i + 1] = id >> 8;
  });
  return {
    name: 'x/all',
    classes: Array.from({ length: classes }, (_, i) => String(i)),
    size: identities.length,
    channels: 1,
    height: 1,
    width: 2,
    labels: Int32Array.from(labels),
    pixels,
  };
}

const arbitrary = fc
  .record({
    classes: fc.integer({ min: 2, max: 5 }),
    seed: fc.integer(),
    perClass: fc.integer({ min: 12, max: 60 }),
    copies: fc.integer({ min: 0, max: 9 }),
  })
  .map(({ classes, seed, perClass, copies }) => {
    const size = classes * perClass;
    const labels = Array.from({ length: size }, (_, i) => i % classes);
    // The first few pictures come again at the end of the list, as a copied file would.
    const identities = Array.from({ length: size }, (_, i) => (i >= size - copies ? i - (size - copies) : i));
    return { dataset: labelled(identities, labels, classes), seed };
  });

const keys = (dataset: ImageDataset): string[] =>
  Array.from({ length: dataset.size }, (_, i) => samplePixels(dataset, i).join());

describe('splits', () => {
  it('train, calibration and test share no picture and lose none', () => {
    fc.assert(
      fc.property(arbitrary, fc.double({ min: 0.05, max: 0.5, noNaN: true }), ({ dataset, seed }, fraction) => {
        const { splits } = splitParts(
          { parts: { all: dataset }, bad: [], notes: [] },
          { seed, calibrationFraction: fraction },
        );
        const { train, calibration, test } = splits;
        expect(train.size + calibration.size + test.size).toBe(dataset.size);
        const seen = [train, calibration, test].map((part) => new Set(keys(part)));
        for (const [a, b] of [
          [0, 1],
          [0, 2],
          [1, 2],
        ] as const)
          for (const key of seen[a]!) expect(seen[b]!.has(key)).toBe(false);
        expect([...keys(train), ...keys(calibration), ...keys(test)].sort()).toEqual(keys(dataset).sort());
      }),
    );
  });

  it('keeps every class in proportion', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2, max: 80 }), { minLength: 2, maxLength: 6 }),
        fc.double({ min: 0.05, max: 0.9, noNaN: true }),
        fc.integer(),
        (sizes, fraction, seed) => {
          const labels = sizes.flatMap((count, label) => Array<number>(count).fill(label));
          const dataset = labelled(
            labels.map((_, i) => i),
            labels,
            sizes.length,
          );
          const { taken, left } = divide(dataset, fraction, seed);
          const counts = classCounts(takeSamples(dataset, taken).labels, sizes.length);
          sizes.forEach((count, label) => {
            expect(Math.abs(counts[label]! - count * fraction)).toBeLessThanOrEqual(1);
            expect(counts[label]).toBeGreaterThan(0);
            expect(counts[label]).toBeLessThan(count);
          });
          expect(taken.length + left.length).toBe(dataset.size);
        },
      ),
    );
  });

  it('repeats for a seed and differs for another', () => {
    const dataset = labelled(
      Array.from({ length: 200 }, (_, i) => i),
      Array.from({ length: 200 }, (_, i) => i % 4),
      4,
    );
    expect(divide(dataset, 0.2, 5)).toEqual(divide(dataset, 0.2, 5));
    expect(divide(dataset, 0.2, 5).taken).not.toEqual(divide(dataset, 0.2, 6).taken);
  });

  it('chooses a limited number in proportion', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 200 }),
        fc.integer(),
        (sizes, limit, seed) => {
          const labels = Int32Array.from(sizes.flatMap((count, label) => Array<number>(count).fill(label)));
          const chosen = chooseStratified(labels, sizes.length, limit, seed);
          expect(chosen.length).toBe(Math.min(limit, labels.length));
          expect(new Set(chosen).size).toBe(chosen.length);
          const counts = classCounts(
            labels.filter((_, i) => chosen.includes(i)),
            sizes.length,
          );
          if (limit < labels.length)
            sizes.forEach((count, label) =>
              expect(Math.abs(counts[label]! - (count * limit) / labels.length)).toBeLessThan(1),
            );
        },
      ),
    );
  });

  it('uses named parts as such and says what it held out', () => {
    const part = (from: number, count: number): ImageDataset =>
      labelled(
        Array.from({ length: count }, (_, i) => from + i),
        Array.from({ length: count }, (_, i) => i % 2),
        2,
      );
    const raw = (parts: object) => ({ parts, bad: [], notes: [] });
    const three = splitParts(raw({ train: part(0, 40), val: part(40, 10), test: part(50, 12) }), { seed: 1 });
    expect([three.splits.train.size, three.splits.calibration.size, three.splits.test.size]).toEqual([40, 10, 12]);
    const two = splitParts(raw({ train: part(0, 40), val: part(40, 10) }), { seed: 1, calibrationSize: 8 });
    expect([two.splits.train.size, two.splits.calibration.size, two.splits.test.size]).toEqual([32, 8, 10]);
    const one = splitParts(raw({ train: part(0, 40) }), { seed: 1 });
    expect(one.splits.test.size).toBe(8);
    expect(one.notes.join()).toContain('8 of 40 images held out');
    const only = splitParts(raw({ test: part(0, 10) }), { seed: 1, use: 'test' });
    expect([only.splits.train.size, only.splits.test.size]).toEqual([0, 10]);
    expect(() => splitParts(raw({ test: part(0, 10) }), { seed: 1 })).toThrow(/no training images/);
    expect(() => splitParts(raw({ train: part(0, 40) }), { seed: 1, calibrationFraction: 1.5 })).toThrow(
      /between 0 and 1/,
    );
    expect(() => splitParts(raw({ train: part(0, 4), test: part(4, 4) }), { seed: 1, calibrationSize: 9 })).toThrow(
      /cannot be taken/,
    );
    expect(() => splitParts(raw({ all: part(0, 2) }), { seed: 1 })).toThrow(/too few images/);
  });

  it('counts pictures that published parts share', () => {
    const ids = (from: number): ImageDataset =>
      labelled(
        Array.from({ length: 20 }, (_, i) => from + i),
        Array(20).fill(0) as number[],
        1,
      );
    expect(sharedImages(ids(0), ids(17))).toBe(3);
    expect(
      splitParts({ parts: { train: ids(0), test: ids(17) }, bad: [], notes: [] }, { seed: 0 }).notes.join(),
    ).toMatch(/[123] of 20 test images also occur/);
  });
});
