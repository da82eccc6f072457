/** @file Inference mode "budgeted batch" (MSDNet): a set of samples shares one budget; thresholds decide who gets how much of it. */
import type { ExitCosts } from './costs.js';
import { InvalidDesignError, type DesignChoice } from './design.js';
import { evaluateDesign, type EvaluatedDesign } from './evaluate.js';
import { exitPolicies } from './policies/index.js';
import type { Fallback, PolicyKind } from './policies/policy.js';
import { instantiatedExits } from './rates.js';
import type { ScoreTables } from './scores.js';
import { InfeasibleBudgetError } from './search/problem.js';
import { proportionThresholds, snapThresholds, thresholdGrid } from './thresholds.js';

export interface BatchBudget {
  /** Candidate indices of the exits, ascending; the final exit follows. */
  readonly exits: readonly number[];
  readonly policy: PolicyKind;
  /** One threshold for all exits, or each exit's own. */
  readonly thresholds: 'shared' | 'per-exit';
  /** Per sample, in the unit of the costs: a batch of M samples may take M times as much. */
  readonly budget: number;
  /** `last` where omitted, as MSDNet. */
  readonly fallback?: Fallback;
}

/** A design that spends a budget, and what it does on the calibration set. */
export interface BatchPlan {
  readonly choice: DesignChoice;
  readonly predicted: EvaluatedDesign;
  /** Ratio between neighbouring exits' shares of the samples, p_k ∝ q^k; undefined where thresholds are no solution for q. */
  readonly q: number | undefined;
}

/** q lies between these: practically everyone at the first exit, practically everyone at the last. */
const Q_RANGE = [1 / 64, 64] as const;
const BISECTIONS = 20;
/** Thresholds that a shared one is chosen from. */
const SHARED_GRID = 512;
const MAX_ROUNDS = 20;

/**
 * Thresholds with which the calibration samples spend at most the budget on average, and as much of it as possible.
 * Per exit they are MSDNet's: an exit distribution p_k ∝ q^k with the largest q that the budget allows, each threshold found by
 * sorting the scores of those that are still there. Shared, the tightest one. Patience has whole numbers and no scores to
 * sort: shared, the largest that fits; per exit, coordinate descent to the most accurate. On other samples the budget holds as
 * far as they are like the calibration set's. Throws InfeasibleBudgetError where no threshold meets the budget.
 * Source: MSDNet (Huang et al. 2018), §3 and its code's adaptive inference.
 */
export function planBatch(scores: ScoreTables, costs: ExitCosts, options: BatchBudget): BatchPlan {
  const { exits, policy: kind, budget } = options;
  if (exits.length === 0) throw new InvalidDesignError('a batch cannot be budgeted without an early exit');
  if (exitPolicies[kind].evidence === 'streak') return planPatience(scores, costs, options);
  const instantiated = instantiatedExits({ exits }, scores.exits - 1);
  const plan = (thresholds: number | readonly number[], q?: number): BatchPlan => {
    const choice = snapThresholds(scores, designOf(scores, options, thresholds));
    return { choice, predicted: evaluateDesign(scores, costs, choice), q };
  };
  if (options.thresholds === 'shared') {
    const grid = thresholdGrid(scores, kind, { size: SHARED_GRID }).values[exits[0]!]!;
    // Tightest first, whichever way the policy compares.
    const ordered = exitPolicies[kind].leaves === 'below' ? [...grid] : [...grid].reverse();
    return tightest(ordered.length, budget, (index) => plan(ordered[index]!), costs);
  }
  const [lowest, highest] = Q_RANGE.map(Math.log) as [number, number];
  const at = (logQ: number): BatchPlan =>
    plan(proportionThresholds(scores, kind, instantiated, Math.exp(logQ)), Math.exp(logQ));
  let best = at(lowest);
  if (best.predicted.latency.average > budget) throw infeasible(best, budget, costs);
  let [low, high] = [lowest, highest];
  for (let step = 0; step < BISECTIONS; step++) {
    const middle = step === 0 ? highest : (low + high) / 2;
    const tried = at(middle);
    if (tried.predicted.latency.average <= budget) {
      best = tried;
      low = middle;
      if (step === 0) break;
    } else high = middle;
  }
  return best;
}

/** The first of `count` settings, ordered from dear to cheap, that keeps the budget: by bisection. */
function tightest(count: number, budget: number, plan: (index: number) => BatchPlan, costs: ExitCosts): BatchPlan {
  let [low, high] = [0, count - 1];
  let best = plan(high);
  if (best.predicted.latency.average > budget) throw infeasible(best, budget, costs);
  while (low < high) {
    const middle = (low + high) >> 1;
    const tried = plan(middle);
    if (tried.predicted.latency.average <= budget) {
      best = tried;
      high = middle;
    } else low = middle + 1;
  }
  return best;
}

function planPatience(scores: ScoreTables, costs: ExitCosts, options: BatchBudget): BatchPlan {
  const { exits, budget } = options;
  const plan = (thresholds: number | readonly number[]): BatchPlan => {
    const choice = designOf(scores, options, thresholds);
    return { choice, predicted: evaluateDesign(scores, costs, choice), q: undefined };
  };
  // As many agreements as exits never happen before the last exit.
  const shared = tightest(exits.length, budget, (index) => plan(exits.length - index), costs);
  if (options.thresholds === 'shared') return shared;
  let best = plan(exits.map(() => shared.choice.policy.thresholds as number));
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const before = best;
    exits.forEach((_, place) => {
      for (let patience = 1; patience <= place + 1; patience++) {
        const now = best.choice.policy.thresholds as readonly number[];
        const tried = plan(now.map((old, i) => (i === place ? patience : old)));
        if (tried.predicted.latency.average <= budget && tried.predicted.correct > best.predicted.correct) best = tried;
      }
    });
    if (best === before) break;
  }
  return best;
}

function designOf(scores: ScoreTables, options: BatchBudget, thresholds: number | readonly number[]): DesignChoice {
  const { exits, policy: kind, fallback = 'last' } = options;
  const temperatures = instantiatedExits({ exits }, scores.exits - 1).map((exit) => scores.temperatures[exit]!);
  const gates = kind === 'learned' ? { gates: exits.map((exit) => scores.gates![exit]!) } : {};
  return { exits, policy: { kind, thresholds, temperatures, ...gates }, fallback };
}

function infeasible(cheapest: BatchPlan, budget: number, costs: ExitCosts): InfeasibleBudgetError {
  return new InfeasibleBudgetError(budget, cheapest.predicted.latency.average, costs.unit);
}
