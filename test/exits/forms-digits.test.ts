/** @file The demo's network, trained with its exits on real digits: every sample of a test set in every form. */
import { expect, test } from 'vitest';
import { batches, chooseStratified, takeSamples } from '../../src/data/index.js';
import { readDigits } from '../../src/data/digits.js';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { collectMemo } from '../../src/exits/collect.js';
import { policyKinds } from '../../src/exits/policies/index.js';
import { trainExits } from '../../src/exits/train-exits.js';
import type { Tensor } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/random.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { allScores, compareForms, drawDesign, oneThread } from './forms.js';

const preprocessing = { height: 28, width: 28, channels: 'gray', mean: [0.13], std: [0.31] } as const;

test(
  '20 designs, 100 digits: look-up, stages (batched and one by one) and baked file agree',
  { timeout: 120_000 },
  async () => {
    const digits = await readDigits();
    const order = createRandom(1).shuffle(chooseStratified(digits.labels, 10, 900, 1));
    const train = takeSamples(digits, order.subarray(0, 800));
    const held = takeSamples(digits, order.subarray(800));
    const candidates = findCandidates(buildArchitecture('digits-cnn', { classes: 10, input: [1, 28, 28], seed: 1 }));
    const untrained = attachExits(candidates, candidates.all, { kind: 'msdnet', width: 8 }, 1);
    const options = { preprocessing: { ...preprocessing, mean: [0.13], std: [0.31] }, batchSize: 100 };
    const { progressive } = await trainExits(untrained, {
      ...options,
      data: train,
      backbone: 'joint',
      epochs: 4,
      learningRate: 0.01,
      session: oneThread,
    });

    let images: Tensor<'float32'> | undefined;
    for await (const batch of batches(held, options)) images = batch.images;
    const memo = await collectMemo(progressive, batches(held, { ...options, batchSize: 32 }), oneThread);
    expect([...memo.labels]).toEqual([...held.labels]);
    if (images === undefined) throw new Error('there are no images');
    const random = createRandom(8);
    let leftEarly = 0;
    for (let round = 0; round < 20; round++) {
      const temperatures = Float64Array.from(memo.logits, () => (round % 2 === 0 ? 1 : 0.5 + 2 * random.next()));
      const scores = allScores(memo, temperatures);
      const traced = await compareForms(
        { progressive, images: images },
        scores,
        drawDesign(random, scores, policyKinds[round % policyKinds.length]),
      );
      if (traced.exitCounts.filter((count) => count > 0).length > 1) leftEarly++;
      if (round === 0)
        expect(scores.prediction.at(-1)!.filter((p, s) => p === held.labels[s]).length).toBeGreaterThan(60);
    }
    // The comparison would be empty if designs had everybody leave at one exit.
    expect(leftEarly).toBeGreaterThan(10);
  },
);
