/** @file The whole search for a design: annealing with restarts, refinement, optional per-exit thresholds; for one or several budgets. */
import { createRandom } from '../../platform/random.js';
import type { EvaluatedDesign } from '../evaluate.js';
import type { DesignEvaluator } from '../evaluate-bits.js';
import { anneal } from './anneal.js';
import { tunePerExit } from './per-exit.js';
import {
  InfeasibleBudgetError,
  SearchProblem,
  SearchSettingsError,
  type FoundDesign,
  type LatencyConstraint,
  type ScoredPoint,
  type SearchSettings,
} from './problem.js';
import { refine } from './refine.js';

export interface SearchEffort {
  readonly seed?: number;
  /** Designs scored by annealing, over all restarts. */
  readonly evaluations?: number;
  readonly restarts?: number;
  /** After annealing, tries adjacent positions and other neighbours. */
  readonly refinement?: boolean;
  /** One threshold for all exits, or each exit's own. */
  readonly thresholds?: 'shared' | 'per-exit';
}

/** A design found for one constraint. `constraint` is undefined for a search without one. */
export interface FrontDesign extends FoundDesign {
  readonly constraint: LatencyConstraint | undefined;
}

/** Share of each run's evaluations spent after the first refinement, around its design and without the adjacency prior. */
const LIFTED = 0.3;
const LIFTED_TEMPERATURE = 0.01;

/** Runs in a small space soon see nothing new: the evaluations they leave over go to further restarts, up to this factor. */
const MAX_RESTARTS = 2;

const EFFORT = { seed: 0, evaluations: 18_000, restarts: 3, refinement: true, thresholds: 'shared' } as const;

/**
 * The best design that a search finds. Throws InfeasibleBudgetError where no design keeps the constraints. The same seed
 * gives the same design on every machine.
 */
export function searchDesign(settings: SearchSettings, effort: SearchEffort = {}): FoundDesign {
  return finish(new SearchProblem(settings), effort, []).found;
}

/**
 * One search per constraint, tightest first; each begins from the previous designs too, and takes one of them over where
 * it is better, so a larger budget never gives a worse design. A constraint that nothing meets gives its error in place
 * of a design. Results are in the order of `constraints`; `onFound` hears of each as it is found.
 */
export function searchFront(
  settings: Omit<SearchSettings, 'constraint'>,
  constraints: readonly (LatencyConstraint | undefined)[],
  effort: SearchEffort = {},
  onFound?: (design: FrontDesign) => void,
): readonly (FrontDesign | InfeasibleBudgetError)[] {
  const results: (FrontDesign | InfeasibleBudgetError)[] = [];
  const order = constraints
    .map((constraint, index) => ({ constraint, index }))
    .sort((a, b) => (a.constraint?.budget ?? Infinity) - (b.constraint?.budget ?? Infinity));
  let evaluator: DesignEvaluator | undefined;
  const sharedPoints: ScoredPoint[] = [];
  const designs: FoundDesign[] = [];
  for (const { constraint, index } of order) {
    const problem = new SearchProblem({ ...settings, ...(constraint === undefined ? {} : { constraint }) }, evaluator);
    evaluator = problem.evaluator;
    try {
      const starts = sharedPoints.map((known) => problem.score(known.point));
      const { found, shared } = finish(problem, effort, starts);
      sharedPoints.push(shared);
      const best = designs
        .filter(({ predicted }) => keeps(predicted, constraint))
        .reduce((a, b) => (b.objective > a.objective ? b : a), found);
      designs.push(best);
      const design = { ...best, evaluations: found.evaluations, constraint };
      results[index] = design;
      onFound?.(design);
    } catch (error) {
      if (!(error instanceof InfeasibleBudgetError)) throw error;
      results[index] = error;
    }
  }
  return results;
}

/** Whether an evaluated design meets a latency constraint. */
export function keeps(predicted: Pick<EvaluatedDesign, 'latency'>, constraint: LatencyConstraint | undefined): boolean {
  if (constraint === undefined) return true;
  const { average, worstCase } = predicted.latency;
  return (constraint.kind === 'average' ? average : worstCase) <= constraint.budget;
}

/**
 * HAPI's grid search over w_lat (Eq. 4): the best design for each weight, and of those the ones that no other beats in
 * both accuracy and average latency, fastest first.
 */
export function searchWeights(
  settings: Omit<SearchSettings, 'objective'>,
  weights: readonly number[],
  effort: SearchEffort = {},
): readonly FoundDesign[] {
  let evaluator: DesignEvaluator | undefined;
  const found = weights.map((latencyWeight) => {
    const problem = new SearchProblem({ ...settings, objective: { kind: 'weighted', latencyWeight } }, evaluator);
    evaluator = problem.evaluator;
    return finish(problem, effort, []).found;
  });
  return paretoFront(found);
}

/** The designs that no other equals or beats in both accuracy and average latency, fastest first. */
export function paretoFront<T extends Pick<FoundDesign, 'predicted'>>(designs: readonly T[]): readonly T[] {
  const sorted = [...designs].sort(
    (a, b) => a.predicted.latency.average - b.predicted.latency.average || b.predicted.accuracy - a.predicted.accuracy,
  );
  let accuracy = -Infinity;
  return sorted.filter(({ predicted }) => {
    if (predicted.accuracy <= accuracy) return false;
    accuracy = predicted.accuracy;
    return true;
  });
}

/** Anneals, refines and tunes; also returns the shared-threshold point, from which the next budget's search may begin. */
function finish(
  problem: SearchProblem,
  effort: SearchEffort,
  starts: readonly ScoredPoint[],
): { found: FoundDesign; shared: ScoredPoint } {
  const { seed, evaluations, restarts, refinement, thresholds } = { ...EFFORT, ...effort };
  if (!(evaluations >= 1 && restarts >= 1))
    throw new SearchSettingsError(`a search needs evaluations and restarts, not ${evaluations} and ${restarts}`);
  if (!problem.grid.shared && thresholds === 'per-exit')
    throw new SearchSettingsError('per-exit thresholds are tuned from a shared grid', 'Leave the grid out.');
  let best: ScoredPoint | undefined;
  const more = (restart: number): boolean =>
    restart < restarts || (restart < MAX_RESTARTS * restarts && problem.evaluations < evaluations / 2);
  for (let restart = 0; more(restart); restart++) {
    const random = createRandom(seed * 1009 + restart);
    const share = Math.ceil(evaluations / restarts);
    // Earlier budgets' designs help the first run; the other runs stay independent of them.
    const wide = anneal(
      problem,
      random,
      { evaluations: refinement ? Math.ceil(share * (1 - LIFTED)) : share },
      restart === 0 ? starts : [],
    );
    if (wide === undefined) continue;
    let refined = wide;
    if (refinement) {
      refined = refine(problem, wide);
      const lifted = { evaluations: Math.ceil(share * LIFTED), startTemperature: LIFTED_TEMPERATURE, minGap: 1 };
      refined = refine(problem, anneal(problem, random, lifted, [refined]) ?? refined);
    }
    if (best === undefined || refined.energy > best.energy) best = refined;
  }
  if (best === undefined) throw problem.infeasible();
  if (thresholds === 'shared' || best.point.exits.length === 0) return { found: problem.design(best), shared: best };
  const tuned = tunePerExit(problem, best);
  const found = tuned.problem.design(tuned.best);
  return { found: { ...found, evaluations: problem.evaluations + found.evaluations }, shared: best };
}
