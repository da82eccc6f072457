/** @file Baselines: where their exits go, what their sweeps reach, and the oracle. */
import { describe, expect, it } from 'vitest';
import {
  agreementBaseline,
  bestWithin,
  branchyNetBaseline,
  exitsAtShares,
  msdnetBaseline,
  oracle,
  sdnBaseline,
} from '../../src/exits/baselines.js';
import { backboneCost } from '../../src/exits/costs.js';
import { InvalidDesignError } from '../../src/exits/design.js';
import { evaluateDesign, traceDesign } from '../../src/exits/evaluate.js';
import { exitAccuracy, scoreTables } from '../../src/exits/scores.js';
import { proportionThresholds } from '../../src/exits/thresholds.js';
import { syntheticCosts, syntheticMemo } from './synthetic.js';

const candidates = 19;
const scores = scoreTables(syntheticMemo({ candidates, samples: 1500, classes: 10, seed: 8 }));
const costs = syntheticCosts(candidates);

describe('placement', () => {
  it('is FLOP-equidistant, one candidate each', () => {
    const segments = new Float64Array(20).fill(1);
    expect(exitsAtShares(segments, [0.15, 0.3, 0.45, 0.6, 0.75, 0.9])).toEqual([2, 5, 8, 11, 14, 17]);
    expect(exitsAtShares(segments, [1 / 3, 2 / 3])).toEqual([6, 12]);
    expect(exitsAtShares(segments, [0.5, 0.5])).toHaveLength(2);
    expect(exitsAtShares(segments, [0.1, 0.9], [4, 5, 6])).toEqual([4, 6]);
    expect(() => exitsAtShares(segments, [0.1, 0.9], [4])).toThrow(InvalidDesignError);
  });
});

describe('sweeps', () => {
  it('give the best setting within a budget, or none', () => {
    const swept = sdnBaseline({ scores, costs });
    const budget = 0.8 * backboneCost(costs);
    const best = bestWithin(swept, { kind: 'average', budget })!;
    expect(best.choice.exits).toHaveLength(6);
    expect(best.predicted.latency.average).toBeLessThanOrEqual(budget);
    for (const { predicted } of swept)
      if (predicted.latency.average <= budget) expect(predicted.accuracy).toBeLessThanOrEqual(best.predicted.accuracy);
    expect(bestWithin(swept, { kind: 'worst-case', budget })).toBeUndefined();
    expect(
      bestWithin(sdnBaseline({ scores, costs, truncation: 'allowed' }), { kind: 'worst-case', budget }),
    ).toBeDefined();
    expect(bestWithin(branchyNetBaseline({ scores, costs }), { kind: 'average', budget: 1e-3 })).toBeUndefined();
    expect(branchyNetBaseline({ scores, costs }).every(({ choice }) => choice.policy.kind === 'entropy')).toBe(true);
  });

  it('of MSDNet take the exit shares asked for', () => {
    const exits = [3, 8, 14];
    for (const q of [0.4, 1, 1.6]) {
      const thresholds = proportionThresholds(scores, 'confidence', [...exits, candidates], q);
      const policy = { kind: 'confidence', thresholds } as const;
      const { exitCounts } = evaluateDesign(scores, costs, { exits, policy, fallback: 'last' });
      const powers = [1, 2, 3, 4].map((k) => q ** k);
      const total = powers.reduce((a, b) => a + b, 0);
      powers.forEach((power, i) => expect(Math.abs(exitCounts[i]! - (1500 * power) / total)).toBeLessThan(4));
    }
    const entropies = proportionThresholds(scores, 'entropy', [...exits, candidates], 1);
    const policy = { kind: 'entropy', thresholds: entropies } as const;
    const { exitCounts } = evaluateDesign(scores, costs, { exits, policy, fallback: 'last' });
    for (const stopped of exitCounts) expect(Math.abs(stopped - 375)).toBeLessThan(4);
    const averages = msdnetBaseline({ scores, costs }, exits).map(({ predicted }) => predicted.latency.average);
    expect(averages).toEqual([...averages].sort((a, b) => a - b));
  });

  it('of Apparate keep the asked agreement with the final exit, and are faster than not leaving', () => {
    const exits = [5, 9, 14];
    const { choice } = agreementBaseline({ scores, costs }, exits, 0.97);
    const traced = traceDesign(scores, costs, choice);
    const agreeing = traced.predictions.filter((prediction, s) => prediction === scores.prediction[candidates]![s]);
    expect(agreeing.length / scores.samples).toBeGreaterThanOrEqual(0.97);
    expect(traced.exitCounts[0]! + traced.exitCounts[1]! + traced.exitCounts[2]!).toBeGreaterThan(0);
  });
});

describe('the oracle', () => {
  it('counts samples that any exit gets right', () => {
    const exits = [2, 7, candidates];
    const found = oracle(scores, costs, exits);
    let any = 0;
    for (let s = 0; s < scores.samples; s++)
      if (exits.some((exit) => scores.prediction[exit]![s] === scores.labels[s])) any++;
    expect(found.accuracy).toBe(any / scores.samples);
    expect(found.overthinkingGap).toBeCloseTo(any / scores.samples - exitAccuracy(scores, candidates), 12);
    expect(found.overthinkingGap).toBeGreaterThan(0);
    expect(found.averageLatency).toBeLessThan(backboneCost(costs));
  });
});
