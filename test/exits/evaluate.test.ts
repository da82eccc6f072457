/** @file Look-up equals execution: tables, bit sets and the run-time decisions against a naive per-sample reference. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DesignEvaluator } from '../../src/exits/evaluate-bits.js';
import { evaluateDesign, mostConfident, traceDesign } from '../../src/exits/evaluate.js';
import { InvalidDesignError, type DesignChoice } from '../../src/exits/design.js';
import { backboneCost } from '../../src/exits/costs.js';
import { exitsWithin, truncateDesign } from '../../src/exits/latency.js';
import { fitGates, withGates } from '../../src/exits/policies/fit-gates.js';
import { leaves, leavesAt, policyKinds, exitPolicies } from '../../src/exits/policies/index.js';
import type { PolicyConfig, PolicyKind } from '../../src/exits/policies/policy.js';
import { ExitProgress } from '../../src/exits/policies/progress.js';
import { instantiatedExits } from '../../src/exits/rates.js';
import { ScoreCollector, scoreTables } from '../../src/exits/scores.js';
import { fixedGrid, snapThresholds, thresholdGrid } from '../../src/exits/thresholds.js';
import { naiveOutcome } from './naive.js';
import { syntheticCosts, syntheticMemo } from './synthetic.js';

const candidates = 7;
const memo = syntheticMemo({ candidates, samples: 203, classes: 5, seed: 11 });
const costs = syntheticCosts(candidates);
const temperatures = Float64Array.from({ length: candidates + 1 }, (_, exit) => 0.6 + 0.2 * exit);
const rules = scoreTables(memo, temperatures);
const gates = fitGates(rules);
const scores = withGates(rules, gates);

/** What a policy of a kind needs besides thresholds. */
function gatesOf(kind: PolicyKind, exits: readonly number[]): Pick<PolicyConfig, 'gates'> {
  return kind === 'learned' ? { gates: exits.map((exit) => gates[exit]!) } : {};
}

/** A design of any policy and shape, with thresholds that make some samples leave and others stay. */
const designs: fc.Arbitrary<DesignChoice> = fc
  .record({
    kind: fc.constantFrom<PolicyKind>(...policyKinds),
    exits: fc.subarray([0, 1, 2, 3, 4, 5, 6]),
    fallback: fc.constantFrom<'most-confident' | 'last'>('most-confident', 'last'),
    cut: fc.boolean(),
    shared: fc.boolean(),
    levels: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 7, maxLength: 7 }),
  })
  .map(({ kind, exits, fallback, cut, shared, levels }) => {
    const truncated = cut && exits.length > 0;
    const value = (level: number): number =>
      kind === 'patience' ? 1 + Math.floor(level * 3) : kind === 'entropy' ? level * 1.7 : level;
    const thresholds = shared ? value(levels[0]!) : exits.map((_, i) => value(levels[i]!));
    const kept = Array.from(instantiatedExits({ exits, truncated }, candidates), (exit) => temperatures[exit]!);
    return { exits, policy: { kind, thresholds, temperatures: kept, ...gatesOf(kind, exits) }, fallback, truncated };
  });

describe('evaluation by look-up', () => {
  it('gives the naive answers, sample by sample, for every policy, fallback and truncation', () => {
    fc.assert(
      fc.property(designs, (choice) => {
        const traced = traceDesign(scores, costs, choice);
        const naive = naiveOutcome(memo, costs, choice);
        expect(Array.from(traced.exitOf)).toEqual(naive.exitOf);
        expect(Array.from(traced.answeredBy)).toEqual(naive.answeredBy);
        expect(Array.from(traced.predictions)).toEqual(naive.predictions);
        expect(traced.accuracy).toBeCloseTo(naive.accuracy, 12);
        expect(traced.latency.average).toBeCloseTo(naive.averageLatency, 9);
        expect(traced.latency.worstCase).toBeCloseTo(naive.worstCase, 9);
        const counts = traced.instantiated.map((exit) => naive.exitOf.filter((other) => other === exit).length);
        expect(Array.from(traced.exitCounts)).toEqual(counts);
      }),
      { numRuns: 150 },
    );
  });

  it('is what the running network decides, batch by batch', () => {
    fc.assert(
      fc.property(designs, (choice) => {
        const traced = traceDesign(scores, costs, choice);
        const progress = new ExitProgress(choice, memo.classes, candidates, memo.labels.length);
        let going = Array.from(memo.labels, (_, sample) => sample);
        progress.instantiated.forEach((exit, position) => {
          going = going.filter(
            (sample) => !progress.visit(position, sample, memo.logits[exit]!, sample * memo.classes),
          );
        });
        expect(going).toEqual([]);
        const answers = Array.from(memo.labels, (_, sample) => progress.answer(sample)!);
        expect(answers.map((answer) => answer.exit)).toEqual(Array.from(traced.exitOf));
        expect(answers.map((answer) => answer.answeredBy)).toEqual(Array.from(traced.answeredBy));
        expect(answers.map((answer) => answer.prediction)).toEqual(Array.from(traced.predictions));
        for (const [sample, answer] of answers.entries())
          expect(answer.confidence).toBe(scores.top1[answer.answeredBy]![sample]);
      }),
      { numRuns: 60 },
    );
  });

  it.each(policyKinds)('with bit sets agrees with the tables (%s)', (kind) => {
    for (const shared of [true, false]) {
      const grid = thresholdGrid(scores, kind, { size: 12, shared });
      for (const fallback of ['most-confident', 'last'] as const) {
        const evaluator = new DesignEvaluator(scores, costs, grid, fallback);
        fc.assert(
          fc.property(
            fc.subarray([0, 1, 2, 3, 4, 5, 6]),
            fc.boolean(),
            fc.array(fc.nat(1000), { minLength: 8, maxLength: 8 }),
            (exits, cut, draws) => {
              const truncated = cut && exits.length > 0;
              const instantiated = instantiatedExits({ exits, truncated }, candidates);
              const levels = exits.map((exit, i) => draws[shared ? 0 : i]! % grid.values[exit]!.length);
              const quick = evaluator.evaluate(instantiated, shared ? levels.slice(0, 1) : levels);
              const table = evaluateDesign(scores, costs, {
                exits,
                policy: {
                  kind,
                  thresholds: exits.map((exit, i) => grid.values[exit]![levels[i]!]!),
                  temperatures: instantiated.map((exit) => temperatures[exit]!),
                  ...gatesOf(kind, exits),
                },
                fallback,
                truncated,
              });
              expect(quick.correct).toBe(table.correct);
              expect(Array.from(quick.counts.subarray(0, instantiated.length))).toEqual(Array.from(table.exitCounts));
              expect(quick.average).toBe(table.latency.average);
              expect(quick.worstCase).toBe(table.latency.worstCase);
              expect(quick.memoryBytes).toBe(table.memoryBytes);
            },
          ),
          { numRuns: 40 },
        );
      }
    }
  });

  it('handles sample counts around the word size', () => {
    for (const samples of [1, 31, 32, 33, 64]) {
      const small = syntheticMemo({ candidates: 2, samples, classes: 3, seed: samples });
      const tables = scoreTables(small);
      const cost = syntheticCosts(2);
      const grid = thresholdGrid(tables, 'confidence', { size: 4 });
      const evaluator = new DesignEvaluator(tables, cost, grid, 'most-confident');
      const quick = evaluator.evaluate([0, 1, 2], [1]);
      const thresholds = grid.values[0]![1]!;
      const table = evaluateDesign(tables, cost, {
        exits: [0, 1],
        policy: { kind: 'confidence', thresholds },
        fallback: 'most-confident',
      });
      expect(quick.correct).toBe(table.correct);
      expect(Array.from(quick.counts)).toEqual(Array.from(table.exitCounts));
    }
  });

  it('gives HAPI’s shared-threshold rule: if no exit passes, the final included, the most confident answers', () => {
    const thresholds = 0.7;
    const exits = [1, 3, 4];
    const policy = { kind: 'confidence', thresholds } as const;
    const tables = scoreTables(memo);
    const traced = traceDesign(tables, costs, { exits, policy, fallback: 'most-confident' });
    const limit = Math.fround(thresholds);
    for (let s = 0; s < tables.samples; s++) {
      const passing = [...exits, candidates].find((exit) => tables.top1[exit]![s]! >= limit);
      expect(traced.answeredBy[s]).toBe(passing ?? mostConfident(tables, [...exits, candidates], s));
    }
  });

  it('lets the earliest of equally confident exits answer, in bit sets too', () => {
    const rows = [
      [1, 2],
      [2, 1],
      [2, 1],
    ];
    const tied = scoreTables({
      labels: Int32Array.of(0),
      classes: 2,
      logits: rows.map((row) => Float32Array.from(row)),
    });
    const cost = syntheticCosts(2);
    const traced = traceDesign(tied, cost, {
      exits: [0, 1],
      policy: { kind: 'confidence', thresholds: 0.99 },
      fallback: 'most-confident',
    });
    expect(traced.answeredBy[0]).toBe(0);
    expect(traced.exitOf[0]).toBe(2);
    const evaluator = new DesignEvaluator(tied, cost, fixedGrid('confidence', [0.99], 2), 'most-confident');
    expect(evaluator.evaluate([0, 1, 2], [0]).correct).toBe(0);
  });

  it('takes more samples through as the threshold tightens', () => {
    for (const kind of policyKinds) {
      const values = Array.from(thresholdGrid(scores, kind, { size: 10 }).values[0]!);
      const averages = values.map(
        (thresholds) =>
          evaluateDesign(scores, costs, {
            exits: [1, 4],
            policy: {
              kind,
              thresholds,
              temperatures: [1, 4, 7].map((exit) => temperatures[exit]!),
              ...gatesOf(kind, [1, 4]),
            },
            fallback: 'last',
          }).latency.average,
      );
      if (exitPolicies[kind].leaves === 'below') averages.reverse();
      expect(averages).toEqual([...averages].sort((a, b) => a - b));
    }
  });

  it('refuses designs that do not fit', () => {
    const policy = { kind: 'confidence', thresholds: 0.5 } as const;
    const refuse = (choice: DesignChoice): void =>
      expect(() => evaluateDesign(scoreTables(memo), costs, choice)).toThrow(InvalidDesignError);
    refuse({ exits: [3, 2], policy, fallback: 'last' });
    refuse({ exits: [7], policy, fallback: 'last' });
    refuse({ exits: [], policy, fallback: 'last', truncated: true });
    refuse({ exits: [1, 2], policy: { kind: 'confidence', thresholds: [0.5] }, fallback: 'last' });
    refuse({ exits: [1], policy: { ...policy, temperatures: [2, 1] }, fallback: 'last' });
    refuse({ exits: [1], policy: { kind: 'learned', thresholds: 0.5 }, fallback: 'last' });
    const learned = { kind: 'learned', thresholds: 0.5, gates: [gates[1]!] } as const;
    // The plain tables have no gates, and the others were made with other temperatures.
    refuse({ exits: [1], policy: learned, fallback: 'last' });
    refuse({ exits: [1], policy: { ...learned, gates: [{ ...gates[1]!, classes: [NaN] }] }, fallback: 'last' });
  });
});

describe('a policy’s comparison', () => {
  it('follows HAPI at equality, and entropy stays strict', () => {
    const half = Math.fround(0.1);
    expect(leaves(exitPolicies.confidence, half, 0.1)).toBe(true);
    expect(leaves(exitPolicies.entropy, half, 0.1)).toBe(false);
    expect(leaves(exitPolicies.confidence, NaN, 0)).toBe(false);
    expect(leaves(exitPolicies.entropy, NaN, 9)).toBe(false);
    const evidence = { prediction: 0, top1: 0.9, entropy: 0.1, margin: 0.8, streak: 2, gate: NaN };
    expect(leavesAt({ kind: 'patience', thresholds: [3, 2] }, 0, evidence)).toBe(false);
    expect(leavesAt({ kind: 'patience', thresholds: [3, 2] }, 1, evidence)).toBe(true);
  });
});

describe('snapping', () => {
  it('changes no decision on the calibration set, and leaves room on both sides', () => {
    fc.assert(
      fc.property(designs, (choice) => {
        const snapped = snapThresholds(scores, choice);
        const [before, after] = [traceDesign(scores, costs, choice), traceDesign(scores, costs, snapped)];
        expect(after.exitOf).toEqual(before.exitOf);
        expect(after.predictions).toEqual(before.predictions);
      }),
      { numRuns: 100 },
    );
    const plain = scoreTables(memo);
    const at = plain.top1[2]![0]!;
    const choice: DesignChoice = {
      exits: [2],
      policy: { kind: 'confidence', thresholds: at },
      fallback: 'last',
    };
    const snapped = snapThresholds(plain, choice).policy.thresholds as number;
    const distance = Math.min(...plain.top1[2]!.map((value) => Math.abs(value - snapped)));
    expect(distance).toBeGreaterThan(1e-6);
    const loose = snapThresholds(plain, choice, 5).policy.thresholds as number;
    expect(Math.min(...plain.top1[2]!.map((value) => Math.abs(value - loose)))).toBeGreaterThanOrEqual(distance);
  });
});

describe('deadlines', () => {
  it('keep the exits that fit and drop the rest', () => {
    const choice: DesignChoice = {
      exits: [1, 4],
      policy: { kind: 'confidence', thresholds: [0.5, 0.6], temperatures: [1, 2, 3] },
      fallback: 'last',
    };
    const worst = evaluateDesign(scoreTables(memo, [1, 1, 1, 1, 2, 1, 1, 3]), costs, choice).latency.worstCase;
    expect(exitsWithin(costs, choice, worst * 1.001)).toBe(3);
    expect(exitsWithin(costs, choice, worst * 1.001, 1.2)).toBe(2);
    expect(exitsWithin(costs, choice, 0)).toBe(0);
    expect(worst).toBeGreaterThan(backboneCost(costs));
    const cut = truncateDesign(choice, 2, candidates);
    expect(cut).toEqual({
      exits: [1, 4],
      policy: { kind: 'confidence', thresholds: [0.5, 0.6], temperatures: [1, 2] },
      fallback: 'last',
      truncated: true,
    });
    expect(truncateDesign(choice, 3, candidates)).toEqual({ ...choice, truncated: false });
  });
});

describe('score tables', () => {
  it('come out the same in batches', () => {
    const collector = new ScoreCollector(memo.labels, memo.classes, temperatures);
    memo.logits.forEach((logits, exit) => {
      for (let first = 0; first < 203; first += 64)
        collector.add(exit, first, logits.subarray(first * 5, Math.min(203, first + 64) * 5));
    });
    expect(collector.tables).toEqual(rules);
  });
});
