/** @file What a search optimises: objective, constraints, the space of designs, and the scoring of one point of it. */
import { CuttleError } from '../../ir/index.js';
import { backboneCost, type ExitCosts } from '../costs.js';
import type { DesignChoice } from '../design.js';
import { evaluateDesign, type EvaluatedDesign } from '../evaluate.js';
import { DesignEvaluator } from '../evaluate-bits.js';
import { exitPolicies } from '../policies/index.js';
import type { Fallback, PolicyKind } from '../policies/policy.js';
import { instantiatedExits } from '../rates.js';
import { exitAccuracy, type ScoreTables } from '../scores.js';
import { snapThresholds, thresholdGrid, type ThresholdGrid } from '../thresholds.js';

/** No design of the space meets the constraints. Exit code 1. */
export class InfeasibleBudgetError extends CuttleError {
  /** The lowest latency that any design of the space reaches, in the unit of the costs. */
  readonly lowest: number;

  constructor(budget: number, lowest: number, unit: string) {
    super(
      'failed',
      'exits/infeasible-budget',
      `no design meets the budget of ${short(budget)} ${unit}: the fastest one takes ${short(lowest)} ${unit}`,
      { hint: 'Allow a larger budget, add earlier candidates, or use a lighter exit head.' },
    );
    this.lowest = lowest;
  }
}

/** Three significant digits, as people read latencies. */
const short = (value: number): string => String(Number(value.toPrecision(3)));

/** Settings of a search that make no sense. Exit code 2. */
export class SearchSettingsError extends CuttleError {
  constructor(message: string, hint?: string) {
    super('usage', 'exits/search-settings', message, hint === undefined ? {} : { hint });
  }
}

export type ConstraintKind = 'average' | 'worst-case';

/** HAPI Eq. 5, in the unit of the costs. The paper's formula bounds the average; its figures read as the worst case. */
export interface LatencyConstraint {
  readonly kind: ConstraintKind;
  readonly budget: number;
}

/**
 * - `accuracy`: the most accurate design within the constraints.
 * - `weighted`: HAPI Eq. 4, A/A_max − w · ln(L/L_max + 1), with the average latency L and the plain network's A_max, L_max.
 */
export type Objective = { readonly kind: 'accuracy' } | { readonly kind: 'weighted'; readonly latencyWeight: number };

export interface SearchSettings {
  readonly scores: ScoreTables;
  readonly costs: ExitCosts;
  readonly policy: PolicyKind;
  readonly fallback?: Fallback;
  readonly objective?: Objective;
  readonly constraint?: LatencyConstraint;
  /** In bytes; needs `costs.memory`. */
  readonly maxMemory?: number;
  /** Thresholds to choose from; a shared grid of 64 where absent. */
  readonly grid?: ThresholdGrid;
  /** Candidates that may carry an exit; all where absent. */
  readonly candidates?: readonly number[];
  /** Annealing never takes two exits closer than this many candidates: 2 is HAPI's prior "no two adjacent", 1 lifts it. */
  readonly minGap?: number;
  /** Whether designs may end before the final exit. */
  readonly truncation?: 'allowed' | 'never';
}

/** A point of the search space. Thresholds are grid indices: one where the grid is shared, else one per exit. */
export interface Point {
  readonly exits: readonly number[];
  readonly thresholds: readonly number[];
  readonly truncated: boolean;
}

export interface ScoredPoint {
  readonly point: Point;
  /** What is maximised. */
  readonly objective: number;
  /** `objective` with ties broken towards low latency; lowered by a penalty where the constraints are broken. */
  readonly energy: number;
  readonly feasible: boolean;
  readonly accuracy: number;
  readonly average: number;
  readonly worstCase: number;
}

/** A search's outcome. */
export interface FoundDesign {
  readonly choice: DesignChoice;
  readonly predicted: EvaluatedDesign;
  readonly objective: number;
  /** Different designs evaluated on the way. */
  readonly evaluations: number;
}

/** Breaks ties between equally good designs; below the weight of one sample in 10⁵. */
const TIE_BREAK = 1e-6;
/** A broken constraint costs this much at once, and `PENALTY_SLOPE` per relative excess: annealing may pass through, hardly stay. */
const PENALTY_STEP = 0.01;
const PENALTY_SLOPE = 1.5;

/** Scores points of one search, remembering those already seen. */
export class SearchProblem {
  readonly settings: SearchSettings;
  readonly candidates: readonly number[];
  readonly grid: ThresholdGrid;
  readonly fallback: Fallback;
  readonly truncation: boolean;
  readonly minGap: number;
  /** Index of the final exit. */
  readonly final: number;
  readonly #evaluator: DesignEvaluator;
  readonly #seen = new Map<string, ScoredPoint>();
  readonly #plainAccuracy: number;
  readonly #plainLatency: number;

  /** `evaluator` may be handed on from another problem with the same scores, costs, grid and fallback, to keep its bit sets. */
  constructor(settings: SearchSettings, evaluator?: DesignEvaluator) {
    const { scores, costs } = settings;
    this.settings = settings;
    this.final = scores.exits - 1;
    this.candidates = checkCandidates(settings.candidates, this.final);
    this.fallback = settings.fallback ?? 'most-confident';
    this.truncation = settings.truncation !== 'never';
    this.minGap = settings.minGap ?? 2;
    this.grid = settings.grid ?? evaluator?.grid ?? thresholdGrid(scores, settings.policy);
    if (this.grid.kind !== settings.policy)
      throw new SearchSettingsError(`the grid holds ${this.grid.kind} thresholds, the policy is ${settings.policy}`);
    if (settings.maxMemory !== undefined && costs.memory === undefined)
      throw new SearchSettingsError('a memory limit needs costs that state memory');
    if (settings.constraint !== undefined && !(settings.constraint.budget > 0))
      throw new SearchSettingsError(`the budget is ${settings.constraint.budget}, not a positive number`);
    this.#evaluator = evaluator ?? new DesignEvaluator(scores, costs, this.grid, this.fallback);
    this.#plainAccuracy = exitAccuracy(scores, this.final);
    this.#plainLatency = backboneCost(costs);
  }

  get evaluator(): DesignEvaluator {
    return this.#evaluator;
  }

  /** Different points scored so far. */
  get evaluations(): number {
    return this.#seen.size;
  }

  /** Number of thresholds to choose from at an exit. */
  levels(exit: number): number {
    return this.grid.values[exit]!.length;
  }

  /** Scores a point, by look-up where it was scored before. */
  score(point: Point): ScoredPoint {
    // Where no exit decides, the threshold is no part of the design.
    const deciding = point.exits.length - (point.truncated ? 1 : 0);
    const key = `${point.exits.join()}|${deciding > 0 ? point.thresholds.join() : ''}|${point.truncated ? 1 : 0}`;
    const seen = this.#seen.get(key);
    if (seen !== undefined) return seen;
    const quick = this.#evaluator.evaluate(instantiatedExits(point, this.final), point.thresholds);
    const objective = this.#objective(quick.accuracy, quick.average);
    const excess = this.#excess(quick.average, quick.worstCase, quick.memoryBytes);
    const energy = objective - TIE_BREAK * (quick.average / this.#plainLatency);
    const scored: ScoredPoint = {
      point,
      objective,
      energy: excess > 0 ? energy - PENALTY_STEP - PENALTY_SLOPE * excess : energy,
      feasible: excess <= 0,
      accuracy: quick.accuracy,
      average: quick.average,
      worstCase: quick.worstCase,
    };
    this.#seen.set(key, scored);
    return scored;
  }

  /** The point as a design, its thresholds snapped away from the calibration scores, which changes no decision on them. */
  design(scored: ScoredPoint): FoundDesign {
    const { scores, costs } = this.settings;
    const choice = snapThresholds(scores, this.choice(scored.point));
    return {
      choice,
      predicted: evaluateDesign(scores, costs, choice),
      objective: scored.objective,
      evaluations: this.evaluations,
    };
  }

  /** The point as a design with the grid's own thresholds. */
  choice(point: Point): DesignChoice {
    const { scores } = this.settings;
    const { values, shared } = this.grid;
    const temperatures = instantiatedExits(point, this.final).map((exit) => scores.temperatures[exit]!);
    // A network without exits still needs a shared threshold in its record: the first will do.
    const some = point.exits[0] ?? 0;
    const { gates } = this.settings.policy === 'learned' ? scores : {};
    return {
      exits: point.exits,
      policy: {
        kind: this.settings.policy,
        thresholds: shared
          ? (values[some]?.[point.thresholds[0]!] ?? 0)
          : point.exits.map((exit, i) => values[exit]![point.thresholds[i]!]!),
        ...(gates === undefined ? {} : { gates: point.exits.map((exit) => gates[exit]!) }),
        ...(temperatures.every((temperature) => temperature === 1) ? {} : { temperatures }),
      },
      fallback: this.fallback,
      truncated: point.truncated,
    };
  }

  /** Points that are fast in one way or another, among them the fastest of the space: where searches for tight budgets begin. */
  cheapPoints(): readonly ScoredPoint[] {
    const middle = (exit: number): number => this.levels(exit) >> 1;
    const plain = this.score({ exits: [], thresholds: this.grid.shared ? [0] : [], truncated: false });
    return [
      plain,
      ...this.candidates.flatMap((exit) => {
        const loosest = this.score({ exits: [exit], thresholds: [this.loosest(exit)], truncated: false });
        if (!this.truncation) return [loosest];
        return [loosest, this.score({ exits: [exit], thresholds: [middle(exit)], truncated: true })];
      }),
    ];
  }

  /** Index of the threshold that lets most samples leave. */
  loosest(exit: number): number {
    return exitPolicies[this.settings.policy].leaves === 'below' ? this.levels(exit) - 1 : 0;
  }

  /** The error that says by how much the budget is missed. */
  infeasible(): InfeasibleBudgetError {
    const { constraint, costs } = this.settings;
    const points = this.cheapPoints();
    const lowest = Math.min(
      ...points.map((point) => (constraint?.kind === 'worst-case' ? point.worstCase : point.average)),
    );
    return new InfeasibleBudgetError(constraint?.budget ?? NaN, lowest, costs.unit);
  }

  #objective(accuracy: number, average: number): number {
    const { objective } = this.settings;
    if (objective === undefined || objective.kind === 'accuracy') return accuracy;
    return accuracy / this.#plainAccuracy - objective.latencyWeight * Math.log(average / this.#plainLatency + 1);
  }

  /** Largest relative excess over a constraint; ≤ 0 where all are kept. */
  #excess(average: number, worstCase: number, memoryBytes: number): number {
    const { constraint, maxMemory } = this.settings;
    let excess = -Infinity;
    if (constraint !== undefined)
      excess = ((constraint.kind === 'average' ? average : worstCase) - constraint.budget) / constraint.budget;
    if (maxMemory !== undefined) excess = Math.max(excess, (memoryBytes - maxMemory) / maxMemory);
    return excess;
  }
}

function checkCandidates(candidates: readonly number[] | undefined, final: number): readonly number[] {
  if (candidates === undefined) return Array.from({ length: final }, (_, i) => i);
  const sorted = [...new Set(candidates)].sort((a, b) => a - b);
  for (const candidate of sorted)
    if (!Number.isInteger(candidate) || candidate < 0 || candidate >= final)
      throw new SearchSettingsError(`candidate ${candidate} is not one of the network's ${final}`);
  return sorted;
}
