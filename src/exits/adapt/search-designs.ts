/** @file From a memo and costs to one design per budget, the whole front, and the baselines under the same budgets. */
import { bestWithin, branchyNetBaseline, sdnBaseline, type SweptDesign } from '../baselines.js';
import { backboneCost, type ExitCosts } from '../costs.js';
import { rulePolicies } from '../policies/index.js';
import type { Fallback, PolicyKind } from '../policies/policy.js';
import { exitAccuracy, type ScoreTables } from '../scores.js';
import { paretoFront, searchFront, type SearchEffort } from '../search/search.js';
import {
  InfeasibleBudgetError,
  type ConstraintKind,
  type FoundDesign,
  type LatencyConstraint,
} from '../search/problem.js';
import { budgetInMs, type Budget } from './budget.js';

export interface DesignSearch {
  readonly scores: ScoreTables;
  readonly costs: ExitCosts;
  /** MACs of the backbone segments, for baselines that place exits by FLOPs. */
  readonly macs: Float64Array;
  readonly budgets: readonly Budget[];
  readonly constraint: ConstraintKind;
  /** Policies to choose from; the best per budget wins. */
  readonly policies: readonly PolicyKind[];
  readonly fallback: Fallback;
  readonly effort: SearchEffort;
  readonly maxMemory?: number;
  /** Hears of designs as they are found, for people who watch. */
  readonly onFound?: (policy: PolicyKind, found: FoundDesign, limitMs: number) => void;
}

/** The best design for a budget, or how far the nearest one is from it. */
export type BudgetOutcome =
  | {
      readonly budget: Budget;
      readonly limitMs: number;
      readonly found: FoundDesign;
      readonly baselines: Readonly<Record<BaselineName, SweptDesign | undefined>>;
    }
  | { readonly budget: Budget; readonly limitMs: number; readonly found: undefined; readonly lowestMs: number };

export type BaselineName = 'SDN-6' | 'BranchyNet-2';

export interface DesignFronts {
  readonly outcomes: readonly BudgetOutcome[];
  /** Best designs over a ladder of budgets, fastest first. */
  readonly front: readonly FoundDesign[];
  /** All swept settings of each baseline that no other of it beats, fastest first; empty where there are too few candidates. */
  readonly baselines: Readonly<Record<BaselineName, readonly SweptDesign[]>>;
  /** The plain network, in the unit of the costs. */
  readonly backbone: { readonly accuracy: number; readonly latency: number };
}

/** Shares of the backbone's latency at which the front is searched besides the asked budgets. */
const LADDER = [0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] as const;

/** Searches designs for all budgets at once. Throws SearchSettingsError and InvalidCostsError; an unreachable budget is an outcome. */
export function searchDesigns(search: DesignSearch): DesignFronts {
  const { scores, costs, budgets, constraint: kind, macs } = search;
  const plain = backboneCost(costs);
  const limits = budgets.map((budget) => budgetInMs(budget, plain));
  const ladder = LADDER.map((share) => share * plain).filter((limit) => !limits.includes(limit));
  const constraints = [...limits, ...ladder].map((budget): LatencyConstraint => ({ kind, budget }));
  const fronts = search.policies.map((policy) =>
    searchFront(
      { scores, costs, policy, fallback: search.fallback, maxMemory: search.maxMemory },
      constraints,
      search.effort,
      (found) => search.onFound?.(policy, found, found.constraint!.budget),
    ),
  );
  const best = constraints.map((_, index) =>
    fronts.map((front) => front[index]!).reduce((a, b) => (better(b, a) ? b : a)),
  );

  const sweep = { scores, costs, macs, truncation: kind === 'worst-case' ? 'allowed' : 'never' } as const;
  const candidates = scores.exits - 1;
  const swept: Record<BaselineName, readonly SweptDesign[]> = {
    'SDN-6': candidates >= 6 ? sdnBaseline(sweep) : [],
    'BranchyNet-2': candidates >= 2 ? branchyNetBaseline(sweep) : [],
  };
  return {
    outcomes: budgets.map((budget, index): BudgetOutcome => {
      const [found, limitMs] = [best[index]!, limits[index]!];
      if (found instanceof InfeasibleBudgetError) return { budget, limitMs, found: undefined, lowestMs: found.lowest };
      const within = (name: BaselineName): SweptDesign | undefined => bestWithin(swept[name], constraints[index]);
      return {
        budget,
        limitMs,
        found,
        baselines: { 'SDN-6': within('SDN-6'), 'BranchyNet-2': within('BranchyNet-2') },
      };
    }),
    front: paretoFront(
      best.filter(
        (found): found is Exclude<typeof found, InfeasibleBudgetError> => !(found instanceof InfeasibleBudgetError),
      ),
    ),
    baselines: { 'SDN-6': paretoFront(swept['SDN-6']), 'BranchyNet-2': paretoFront(swept['BranchyNet-2']) },
    backbone: { accuracy: exitAccuracy(scores, scores.exits - 1), latency: plain },
  };
}

type FrontEntry = ReturnType<typeof searchFront>[number];

function better(a: FrontEntry, b: FrontEntry): boolean {
  if (a instanceof InfeasibleBudgetError) return b instanceof InfeasibleBudgetError && a.lowest < b.lowest;
  return b instanceof InfeasibleBudgetError || a.objective > b.objective;
}

/**
 * The policies that a word on the command line means. `auto` is every rule: a learned policy's gates are fitted to the samples
 * on which the search would compare it with them.
 */
export function policiesNamed(name: PolicyKind | 'auto'): readonly PolicyKind[] {
  return name === 'auto' ? rulePolicies : [name];
}
