/** @file Training exits: what learns, what must not change, and how a stopped training goes on. */
import { describe, expect, test } from 'vitest';
import type { ImageDataset, Preprocessing } from '../../src/data/index.js';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { collectMemo } from '../../src/exits/collect.js';
import { logitsOutputs, type Progressive } from '../../src/exits/progressive.js';
import { buildExitStep, ExitTrainingError, sdnWeight, trainExits } from '../../src/exits/train-exits.js';
import { Tensor, type Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { createRandom } from '../../src/platform/random.js';
import { openSession } from '../../src/runtime/index.js';
import type { CheckpointStore } from '../../src/train/index.js';
import { noise, residualNet } from './networks.js';

const oneThread = { threads: 1 } as const;
const preprocessing: Preprocessing = {
  height: 12,
  width: 12,
  channels: 'rgb',
  mean: [0.5, 0.5, 0.5],
  std: [0.3, 0.3, 0.3],
};

/** Six classes of coloured noise: which third of the image is bright, in which of two colours. */
function stripes(size: number, seed: number): ImageDataset {
  const random = createRandom(seed);
  const labels = new Int32Array(size);
  const pixels = new Uint8Array(size * 432);
  for (let i = 0; i < size; i++) {
    const label = (labels[i] = random.int(6));
    for (let p = 0; p < 432; p++) {
      const [channel, row] = [Math.floor(p / 144), Math.floor((p % 144) / 12)];
      const bright = Math.floor(row / 4) === label % 3 && channel === (label < 3 ? 0 : 2);
      pixels[i * 432 + p] = Math.min(255, random.int(100) + (bright ? 130 : 0));
    }
  }
  const classes = Array.from({ length: 6 }, (_, c) => `c${c}`);
  return { name: 'stripes', classes, size, channels: 3, height: 12, width: 12, labels, pixels };
}

const data = stripes(192, 1);
const probe = noise(createRandom(5), [9, 3, 12, 12]);

function attached(head: 'msdnet' | 'sdn' | 'pool' = 'msdnet'): Progressive {
  const candidates = findCandidates(residualNet());
  return attachExits(candidates, candidates.all, { kind: head, width: 8 }, 3);
}

const isHead = (name: string): boolean => name.startsWith('exit_');

async function outputsOf(model: Model, outputs: readonly string[]): Promise<Record<string, Tensor>> {
  await using session = await openSession(encodeModel(model), oneThread);
  return session.run({ input: probe }, { outputs });
}

async function accuracies(progressive: Progressive, set: ImageDataset): Promise<readonly number[]> {
  const images = Tensor.floats(
    Float32Array.from(set.pixels, (value) => (value / 255 - 0.5) / 0.3),
    [set.size, 3, 12, 12],
  );
  const memo = await collectMemo(
    progressive,
    [{ images, labels: Tensor.of('int32', [set.size], set.labels) }],
    oneThread,
  );
  return memo.logits.map((logits) => {
    let right = 0;
    for (let s = 0; s < set.size; s++) {
      const row = logits.subarray(s * 6, s * 6 + 6);
      if (row.indexOf(Math.max(...row)) === set.labels[s]) right++;
    }
    return right / set.size;
  });
}

const quick = { data, preprocessing, epochs: 6, batchSize: 32, learningRate: 0.02, session: oneThread } as const;

describe('frozen backbone', () => {
  test.each(['msdnet', 'sdn', 'pool'] as const)(
    '%s heads learn; the backbone keeps every byte and answer',
    async (head) => {
      const before = attached(head);
      const { progressive: after, groups, imagesPerSecond } = await trainExits(before, quick);
      for (const [name, tensor] of before.model.graph.initializers) {
        const trained = after.model.graph.initializers.get(name)!;
        if (isHead(name)) expect(trained.bytes, name).not.toEqual(tensor.bytes);
        else expect(trained.bytes, name).toEqual(tensor.bytes);
      }
      const [x, y] = [
        await outputsOf(before.model, logitsOutputs(before.info)),
        await outputsOf(after.model, logitsOutputs(before.info)),
      ];
      const final = before.info.final.logits;
      expect(y[final]!.bytes).toEqual(x[final]!.bytes);
      expect(groups).toHaveLength(1);
      expect(imagesPerSecond).toBeGreaterThan(0);
      const shares = await accuracies(after, stripes(120, 2));
      const untrained = await accuracies(before, stripes(120, 2));
      const { history } = groups[0]!.result;
      expect(history.at(-1)!.loss).toBeLessThan(history[0]!.loss);
      // A global average cannot tell the upper third of an image from the lower one.
      if (head !== 'pool') expect(Math.max(...shares.slice(0, -1))).toBeGreaterThan(0.75);
      expect(shares.at(-1)).toBe(untrained.at(-1));
    },
  );

  test('the backbone’s nodes appear once in the step graph, whatever the number of heads; its parameters stay out of the state', () => {
    const progressive = attached();
    const count = (group: readonly number[]): number =>
      buildExitStep(progressive, group, {}).model.graph.nodes.filter(
        ({ op, inputs }) => op === 'Conv' && inputs[1]!.startsWith('weight'),
      ).length;
    expect(count([6])).toBe(6);
    expect(count([0, 1, 2, 3, 4, 5, 6])).toBe(6);
    // Only what the heads of the group read: the stem, for the first.
    expect(count([0])).toBe(1);
    expect(buildExitStep(progressive, [0, 6], {}).state.every(({ of }) => isHead(of))).toBe(true);
  });

  test('groups of heads give the same weights as all at once', async () => {
    const options = { ...quick, epochs: 1 };
    const whole = await trainExits(attached(), options);
    const grouped = await trainExits(attached(), { ...options, maxHeadsPerStep: 3 });
    expect(grouped.groups.map(({ exits }) => exits)).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
    for (const [name, tensor] of whole.progressive.model.graph.initializers) {
      const other = grouped.progressive.model.graph.initializers.get(name)!.data as Float32Array;
      // The same arithmetic; ONNX Runtime may fuse a lone head in another way.
      if (isHead(name)) (tensor.data as Float32Array).forEach((value, i) => expect(other[i]).toBeCloseTo(value, 2));
    }
  });

  test('an aborted training goes on from its checkpoint, across groups, bit for bit', async () => {
    const options = { ...quick, epochs: 2, maxHeadsPerStep: 4 };
    const straight = await trainExits(attached('pool'), options);
    let kept: Uint8Array | undefined;
    const checkpoints: CheckpointStore = {
      load: async () => kept,
      save: async (bytes) => void (kept = bytes.slice()),
      clear: async () => void (kept = undefined),
    };
    for (const stopAt of [3, 8]) {
      const controller = new AbortController();
      let steps = 0;
      const onEvent = (event: { readonly event: { readonly kind: string } }): void => {
        if (event.event.kind === 'step' && ++steps === stopAt) controller.abort();
      };
      const run = trainExits(attached('pool'), { ...options, checkpoints, signal: controller.signal, onEvent });
      await expect(run).rejects.toMatchObject({ name: 'InterruptedError' });
      expect(kept).toBeDefined();
    }
    await expect(trainExits(attached('pool'), { ...options, epochs: 3, checkpoints })).rejects.toThrow(/other options/);
    const resumed = await trainExits(attached('pool'), { ...options, checkpoints });
    expect(kept).toBeUndefined();
    for (const [name, tensor] of straight.progressive.model.graph.initializers)
      expect(resumed.progressive.model.graph.initializers.get(name)!.bytes, name).toEqual(tensor.bytes);
  });

  test('distillation pulls an exit towards the final one', async () => {
    const distance = async ({ model, info }: Progressive): Promise<number> => {
      const results = await outputsOf(model, logitsOutputs(info));
      const teacher = softmaxRows(results[info.final.logits]!);
      const student = softmaxRows(results[info.exits[5]!.output]!);
      return teacher.reduce((sum, p, i) => sum + p * Math.log(p / student[i]!), 0) / 9;
    };
    const alone = await trainExits(attached(), quick);
    const distilled = await trainExits(attached(), { ...quick, distillation: { alpha: 0, temperature: 2 } });
    expect(await distance(distilled.progressive)).toBeLessThan(0.5 * (await distance(alone.progressive)));
  });
});

describe('joint training', () => {
  test('moves the backbone too, and the final exit learns', async () => {
    const before = attached('pool');
    const { progressive: after } = await trainExits(before, { ...quick, backbone: 'joint' });
    const moved = [...before.model.graph.initializers].filter(
      ([name, tensor]) => !isHead(name) && !equal(after.model.graph.initializers.get(name)!.bytes, tensor.bytes),
    );
    expect(moved.length).toBeGreaterThan(20);
    const shares = await accuracies(after, stripes(120, 2));
    expect(shares.at(-1)).toBeGreaterThan(0.8);
  });

  test('SDN’s weights: min(C, 0.01 + epoch · C / epochs), epochs from 1', () => {
    const weight = sdnWeight(0.3, 10);
    const at = (epoch: number): number => weight({ step: epoch * 7 + 3, stepsPerEpoch: 7, totalSteps: 70 });
    expect(at(0)).toBeCloseTo(0.04, 12);
    expect(at(4)).toBeCloseTo(0.16, 12);
    expect(at(9)).toBe(0.3);
  });
});

test('impossible options are refused', async () => {
  const wrong = [
    { ...quick, maxHeadsPerStep: 0 },
    { ...quick, backbone: 'joint' as const, maxHeadsPerStep: 2 },
    { ...quick, distillation: { alpha: 2, temperature: 1 } },
    { ...quick, data: { ...data, classes: ['a', 'b'] } },
  ];
  for (const options of wrong) await expect(trainExits(attached(), options)).rejects.toThrow(ExitTrainingError);
});

function softmaxRows(logits: Tensor): Float64Array {
  const values = Float64Array.from(logits.data as Float32Array, Math.exp);
  for (let at = 0; at < values.length; at += 6) {
    const row = values.subarray(at, at + 6);
    const sum = row.reduce((total, value) => total + value, 0);
    row.forEach((value, i) => (row[i] = value / sum));
  }
  return values;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
