/** @file The design artefact: round trip, schema, refusals. And the survey's four cost formulas. */
import { describe, expect, it } from 'vitest';
import { checkCosts, InvalidCostsError } from '../../src/exits/costs.js';
import { designChoice, designFile, parseDesign } from '../../src/exits/design-file.js';
import { artefactSchemas } from '../../src/schemas.js';
import { InvalidDesignError, type DesignChoice } from '../../src/exits/design.js';
import { evaluateDesign } from '../../src/exits/evaluate.js';
import { anytimeCost, budgetedCost, exitForBudget, finalOnlyCost, inputDependentCost } from '../../src/exits/modes.js';
import { scoreTables } from '../../src/exits/scores.js';
import { syntheticCosts, syntheticMemo } from './synthetic.js';

const costs = syntheticCosts(5);
const scores = scoreTables(syntheticMemo({ candidates: 5, samples: 100, classes: 4, seed: 1 }));
const choices: DesignChoice[] = [
  { exits: [1, 3], policy: { kind: 'confidence', thresholds: 0.7 }, fallback: 'most-confident', truncated: false },
  { exits: [0, 2], policy: { kind: 'entropy', thresholds: [0.4, 0.5] }, fallback: 'last', truncated: true },
  { exits: [], policy: { kind: 'patience', thresholds: 2 }, fallback: 'last', truncated: false },
];

describe('a design file', () => {
  it.each(choices)('survives JSON and behaves the same ($policy.kind)', (choice) => {
    const predicted = evaluateDesign(scores, costs, choice);
    const file = designFile(choice, { predicted, unit: 'ms', model: { candidates: 5, sha256: 'ab' } });
    const read = parseDesign(JSON.parse(JSON.stringify(file)));
    expect(read).toEqual(file);
    expect(evaluateDesign(scores, costs, designChoice(read))).toEqual(predicted);
    expect(read.predicted.exitRates.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
  });

  it('is refused where it contradicts itself', () => {
    const predicted = evaluateDesign(scores, costs, choices[0]!);
    const file = designFile(choices[0]!, { predicted, unit: 'ms', model: { candidates: 5 } });
    const refuse = (changes: object): void =>
      expect(() => parseDesign({ ...file, ...changes })).toThrow(InvalidDesignError);
    refuse({ version: 2 });
    refuse({ truncated: true });
    refuse({ extra: 1 });
    refuse({ exits: file.exits.slice(1) });
    refuse({ exits: [file.exits[1], file.exits[0], file.exits[2]] });
    refuse({ policy: { kind: 'confidence', shared: true } });
    refuse({ policy: { kind: 'oracle', shared: true, threshold: 1 } });
    expect(() => parseDesign(null)).toThrow(InvalidDesignError);
  });

  it('has a JSON schema', () => {
    const schema = artefactSchemas().design;
    expect(schema.type).toBe('object');
    expect(schema.required).toEqual(expect.arrayContaining(['format', 'version', 'exits', 'policy', 'predicted']));
  });
});

describe('inference modes', () => {
  const toy = { segments: Float64Array.of(1, 2, 3, 4), heads: Float64Array.of(0.1, 0.2, 0.3, 0), unit: 'ms' } as const;

  it('cost what a hand count says', () => {
    expect(finalOnlyCost(toy, [0, 2, 3])).toBeCloseTo(10, 12);
    expect(finalOnlyCost(toy, [0, 2])).toBeCloseTo(6.3, 12);
    expect(budgetedCost(toy, 1)).toBeCloseTo(3.2, 12);
    expect(anytimeCost(toy, [0, 2, 3])).toBeCloseTo(10.4, 12);
    // Stage 1: 1 + 0.1; stage 2: 2 + 3 + 0.3, reached by 60 %; stage 3: 4, reached by 25 %.
    expect(inputDependentCost(toy, [0, 2, 3], [1, 0.6, 0.25])).toBeCloseTo(1.1 + 0.6 * 5.3 + 0.25 * 4, 12);
    expect(exitForBudget(toy, [0, 2, 3], 6.3)).toBe(2);
    expect(exitForBudget(toy, [0, 2, 3], 1)).toBeUndefined();
  });

  it('refuse costs that make no sense', () => {
    const refuse = (changes: object): void =>
      expect(() => checkCosts({ ...toy, ...changes })).toThrow(InvalidCostsError);
    refuse({ heads: Float64Array.of(1, 1, 1, 1) });
    refuse({ heads: Float64Array.of(0) });
    refuse({ segments: Float64Array.of(1, NaN, 1, 1) });
    refuse({ memory: { segments: Float64Array.of(1), heads: Float64Array.of(0) } });
  });
});
