/** @file Inference modes: subnet, anytime and budgeted batch, by look-up and really run. */
import { describe, expect, test } from 'vitest';
import { openAnytime } from '../../src/exits/anytime.js';
import { planBatch } from '../../src/exits/batch-budget.js';
import { answersCalibration, expectedCalibrationError } from '../../src/exits/calibrate.js';
import { backboneCost } from '../../src/exits/costs.js';
import type { DesignChoice } from '../../src/exits/design.js';
import { evaluateDesign, traceDesign } from '../../src/exits/evaluate.js';
import { evaluateAnswers, evaluateAnytime, evaluateSubnet } from '../../src/exits/evaluate-modes.js';
import { macsCosts } from '../../src/exits/measure-costs.js';
import { anytimeCost, budgetedCost } from '../../src/exits/modes.js';
import { policyKinds } from '../../src/exits/policies/index.js';
import { exitAccuracy } from '../../src/exits/scores.js';
import { InfeasibleBudgetError } from '../../src/exits/search/problem.js';
import { openProgressive } from '../../src/exits/session.js';
import { subnetOf } from '../../src/exits/subnet.js';
import { Tensor } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { costOf } from '../../src/passes/index.js';
import { createRandom } from '../../src/platform/random.js';
import { openSession } from '../../src/runtime/index.js';
import { allScores, caseOf, drawDesign, memoOf, oneThread } from './forms.js';
import { residualNet } from './networks.js';
import { syntheticCosts, syntheticMemo } from './synthetic.js';

const candidates = 5;
const memo = syntheticMemo({ candidates, samples: 1200, classes: 8, seed: 21 });
const scores = allScores(memo, [1.1, 0.9, 1.2, 1, 1.3, 0.8]);
const costs = syntheticCosts(candidates, 1, 0.05);
const plain = backboneCost(costs);

describe('calibration error', () => {
  test('of a design that one exit answers is that exit’s own', () => {
    for (const exit of [0, 3, candidates]) {
      const { accuracy, ece } = answersCalibration(scores, new Uint16Array(1200).fill(exit));
      expect(accuracy).toBe(exitAccuracy(scores, exit));
      expect(ece).toBe(expectedCalibrationError(memo.logits[exit]!, memo.labels, 8, scores.temperatures[exit]!));
    }
  });

  test('is what a plain count of one bin gives', () => {
    const by = Uint16Array.from({ length: 1200 }, (_, s) => s % (candidates + 1));
    let confidence = 0;
    let right = 0;
    by.forEach((exit, s) => {
      confidence += scores.top1[exit]![s]!;
      if (scores.prediction[exit]![s] === scores.labels[s]) right++;
    });
    expect(answersCalibration(scores, by, 1).ece).toBeCloseTo(Math.abs(confidence - right) / 1200, 12);
  });
});

describe('subnet', () => {
  test('costs one path and one head, and is right as often as its exit', () => {
    const mode = evaluateSubnet(scores, costs, 2);
    expect(mode.averageCost).toBe(budgetedCost(costs, 2));
    expect(mode.accuracy).toBe(exitAccuracy(scores, 2));
    expect([...mode.exitShares]).toEqual([0, 0, 1, 0, 0, 0]);
  });

  test('is a plain network that computes what the whole one does, at the stated cost', async () => {
    const { progressive, images } = caseOf(residualNet(), 3);
    const { info, model } = progressive;
    await using whole = await openSession(encodeModel(model), oneThread);
    const expected = await whole.run({ [info.input]: images });
    for (const exit of [0, 3, info.exits.length]) {
      const subnet = subnetOf(progressive, exit);
      expect(subnet.graph.outputs).toHaveLength(1);
      expect(subnet.metadata.has('cuttle.exits')).toBe(false);
      const name = subnet.graph.outputs[0]!.name;
      await using session = await openSession(encodeModel(subnet), oneThread);
      const logits = (await session.run({ [info.input]: images }))[name]!.data as Float32Array;
      const want = expected[name]!.data as Float32Array;
      logits.forEach((value, i) => expect(value).toBeCloseTo(want[i]!, 4));
      expect(costOf(subnet, { symbols: { [info.batch]: 1 } }).total.macs).toBe(
        budgetedCost(macsCosts(progressive), exit),
      );
    }
  });
});

describe('anytime', () => {
  test('by look-up: one step per exit, cost and accuracy rising to the whole design’s', () => {
    const choice: DesignChoice = {
      exits: [0, 2, 4],
      policy: { kind: 'confidence', thresholds: Infinity, temperatures: [1.1, 1.2, 1.3, 0.8] },
      fallback: 'last',
    };
    const steps = evaluateAnytime(scores, costs, choice);
    expect(steps.map(({ exits }) => exits)).toEqual([1, 2, 3, 4]);
    expect(steps.map(({ accuracy }) => accuracy)).toEqual([0, 2, 4, 5].map((exit) => exitAccuracy(scores, exit)));
    expect(steps.at(-1)!.averageCost).toBeCloseTo(anytimeCost(costs, [0, 2, 4, 5]), 9);
    steps.forEach(({ averageCost, deadline }) => expect(averageCost).toBeCloseTo(deadline, 9));
  });

  test('a session’s answers are those of the look-up after every stage, whatever the policy', async () => {
    const network = caseOf(residualNet(), 20);
    const tables = allScores(await memoOf(network));
    const random = createRandom(6);
    for (const kind of policyKinds) {
      const choice = drawDesign(random, tables, kind);
      const networkCosts = macsCosts(network.progressive);
      const steps = evaluateAnytime(tables, networkCosts, choice);
      const traced = traceDesign(tables, networkCosts, choice);
      await using session = await openAnytime(network.progressive, choice, oneThread);
      let count = 0;
      for await (const { answers, exits, complete } of session.answers(network.images)) {
        const { accuracy } = steps[count++]!;
        expect(exits).toBe(count);
        const right = answers.filter(({ prediction }, s) => prediction === tables.labels[s]).length;
        expect(right / tables.samples).toBeCloseTo(accuracy, 12);
        expect(complete).toBe(count === steps.length || answers.every(({ exit }, s) => exit === traced.exitOf[s]));
      }
      expect(traced.exitCounts.slice(count).every((stopped) => stopped === 0)).toBe(true);
    }
  });

  test('answers by the deadline: the first exit at least, everything where there is time', async () => {
    const { progressive, images } = caseOf(residualNet(), 4);
    const final = progressive.info.exits.length;
    await using session = await openAnytime(progressive, { exits: [1, 3] }, oneThread);
    const hurried = await session.before(images, { deadlineMs: 0 });
    expect(hurried).toMatchObject({ exits: 1, late: true, complete: false });
    expect(hurried.answers.map(({ exit }) => exit)).toEqual([1, 1, 1, 1]);
    const aborted = await session.before(images, { signal: AbortSignal.abort() });
    expect(aborted).toMatchObject({ exits: 1, late: true });
    const unhurried = await session.before(images, {});
    expect(unhurried).toMatchObject({ exits: 3, late: false, complete: true });
    expect(unhurried.answers.map(({ exit }) => exit)).toEqual([final, final, final, final]);
    await using whole = await openProgressive(progressive, session.design, oneThread);
    expect(unhurried.answers).toEqual((await whole.run(images)).answers);
    await expect(session.before(Tensor.floats(new Float32Array(0), [0, 3, 12, 12]), {})).rejects.toThrow(/empty/);
  });

  test('takes the best answer so far when the signal fires within a stage, and stays usable', async () => {
    const { progressive, images } = caseOf(residualNet(), 2);
    await using session = await openAnytime(progressive, { exits: [0, 2, 4] }, oneThread);
    const stop = new AbortController();
    const answers = session.answers(images);
    await answers.next();
    // Fires before the engine's own thread can report the second stage.
    const pending = session.before(images, { signal: stop.signal });
    setTimeout(() => stop.abort(), 0);
    const { exits, answers: given } = await pending;
    expect(exits).toBeGreaterThanOrEqual(1);
    expect(given).toHaveLength(2);
    expect((await session.before(images, {})).exits).toBe(4);
  });
});

describe('budgeted batch', () => {
  const exits = [0, 1, 2, 3, 4];

  test.each(policyKinds)('%s spends a budget and no more, shared and per exit', (policy) => {
    for (const thresholds of ['shared', 'per-exit'] as const)
      for (const share of [0.75, 1]) {
        const budget = share * plain;
        const { choice, predicted, q } = planBatch(scores, costs, { exits, policy, thresholds, budget });
        expect(predicted.latency.average).toBeLessThanOrEqual(budget);
        expect(typeof choice.policy.thresholds === 'number').toBe(thresholds === 'shared');
        expect(evaluateDesign(scores, costs, choice)).toEqual(predicted);
        expect(q !== undefined).toBe(thresholds === 'per-exit' && policy !== 'patience');
        // Scores resolve a budget finely, patience does not.
        if (policy !== 'patience') expect(predicted.latency.average).toBeGreaterThan(0.97 * budget);
      }
  });

  test('exit shares follow q', () => {
    const options = { exits, policy: 'confidence', thresholds: 'per-exit', budget: 0.6 * plain } as const;
    const { predicted, q } = planBatch(scores, costs, options);
    const powers = predicted.instantiated.map((_, k) => q! ** (k + 1));
    const total = powers.reduce((a, b) => a + b, 0);
    powers.forEach((power, k) => expect(predicted.exitCounts[k]! / 1200).toBeCloseTo(power / total, 2));
  });

  test('per-exit patience is at least as accurate as shared patience', () => {
    const options = { exits, policy: 'patience', budget: 0.9 * plain } as const;
    const shared = planBatch(scores, costs, { ...options, thresholds: 'shared' });
    const own = planBatch(scores, costs, { ...options, thresholds: 'per-exit' });
    expect(own.predicted.correct).toBeGreaterThanOrEqual(shared.predicted.correct);
  });

  test('says by how much a budget is out of reach', () => {
    const options = { exits, policy: 'margin', thresholds: 'shared', budget: 0.01 * plain } as const;
    expect(() => planBatch(scores, costs, options)).toThrow(InfeasibleBudgetError);
    expect(() => planBatch(scores, costs, { ...options, exits: [] })).toThrow(/without an early exit/);
  });

  test('the plan is a design like any other: its answers and their calibration', () => {
    const { choice, predicted } = planBatch(scores, costs, {
      ...{ exits, policy: 'entropy', thresholds: 'shared', budget: 0.7 * plain },
    });
    const mode = evaluateAnswers(scores, costs, choice);
    expect(mode.accuracy).toBe(predicted.accuracy);
    expect(mode.averageCost).toBe(predicted.latency.average);
    expect(mode.exitShares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    expect(mode.ece).toBeGreaterThan(0);
  });
});
