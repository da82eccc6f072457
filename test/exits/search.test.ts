/** @file Search: annealing against the exhaustive optimum and random search, constraints, prior, refinement, fronts. */
import { describe, expect, it } from 'vitest';
import { backboneCost } from '../../src/exits/costs.js';
import { evaluateDesign } from '../../src/exits/evaluate.js';
import { scoreTables, type ScoreTables } from '../../src/exits/scores.js';
import {
  anneal,
  InfeasibleBudgetError,
  keeps,
  neighbour,
  randomPoint,
  refine,
  searchDesign,
  searchExhaustively,
  searchFront,
  SearchProblem,
  searchRandomly,
  SearchSettingsError,
  searchWeights,
  type ConstraintKind,
  type ScoredPoint,
  type SearchSettings,
} from '../../src/exits/search/index.js';
import { settle } from '../../src/exits/search/settle.js';
import { fixedGrid, thresholdGrid } from '../../src/exits/thresholds.js';
import { createRandom } from '../../src/platform/random.js';
import { naiveOutcome } from './naive.js';
import { syntheticCosts, syntheticMemo } from './synthetic.js';

const candidates = 10;
const memo = syntheticMemo({ candidates, samples: 800, classes: 6, seed: 31 });
const scores = scoreTables(memo);
const costs = syntheticCosts(candidates);
const whole = backboneCost(costs);
const grid = thresholdGrid(scores, 'confidence', { size: 16 });
const base: SearchSettings = { scores, costs, policy: 'confidence', grid };
const seeds = Array.from({ length: 10 }, (_, seed) => seed);

describe('annealing', () => {
  const cases = [0.25, 0.5, 0.75, 1].flatMap((share) =>
    (['average', 'worst-case'] as const).map((kind): [ConstraintKind, number] => [kind, share]),
  );

  it.each(cases)(
    'under %s ≤ %s of the backbone reaches 99.5 per cent of the optimum in 9 of 10 seeds',
    (kind, share) => {
      const constraint = { kind, budget: share * whole };
      const problem = new SearchProblem({ ...base, constraint });
      const optimum = searchExhaustively(problem)!;
      const reached = seeds.filter((seed) => {
        const found = searchDesign({ ...base, constraint }, { seed, evaluations: 2000, restarts: 2 });
        expect(keeps(found.predicted, constraint)).toBe(true);
        expect(found.objective).toBeLessThanOrEqual(optimum.objective + 1e-12);
        return found.objective >= 0.995 * optimum.objective;
      });
      expect(reached.length).toBeGreaterThanOrEqual(9);
    },
  );

  it('solves the weighted problem (HAPI Eq. 4) as well', () => {
    const objective = { kind: 'weighted', latencyWeight: 0.5 } as const;
    const optimum = searchExhaustively(new SearchProblem({ ...base, objective }))!;
    const reached = seeds.filter(
      (seed) =>
        searchDesign({ ...base, objective }, { seed, evaluations: 1500 }).objective >= optimum.objective - 0.005,
    );
    expect(reached.length).toBeGreaterThanOrEqual(9);
  });

  it('is no worse than random search with as many evaluations, on 30 candidates', () => {
    const many = 30;
    const tables = scoreTables(syntheticMemo({ candidates: many, samples: 600, classes: 6, seed: 5 }));
    const cost = syntheticCosts(many, 3);
    for (const share of [0.5, 0.75, 1]) {
      const settings: SearchSettings = {
        scores: tables,
        costs: cost,
        policy: 'confidence',
        constraint: { kind: 'average', budget: share * backboneCost(cost) },
      };
      let [annealed, drawn] = [0, 0];
      for (const seed of [0, 1, 2]) {
        const a = anneal(new SearchProblem(settings), createRandom(seed), { evaluations: 1200 })!;
        const r = searchRandomly(new SearchProblem(settings), createRandom(seed), 1200)!;
        annealed += a.objective;
        drawn += r.objective;
      }
      expect(annealed).toBeGreaterThanOrEqual(drawn);
    }
  });

  it('repeats with its seed', () => {
    const constraint = { kind: 'average', budget: 0.5 * whole } as const;
    const run = (): unknown => searchDesign({ ...base, constraint }, { seed: 7, evaluations: 600 });
    expect(run()).toEqual(run());
  });

  it('predicts what the naive reference sees', () => {
    for (const policy of ['confidence', 'entropy', 'margin', 'patience'] as const)
      for (const thresholds of ['shared', 'per-exit'] as const) {
        const settings: SearchSettings = {
          scores,
          costs,
          policy,
          constraint: { kind: 'average', budget: 0.6 * whole },
        };
        const found = searchDesign(settings, { evaluations: 500, restarts: 1, thresholds });
        const naive = naiveOutcome(memo, costs, found.choice);
        expect(found.predicted.accuracy).toBeCloseTo(naive.accuracy, 12);
        expect(found.predicted.latency.average).toBeCloseTo(naive.averageLatency, 9);
        expect(found.objective).toBe(found.predicted.accuracy);
        expect(keeps(found.predicted, settings.constraint)).toBe(true);
      }
  });
});

describe('settling the threshold', () => {
  it('keeps the exits and is never worse; under a tight budget it makes infeasible changes feasible', () => {
    const problem = new SearchProblem({ ...base, constraint: { kind: 'average', budget: 0.4 * whole } });
    const random = createRandom(2);
    let rescued = 0;
    for (let i = 0; i < 200; i++) {
      const point = randomPoint(problem, random, true);
      const [before, settled] = [problem.score(point), settle(problem, point)];
      expect(settled.energy).toBeGreaterThanOrEqual(before.energy);
      expect([settled.point.exits, settled.point.truncated]).toEqual([point.exits, point.truncated]);
      if (settled.feasible && !before.feasible) rescued++;
    }
    expect(rescued).toBeGreaterThan(20);
  });
});

describe('the adjacency prior', () => {
  it('holds for every random design and neighbour', () => {
    const problem = new SearchProblem(base);
    const random = createRandom(1);
    let point = randomPoint(problem, random, true);
    for (let i = 0; i < 2000; i++) {
      point = i % 50 === 0 ? randomPoint(problem, random, true) : neighbour(problem, point, random);
      expect(point.exits.every((exit, k) => k === 0 || exit - point.exits[k - 1]! >= 2)).toBe(true);
    }
  });

  it('keeps annealing from an optimum with adjacent exits, which refinement then finds', () => {
    // Exit 1 knows classes 0 to 2 and is sure of them, exit 2 the others; the rest of the network knows nothing and is slow.
    const sample = Array.from({ length: 60 }, (_, s) => s % 6);
    const know = (known: readonly number[]): Float32Array =>
      Float32Array.from(
        sample.flatMap((label) =>
          Array.from({ length: 6 }, (_, c) => (known.includes(label) && c === label ? 8 : c / 100)),
        ),
      );
    const split = {
      labels: Int32Array.from(sample),
      classes: 6,
      logits: [know([]), know([0, 1, 2]), know([3, 4, 5]), know([]), know([])],
    };
    const settings: SearchSettings = {
      scores: scoreTables(split),
      costs: { segments: Float64Array.of(1, 1, 1, 5, 5), heads: Float64Array.of(0.1, 0.1, 0.1, 0.1, 0), unit: 'ms' },
      policy: 'confidence',
      grid: fixedGrid('confidence', [0.4, 0.8], 4),
      constraint: { kind: 'average', budget: 3 },
    };
    const problem = new SearchProblem(settings);
    const annealed = anneal(problem, createRandom(3), { evaluations: 300 })!;
    expect(annealed.accuracy).toBeLessThan(0.9);
    const refined = refine(problem, annealed);
    expect(refined.accuracy).toBe(1);
    expect(refined.point.exits).toEqual([1, 2]);
    const lifted = anneal(new SearchProblem({ ...settings, minGap: 1 }), createRandom(3), { evaluations: 300 })!;
    expect(lifted.accuracy).toBe(1);
  });
});

describe('constraints', () => {
  it('on memory are kept, and are refused without memory costs', () => {
    const plain = searchDesign(base, { evaluations: 300 });
    const maxMemory = 0.6 * plain.predicted.memoryBytes!;
    const found = searchDesign({ ...base, maxMemory }, { evaluations: 600 });
    expect(found.predicted.memoryBytes).toBeLessThanOrEqual(maxMemory);
    const { segments, heads, unit } = costs;
    expect(() => new SearchProblem({ ...base, costs: { segments, heads, unit }, maxMemory })).toThrow(
      SearchSettingsError,
    );
  });

  it('that nothing meets end in an error with the lowest latency there is', () => {
    const constraint = { kind: 'worst-case', budget: 0.01 } as const;
    const lowest = costs.segments[0]! + costs.heads[0]!;
    expect(() => searchDesign({ ...base, constraint }, { evaluations: 100 })).toThrow(InfeasibleBudgetError);
    try {
      searchDesign({ ...base, constraint }, { evaluations: 100 });
    } catch (error) {
      expect((error as InfeasibleBudgetError).lowest).toBeCloseTo(lowest, 9);
    }
  });

  it('of the worst-case kind drop the final exit; without truncation they cannot be met', () => {
    const constraint = { kind: 'worst-case', budget: 0.5 * whole } as const;
    const found = searchDesign({ ...base, constraint }, { evaluations: 300 });
    expect(found.choice.truncated).toBe(true);
    expect(() => searchDesign({ ...base, constraint, truncation: 'never' }, { evaluations: 300 })).toThrow(
      InfeasibleBudgetError,
    );
  });

  it('with no candidates leave the plain network', () => {
    const found = searchDesign({ ...base, candidates: [] }, { evaluations: 50 });
    expect(found.choice.exits).toEqual([]);
    expect(found.predicted.latency.average).toBeCloseTo(whole, 9);
  });
});

describe('several budgets', () => {
  it('give a front that never falls, and errors where nothing fits', () => {
    const budgets = [1, 0.25, 1e-4, 0.5, 0.75].map((share) => ({ kind: 'average', budget: share * whole }) as const);
    for (const thresholds of ['shared', 'per-exit'] as const) {
      const open = { scores, costs, policy: 'confidence' } as const;
      const front = searchFront(open, budgets, { evaluations: 500, restarts: 1, thresholds });
      expect(front[2]).toBeInstanceOf(InfeasibleBudgetError);
      const accuracy = [1, 3, 4, 0].map((i) => {
        const found = front[i]!;
        if (found instanceof Error) throw found;
        expect(keeps(found.predicted, budgets[i])).toBe(true);
        return found.predicted.accuracy;
      });
      expect(accuracy).toEqual([...accuracy].sort((a, b) => a - b));
    }
  });

  it('by weights give designs that do not dominate each other', () => {
    const front = searchWeights(base, [0, 0.1, 0.3, 1, 3], { evaluations: 400, restarts: 1 });
    expect(front.length).toBeGreaterThan(1);
    front.slice(1).forEach((found, i) => {
      expect(found.predicted.accuracy).toBeGreaterThan(front[i]!.predicted.accuracy);
      expect(found.predicted.latency.average).toBeGreaterThan(front[i]!.predicted.latency.average);
    });
  });
});

describe('per-exit thresholds', () => {
  it('are never worse than the shared one on the calibration set, and hold on other samples', () => {
    const network = { candidates: 20, classes: 8, networkSeed: 4 };
    const calibration = scoreTables(syntheticMemo({ ...network, samples: 6000, seed: 1 }));
    const test: ScoreTables = scoreTables(syntheticMemo({ ...network, samples: 6000, seed: 2 }));
    const cost = syntheticCosts(20, 2);
    const settings: SearchSettings = {
      scores: calibration,
      costs: cost,
      policy: 'confidence',
      constraint: { kind: 'average', budget: 0.5 * backboneCost(cost) },
    };
    const effort = { evaluations: 1500, restarts: 1 };
    const shared = searchDesign(settings, effort);
    const tuned = searchDesign(settings, { ...effort, thresholds: 'per-exit' });
    expect(tuned.objective).toBeGreaterThanOrEqual(shared.objective);
    for (const found of [shared, tuned]) {
      const held = evaluateDesign(test, cost, found.choice);
      expect(Math.abs(held.accuracy - found.predicted.accuracy)).toBeLessThan(0.015);
      expect(held.latency.average).toBeLessThan(1.03 * found.predicted.latency.average);
    }
  });
});

describe('exhaustive search', () => {
  it('refuses spaces that are too large', () => {
    const tables = scoreTables(syntheticMemo({ candidates: 30, samples: 20, classes: 3, seed: 1 }));
    const problem = new SearchProblem({ scores: tables, costs: syntheticCosts(30), policy: 'confidence' });
    expect(() => searchExhaustively(problem)).toThrow(SearchSettingsError);
  });

  it('finds the best of all per-exit combinations too', () => {
    const few = scoreTables(syntheticMemo({ candidates: 3, samples: 300, classes: 4, seed: 6 }));
    const cost = syntheticCosts(3);
    const own = thresholdGrid(few, 'confidence', { size: 5, shared: false });
    const constraint = { kind: 'average', budget: 0.8 * backboneCost(cost) } as const;
    const problem = new SearchProblem({ scores: few, costs: cost, policy: 'confidence', grid: own, constraint });
    const best: ScoredPoint = searchExhaustively(problem)!;
    expect(best.feasible).toBe(true);
    for (const seed of seeds)
      expect(anneal(problem, createRandom(seed), { evaluations: 100 })!.energy).toBeLessThanOrEqual(best.energy);
  });
});
