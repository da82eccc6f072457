/** @file Training from data to a model file: learns, repeats by seed, resumes, refuses what does not fit. */
import { describe, expect, it } from 'vitest';
import { readPreprocessing, type DataSplits, type ImageDataset } from '../../src/data/index.js';
import { loadModel } from '../../src/onnx/node.js';
import { createRandom } from '../../src/platform/index.js';
import { exists, FileExistsError, joinPath, withTemporaryFolder } from '../../src/platform/node/files.js';
import { CLASSES_KEY } from '../../src/data/index.js';
import { InterruptedError, trainModel, type TrainModelOptions } from '../../src/train/index.js';
import { trainToFile } from '../../src/train/node.js';
import { buildArchitecture } from '../../src/zoo/index.js';

/** 12×12 gray images; the class is the quadrant that is bright. */
function quadrants(name: string, size: number, seed: number): ImageDataset {
  const random = createRandom(seed);
  const labels = Int32Array.from({ length: size }, () => random.int(4));
  const pixels = new Uint8Array(size * 144);
  for (let i = 0; i < size; i++)
    for (let row = 0; row < 12; row++)
      for (let column = 0; column < 12; column++) {
        const bright = labels[i] === (row < 6 ? 0 : 2) + (column < 6 ? 0 : 1);
        pixels[i * 144 + row * 12 + column] = random.int(120) + (bright ? 60 : 0);
      }
  return { name, classes: ['nw', 'ne', 'sw', 'se'], size, channels: 1, height: 12, width: 12, labels, pixels };
}

const data: DataSplits = {
  train: quadrants('train', 320, 1),
  calibration: quadrants('calibration', 64, 2),
  test: quadrants('test', 128, 3),
};
const OPTIONS: TrainModelOptions = {
  model: ({ classes, input }) => buildArchitecture('lenet-5', { classes, input, seed: 4 }),
  data,
  epochs: 3,
  batchSize: 32,
  learningRate: 0.02,
  preprocessing: { mean: [0.3], std: [0.2] },
  seed: 1,
  session: { threads: 1 },
};

describe('trainModel', () => {
  it('learns, and gives the same network for the same seed', async () => {
    const first = await trainModel(OPTIONS);
    expect(first.accuracy).toBeGreaterThan(0.9);
    expect(first).toMatchObject({ epochs: 3, stopped: 'finished' });
    expect(first.params).toBeGreaterThan(10_000);
    expect(first.history).toHaveLength(3);
    const second = await trainModel(OPTIONS);
    expect(second.model.graph.initializers.get('fc3.weight')!.data).toEqual(
      first.model.graph.initializers.get('fc3.weight')!.data,
    );
  });

  it('refuses data with another number of classes', async () => {
    const model = buildArchitecture('lenet-5', { classes: 7, input: [1, 12, 12], seed: 1 });
    await expect(trainModel({ ...OPTIONS, model })).rejects.toThrow(/7 classes, but the data has 4/);
  });
});

describe('trainToFile', () => {
  it('continues an interrupted training and writes the very model that an uninterrupted one gives', async () => {
    const straight = await trainModel(OPTIONS);
    await withTemporaryFolder(async (folder) => {
      const out = joinPath(folder, 'model.onnx');
      const controller = new AbortController();
      const interrupted = trainToFile({
        ...OPTIONS,
        out,
        signal: controller.signal,
        onEvent: (event) => event.kind === 'step' && event.step === 13 && controller.abort(),
      });
      await expect(interrupted).rejects.toThrow(InterruptedError);
      expect(await exists(out)).toBe(false);
      expect(await exists(`${out}.checkpoint`)).toBe(true);
      const resumed = await trainToFile({ ...OPTIONS, out });
      expect(resumed.accuracy).toBe(straight.accuracy);
      expect(await exists(`${out}.checkpoint`)).toBe(false);

      const written = await loadModel(out);
      for (const [name, tensor] of straight.model.graph.initializers)
        expect(written.graph.initializers.get(name)!.numbers(), name).toEqual(tensor.numbers());
      expect(readPreprocessing(written)).toMatchObject({ height: 12, width: 12, channels: 'gray', mean: [0.3] });
      expect(JSON.parse(written.metadata.get(CLASSES_KEY)!)).toEqual(['nw', 'ne', 'sw', 'se']);
      await expect(trainToFile({ ...OPTIONS, out })).rejects.toThrow(FileExistsError);
    });
  });
});
