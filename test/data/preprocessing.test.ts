/** @file Preprocessing: metadata round trip, what is assumed and said, and bringing data to a size. */
import { describe, expect, it } from 'vitest';
import {
  conformDataset,
  PREPROCESSING_KEY,
  readPreprocessing,
  resolvePreprocessing,
  writePreprocessing,
  type Preprocessing,
} from '../../src/data/index.js';
import { makeGraph, makeModel, tensorType, type Dim, type Model } from '../../src/ir/index.js';
import { countingDataset } from './files.js';

const modelOf = (shape: readonly Dim[] | undefined, dtype: 'float32' | 'uint8' = 'float32'): Model =>
  makeModel(makeGraph({ inputs: [{ name: 'input', type: tensorType(dtype, shape) }] }));
const rgb32: Preprocessing = { height: 32, width: 32, channels: 'rgb', mean: [0.1, 0.2, 0.3], std: [1, 2, 3] };

describe('metadata', () => {
  it('round trips, and overrides every assumption', () => {
    const model = writePreprocessing(modelOf(['batch', 3, 32, 32]), rgb32);
    expect(readPreprocessing(model)).toEqual(rgb32);
    expect(resolvePreprocessing(model)).toEqual({ preprocessing: rgb32, assumed: [] });
    expect(readPreprocessing(modelOf(['batch', 3, 32, 32]))).toBeUndefined();
  });

  it('is refused where broken', () => {
    const broken = (text: string): Model => ({
      ...modelOf([1, 3, 32, 32]),
      metadata: new Map([[PREPROCESSING_KEY, text]]),
    });
    for (const text of [
      '{',
      '[]',
      '{"version":2}',
      JSON.stringify({ version: 1, ...rgb32, std: [0, 1, 1] }),
      JSON.stringify({ version: 1, ...rgb32, mean: [1] }),
    ])
      expect(() => readPreprocessing(broken(text))).toThrow(/cuttle.preprocessing/);
    expect(() => writePreprocessing(modelOf([1, 3, 32, 32]), { ...rgb32, std: [1] })).toThrow(/one number per channel/);
  });
});

describe('resolution', () => {
  it('assumes by shape and says so', () => {
    const small = resolvePreprocessing(modelOf(['batch', 3, 32, 32]));
    expect(small.preprocessing.mean).toEqual([0.4914, 0.4822, 0.4465]);
    expect(small.assumed.join('; ')).toBe(
      "channel order RGB; normalisation 'cifar-10' (mean 0.4914, 0.4822, 0.4465; std 0.247, 0.2435, 0.2616)",
    );
    expect(resolvePreprocessing(modelOf(['batch', 3, 224, 224])).preprocessing.std).toEqual([0.229, 0.224, 0.225]);
    const gray = resolvePreprocessing(modelOf(['batch', 1, 28, 28]));
    expect(gray.preprocessing).toEqual({ height: 28, width: 28, channels: 'gray', mean: [0], std: [1] });
    expect(gray.assumed).toHaveLength(1);
  });

  it('takes what the user says first', () => {
    const model = writePreprocessing(modelOf(['batch', 3, 32, 32]), rgb32);
    expect(resolvePreprocessing(model, { mean: [0.5], std: [0.5] }).preprocessing.mean).toEqual([0.5, 0.5, 0.5]);
    // Means are given as R, G, B and stored in the input's order.
    expect(
      resolvePreprocessing(model, { mean: [1, 2, 3], std: [4, 5, 6], channels: 'bgr' }).preprocessing,
    ).toMatchObject({ mean: [3, 2, 1], std: [6, 5, 4] });
    expect(resolvePreprocessing(model, { channels: 'bgr' }).preprocessing.mean).toEqual([0.3, 0.2, 0.1]);
    expect(resolvePreprocessing(model, { normalise: 'imagenet', channels: 'bgr' }).preprocessing.mean).toEqual([
      0.406, 0.456, 0.485,
    ]);
    expect(resolvePreprocessing(modelOf(['n', 1, 28, 28]), { normalise: 'mnist' })).toMatchObject({
      preprocessing: { mean: [0.1307] },
      assumed: [],
    });
  });

  it('refuses what does not fit', () => {
    const model = modelOf(['batch', 3, 32, 32]);
    expect(() => resolvePreprocessing(model, { mean: [0.5] })).toThrow(/together/);
    expect(() => resolvePreprocessing(model, { mean: [0, 0], std: [1, 1] })).toThrow(/2 numbers/);
    expect(() => resolvePreprocessing(model, { mean: [0], std: [0] })).toThrow(/positive/);
    expect(() => resolvePreprocessing(model, { channels: 'gray' })).toThrow(/3 channels/);
    expect(() => resolvePreprocessing(model, { height: 64, width: 64 })).toThrow(/takes 32×32/);
    expect(() => resolvePreprocessing(modelOf(['n', 3, 'h', 'w']))).toThrow(/no fixed height/);
    expect(resolvePreprocessing(modelOf(['n', 3, 'h', 'w']), { height: 96, width: 64 }).preprocessing).toMatchObject({
      height: 96,
      width: 64,
    });
    for (const other of [modelOf(['n', 32, 32, 3]), modelOf(['n', 10]), modelOf([1, 3, 8, 8], 'uint8')])
      expect(() => resolvePreprocessing(other)).toThrow(expect.objectContaining({ kind: 'unsupported' }));
  });
});

describe('conformDataset', () => {
  it('leaves what fits and converts channels', () => {
    const dataset = countingDataset(3, 3, 4, 5);
    expect(conformDataset(dataset, { height: 4, width: 5, channels: 3 })).toBe(dataset);
    const gray = conformDataset(dataset, { height: 4, width: 5, channels: 1 });
    const at = (c: number): number => dataset.pixels[60 + c * 20 + 7]!;
    expect(gray.pixels[27]).toBe(Math.round(0.299 * at(0) + 0.587 * at(1) + 0.114 * at(2)));
    const back = conformDataset(gray, { height: 4, width: 5, channels: 3 });
    expect([...back.pixels.subarray(0, 20)]).toEqual([...back.pixels.subarray(40, 60)]);
  });

  it('averages when halving, keeps flat pictures flat, and cuts the centre out', () => {
    const dataset = { ...countingDataset(1, 1, 4, 4), pixels: Uint8Array.from({ length: 16 }, (_, i) => (i % 4) * 40) };
    // Pillow 9.4: Image.resize(…, BILINEAR) of the same ramp.
    const half = conformDataset(dataset, { height: 2, width: 2, channels: 1 }).pixels;
    expect([...half]).toEqual([29, 91, 29, 91]);
    const upright = conformDataset(dataset, { height: 6, width: 6, channels: 1 }).pixels;
    expect([...upright.subarray(0, 6)]).toEqual([0, 20, 47, 73, 100, 120]);
    const flat = { ...dataset, pixels: new Uint8Array(16).fill(77) };
    for (const [height, width] of [
      [3, 5],
      [9, 2],
      [1, 1],
      [16, 16],
    ] as const)
      expect(new Set(conformDataset(flat, { height, width, channels: 1 }).pixels)).toEqual(new Set([77]));
    const wide = {
      ...countingDataset(1, 1, 2, 6),
      pixels: Uint8Array.from([1, 1, 200, 200, 1, 1, 1, 1, 200, 200, 1, 1]),
    };
    expect([...conformDataset(wide, { height: 2, width: 2, channels: 1 }).pixels]).toEqual([200, 200, 200, 200]);
  });
});
