/** @file The learned policy: what its training finds, what its file forms keep, and how it stands against the rules. */
import { describe, expect, test } from 'vitest';
import { designChoice, designFile, parseDesign } from '../../src/exits/design-file.js';
import { InvalidDesignError, type DesignChoice } from '../../src/exits/design.js';
import { evaluateDesign } from '../../src/exits/evaluate.js';
import { fitGates, withGates } from '../../src/exits/policies/fit-gates.js';
import { gateLogOdds, gateScore } from '../../src/exits/policies/gate.js';
import { truncateDesign } from '../../src/exits/latency.js';
import { ScoreCollector, scoreTables, type ScoreTables } from '../../src/exits/scores.js';
import { searchDesign } from '../../src/exits/search/index.js';
import { backboneCost } from '../../src/exits/costs.js';
import { createRandom } from '../../src/platform/random.js';
import { syntheticCosts, syntheticMemo } from './synthetic.js';

const samples = 4000;
const scores = scoreTables(syntheticMemo({ candidates: 4, samples, classes: 6, seed: 5 }));
const gates = fitGates(scores);

/** Whether going on from an exit is the only way to the right answer. */
function needed(tables: ScoreTables, exit: number, s: number): boolean {
  const final = tables.exits - 1;
  return tables.prediction[exit]![s] !== tables.labels[s] && tables.prediction[final]![s] === tables.labels[s];
}

describe('training gates', () => {
  test('finds the maximum of the penalised likelihood: no small change of a parameter is better', () => {
    const exit = 1;
    const loss = (weights: readonly number[], classes: readonly number[]): number => {
      let sum = 0;
      for (let s = 0; s < samples; s++) {
        const z =
          classes[scores.prediction[exit]![s]!]! +
          weights[0]! * scores.top1[exit]![s]! +
          weights[1]! * scores.margin[exit]![s]! +
          weights[2]! * scores.entropy[exit]![s]!;
        sum += Math.log(1 + Math.exp(needed(scores, exit, s) ? z : -z));
      }
      // The bias that the classes share is penalised as the weights are, their deviations from it more.
      const bias = classes.reduce((a, b) => a + b, 0) / (classes.length + 0.01);
      const ridge = 0.01 * (weights.reduce((a, w) => a + w * w, 0) + bias * bias);
      return sum + 0.5 * (ridge + classes.reduce((a, c) => a + (c - bias) ** 2, 0));
    };
    const { weights, classes } = gates[exit]!;
    const found = [weights.top1, weights.margin, weights.entropy];
    const best = loss(found, classes);
    for (const step of [1e-3, -1e-3, 0.3, -0.3]) {
      found.forEach((_, i) =>
        expect(
          loss(
            found.map((w, j) => (i === j ? w + step : w)),
            classes,
          ),
        ).toBeGreaterThan(best - 1e-7),
      );
      classes.forEach((_, i) =>
        expect(
          loss(
            found,
            classes.map((c, j) => (i === j ? c + step : c)),
          ),
        ).toBeGreaterThan(best - 1e-7),
      );
    }
  });

  test('gives probabilities that mean what they say', () => {
    const { gate } = withGates(scores, gates);
    gate!.forEach((column, exit) => {
      const mean = column.reduce((sum, p) => sum + p, 0) / samples;
      let right = 0;
      for (let s = 0; s < samples; s++) if (!needed(scores, exit, s)) right++;
      // A logistic fit with a free bias reproduces the mean of its target; the penalty moves it a little.
      expect(mean).toBeCloseTo(right / samples, 3);
    });
  });

  test('learns that one class is not to be trusted, which no rule can see', () => {
    const random = createRandom(2);
    const labels = Int32Array.from({ length: 2000 }, () => random.int(3));
    const tables = new ScoreCollector(labels, 3, new Float64Array(2).fill(1));
    labels.forEach((label, s) => {
      // Class 2 is taken for class 0 at the first exit, with the same confidence.
      const seen = label === 2 ? 0 : label;
      tables.add(
        0,
        s,
        Float32Array.from({ length: 3 }, (_, c) => (c === seen ? 3 : 0)),
      );
      tables.add(
        1,
        s,
        Float32Array.from({ length: 3 }, (_, c) => (c === label ? 3 : 0)),
      );
    });
    const [gate] = fitGates(tables.tables);
    const row = {
      top1: tables.tables.top1[0]![0]!,
      margin: tables.tables.margin[0]![0]!,
      entropy: tables.tables.entropy[0]![0]!,
    };
    expect(gateScore(gate!, { ...row, prediction: 0 })).toBeLessThan(0.6);
    expect(gateScore(gate!, { ...row, prediction: 1 })).toBeGreaterThan(0.95);
  });

  test('stays finite where going on never helps, and refuses an empty set', () => {
    const labels = Int32Array.of(0, 1, 0, 1);
    const sure = new ScoreCollector(labels, 2, new Float64Array(2).fill(1));
    for (const exit of [0, 1])
      sure.add(
        exit,
        0,
        Float32Array.from(labels, () => 0).length === 4 ? Float32Array.of(5, 0, 0, 5, 5, 0, 0, 5) : new Float32Array(8),
      );
    const [gate] = fitGates(sure.tables);
    expect(Number.isFinite(gateLogOdds(gate!, { prediction: 0, top1: 1, margin: 1, entropy: 0 }))).toBe(true);
    const none = new ScoreCollector(new Int32Array(0), 2, new Float64Array(2).fill(1));
    expect(() => fitGates(none.tables)).toThrow(InvalidDesignError);
    expect(() => withGates(scores, gates.slice(1))).toThrow(/3 gates for 4 candidate exits/);
  });
});

describe('a design with gates', () => {
  const costs = syntheticCosts(4);
  const tables = withGates(scores, gates);

  test('is found by the search and kept by its file', () => {
    const constraint = { kind: 'average', budget: 0.6 * backboneCost(costs) } as const;
    const settings = { scores: tables, costs, policy: 'learned', constraint } as const;
    for (const thresholds of ['shared', 'per-exit'] as const) {
      const found = searchDesign(settings, { evaluations: 600, thresholds });
      expect(found.predicted.latency.average).toBeLessThanOrEqual(constraint.budget);
      expect(found.choice.policy.gates).toEqual(found.choice.exits.map((exit) => gates[exit]));
      const file = designFile(found.choice, {
        model: { candidates: 4 },
        predicted: evaluateDesign(tables, costs, found.choice),
        unit: 'macs',
      });
      const read = designChoice(parseDesign(JSON.parse(JSON.stringify(file))));
      expect(evaluateDesign(tables, costs, read)).toEqual(evaluateDesign(tables, costs, found.choice));
      expect(read.policy.gates).toEqual(found.choice.policy.gates);
      const broken = JSON.parse(JSON.stringify(file)) as { exits: { gate?: unknown }[] };
      for (const exit of broken.exits) delete exit.gate;
      if (found.choice.exits.length > 0) expect(() => parseDesign(broken)).toThrow(/has no gate/);
    }
  });

  test('loses the gates of the exits that a deadline cuts', () => {
    const choice: DesignChoice = {
      exits: [0, 2, 3],
      policy: { kind: 'learned', thresholds: 0.9, gates: [gates[0]!, gates[2]!, gates[3]!] },
      fallback: 'last',
    };
    expect(truncateDesign(choice, 2, 4).policy.gates).toEqual([gates[0], gates[2]]);
    expect(evaluateDesign(tables, costs, truncateDesign(choice, 2, 4)).instantiated).toEqual([0, 2]);
  });
});
