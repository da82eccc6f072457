/** @file Exits on Transformers and recurrent networks: where they hang, what their heads read, the same decisions in every form. */
import { describe, expect, test } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { collectMemo } from '../../src/exits/collect.js';
import { UnknownHeadError, type HeadKind } from '../../src/exits/heads/index.js';
import { macsCosts } from '../../src/exits/measure-costs.js';
import { policyKinds } from '../../src/exits/policies/index.js';
import { trainExits } from '../../src/exits/train-exits.js';
import { exitAccuracy, scoreTables } from '../../src/exits/scores.js';
import { batches, takeSamples, type ImageDataset } from '../../src/data/index.js';
import type { Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { splitRecurrence } from '../../src/passes/index.js';
import { createRandom } from '../../src/platform/random.js';
import { openSession } from '../../src/runtime/index.js';
import { allScores, caseOf, compareForms, drawDesign, memoOf, oneThread } from './forms.js';
import { noise, residualNet } from './networks.js';
import { recurrentNet, transformerNet } from './networks-sequence.js';

describe('candidates', () => {
  test('of a Transformer are its embedding and the ends of its blocks', () => {
    const { all } = findCandidates(transformerNet());
    expect(all.map(({ layout }) => layout.kind)).toEqual(Array.from(all, () => 'sequence'));
    // Embedding with class token and positions; attention and feed-forward part of two blocks.
    expect(all.map(({ shape, blockEnd }) => [...shape, blockEnd])).toEqual([
      [16, 8, 1, true],
      ...Array.from({ length: 4 }, () => [16, 9, 1, true]),
    ]);
    expect(all.map(({ macs }) => macs)).toEqual([...all.map(({ macs }) => macs)].sort((a, b) => a - b));
  });

  test('of recurrent layers are their last states, named where the model did not', () => {
    for (const cell of ['LSTM', 'GRU', 'RNN'] as const) {
      const { all } = findCandidates(recurrentNet(cell));
      expect(all.map(({ op, shape, layout }) => [op, ...shape, layout.kind])).toEqual([
        [cell, 16, 1, 1, 'vector'],
        [cell, 16, 1, 1, 'vector'],
      ]);
    }
    expect(findCandidates(recurrentNet('LSTM', true)).all.map(({ shape }) => shape[0])).toEqual([32, 32]);
  });

  test('after splitting, one per layer and part, costs growing with the steps', () => {
    const { model, layers } = splitRecurrence(recurrentNet(), [3, 7]);
    expect([...layers.values()].map((parts) => parts.length)).toEqual([3, 3]);
    const { all, macs } = findCandidates(model);
    expect(all).toHaveLength(6);
    const perStep = 4 * 16 * (6 + 16) + 4 * 16 * (16 + 16);
    const top = all.filter(({ macs: cost }) => [3, 7, 10].some((steps) => cost === steps * perStep));
    expect(top.map(({ macs: cost }) => cost)).toEqual([3, 7, 10].map((steps) => steps * perStep));
    expect(macs).toBe(10 * perStep + 16 * 5);
  });

  test('the class-token head refuses feature maps', () => {
    const candidates = findCandidates(residualNet());
    expect(() => attachExits(candidates, candidates.all, 'class-token')).toThrow(UnknownHeadError);
  });
});

describe.each<[string, () => Model, HeadKind]>([
  ['a Transformer, class token', transformerNet, 'class-token'],
  ['a Transformer, mean over tokens', transformerNet, 'pool'],
  ['a Transformer, convolutions along tokens', transformerNet, 'msdnet'],
  ['LSTM layers', recurrentNet, 'pool'],
  ['LSTM layers both ways', () => recurrentNet('LSTM', true), 'sdn'],
  ['LSTM steps', () => splitRecurrence(recurrentNet(), [3, 7]).model, 'pool'],
  ['GRU steps', () => splitRecurrence(recurrentNet('GRU'), [5]).model, 'class-token'],
])('%s', (_, build, head) => {
  test('random designs give the same exits and predictions in every form', { timeout: 120_000 }, async () => {
    const network = caseOf(build(), 12, head);
    const memo = await memoOf(network);
    const random = createRandom(31);
    for (let round = 0; round < 5; round++) {
      const temperatures = Float64Array.from(memo.logits, () => (round < 2 ? 1 : 0.5 + random.next()));
      const scores = allScores(memo, temperatures);
      await compareForms(network, scores, drawDesign(random, scores, policyKinds[round % policyKinds.length]));
    }
  });
});

describe('training', () => {
  /** Bright bars: the class is the row in which the bar lies. */
  const bars = ((): ImageDataset => {
    const random = createRandom(3);
    const [size, height, width] = [640, 10, 6];
    const pixels = new Uint8Array(size * height * width);
    const labels = Int32Array.from({ length: size }, () => random.int(5));
    labels.forEach((label, s) => {
      for (let i = 0; i < height * width; i++) pixels[s * height * width + i] = random.int(120);
      for (let x = 0; x < width; x++) pixels[(s * height + label) * width + x] = 255;
    });
    const classes = ['0', '1', '2', '3', '4'];
    return { name: 'bars', classes, size, channels: 1, height, width, labels, pixels };
  })();
  const preprocessing = { height: 10, width: 6, channels: 'gray', mean: [0.25], std: [0.25] } as const;
  const settings = { preprocessing: { ...preprocessing, mean: [0.25], std: [0.25] }, session: oneThread };
  const train = takeSamples(
    bars,
    Uint32Array.from({ length: 512 }, (_, i) => i),
  );
  const held = takeSamples(
    bars,
    Uint32Array.from({ length: 128 }, (_, i) => 512 + i),
  );

  test.each(['frozen', 'joint'] as const)(
    '%s: the exits of a split LSTM learn',
    { timeout: 120_000 },
    async (backbone) => {
      const candidates = findCandidates(splitRecurrence(recurrentNet(), [5]).model);
      const attached = attachExits(candidates, candidates.all, 'pool', 2);
      const { progressive } = await trainExits(attached, {
        ...settings,
        ...{ data: train, backbone, epochs: 12, batchSize: 32, learningRate: 0.03 },
      });
      const memo = await collectMemo(progressive, batches(held, { ...settings, batchSize: 64 }), oneThread);
      const scores = scoreTables(memo);
      // After five steps every bar has been seen; the frozen states are random features.
      const accuracies = progressive.info.exits.map((__, exit) => exitAccuracy(scores, exit));
      expect(Math.max(...accuracies)).toBeGreaterThan(backbone === 'joint' ? 0.9 : 0.5);
      const frozen = attached.model.graph.initializers;
      const moved = [...progressive.model.graph.initializers].filter(([name, tensor]) => {
        const before = frozen.get(name);
        return name.startsWith('recurrent') && before?.bytes.some((byte, i) => byte !== tensor.bytes[i]);
      });
      expect(moved.length > 0).toBe(backbone === 'joint');
    },
  );
});

test('costs count each step once', () => {
  const { progressive } = caseOf(splitRecurrence(recurrentNet(), [3, 7]).model, 1, 'pool');
  const { segments } = macsCosts(progressive);
  expect(segments.reduce((a, b) => a + b, 0)).toBe(progressive.info.macs);
});

test('splitting changes no answer', async () => {
  for (const cell of ['LSTM', 'GRU', 'RNN'] as const) {
    const whole = recurrentNet(cell);
    const images = noise(createRandom(4), [3, 1, 10, 6]);
    const split = splitRecurrence(whole, [1, 4, 9]).model;
    const [a, b] = await Promise.all(
      [whole, split].map(async (model) => {
        await using session = await openSession(encodeModel(model), oneThread);
        return (await session.run({ input: images }))[model.graph.outputs[0]!.name]!.data as Float32Array;
      }),
    );
    b!.forEach((value, i) => expect(value).toBeCloseTo(a![i]!, 5));
  }
});

test('splitting refuses what cannot be split', () => {
  expect(() => splitRecurrence(recurrentNet(), [10])).toThrow(/none of them runs forward over more than 10 steps/);
  expect(() => splitRecurrence(recurrentNet(), [4, 2])).toThrow(/no ascending list/);
  expect(() => splitRecurrence(recurrentNet('LSTM', true), [4])).toThrow(/cannot be split/);
});
