/** @file Predicted latency and memory of a design: average over the samples, worst case, and what still fits a deadline. */
import { cumulativeCosts, type ExitCosts } from './costs.js';
import type { DesignChoice } from './design.js';
import { instantiatedExits } from './rates.js';

/** In the unit of the costs. */
export interface PredictedLatency {
  readonly average: number;
  /** Of a sample that no exit stops: all segments and all instantiated heads up to the design's last exit. */
  readonly worstCase: number;
}

/**
 * Cost of going from each instantiated exit to the next and through its head: what a sample adds by reaching it.
 * `instantiated` are ascending exit indices, the final one N.
 */
export function stageCosts(costs: ExitCosts, instantiated: readonly number[]): Float64Array {
  const upTo = cumulativeCosts(costs.segments);
  const stages = new Float64Array(instantiated.length);
  let before = 0;
  instantiated.forEach((exit, i) => {
    stages[i] = upTo[exit]! - before + costs.heads[exit]!;
    before = upTo[exit]!;
  });
  return stages;
}

/**
 * L(s) = qᵀ l (HAPI §1.7), with neighbouring segments between two instantiated exits merged, since they share one rate.
 * `reach`: share of samples that reach each instantiated exit (`reachRates`).
 */
export function predictLatency(
  costs: ExitCosts,
  instantiated: readonly number[],
  reach: ArrayLike<number>,
): PredictedLatency {
  const stages = stageCosts(costs, instantiated);
  let average = 0;
  let worstCase = 0;
  stages.forEach((cost, i) => {
    average += reach[i]! * cost;
    worstCase += cost;
  });
  return { average, worstCase };
}

/** Cost of a sample that stops at each instantiated exit: running sums of the stages. */
export function costsByExit(costs: ExitCosts, instantiated: readonly number[]): Float64Array {
  return cumulativeCosts(stageCosts(costs, instantiated));
}

/**
 * Bytes of all parts that a design keeps loaded: segments up to its last exit, and its heads. HAPI's m(s) = 1(q > 0)ᵀ m,
 * with parts counted that are instantiated but that no calibration sample happened to reach: they must be loaded all the
 * same. `undefined` where the costs carry no memory.
 */
export function predictMemory(costs: ExitCosts, instantiated: readonly number[]): number | undefined {
  if (costs.memory === undefined) return undefined;
  const last = instantiated.at(-1) ?? -1;
  let bytes = 0;
  for (let i = 0; i <= last; i++) bytes += costs.memory.segments[i]!;
  for (const exit of instantiated) bytes += costs.memory.heads[exit]!;
  return bytes;
}

/**
 * HAPI's run-time rule: execute only up to the last classifier that does not violate the deadline. Returns the number of
 * the design's instantiated exits that fit (0 where not even the first does). `slowDown` scales the model to the
 * device's present load (SPINN's SF = real time / modelled time).
 */
export function exitsWithin(costs: ExitCosts, choice: DesignChoice, deadline: number, slowDown = 1): number {
  const byExit = costsByExit(costs, instantiatedExits(choice, costs.segments.length - 1));
  let fitting = 0;
  while (fitting < byExit.length && byExit[fitting]! * slowDown <= deadline) fitting++;
  return fitting;
}

/** The design cut down to its first `count` instantiated exits (`exitsWithin`); itself where that is all of them. */
export function truncateDesign(choice: DesignChoice, count: number, final: number): DesignChoice {
  const kept = instantiatedExits(choice, final).slice(0, count);
  const truncated = kept.at(-1) !== final;
  const exits = truncated ? kept : kept.slice(0, -1);
  const { thresholds, temperatures, gates } = choice.policy;
  return {
    ...choice,
    exits,
    truncated,
    policy: {
      ...choice.policy,
      thresholds: typeof thresholds === 'number' ? thresholds : thresholds.slice(0, exits.length),
      ...(gates === undefined ? {} : { gates: gates.slice(0, exits.length) }),
      ...(temperatures === undefined ? {} : { temperatures: temperatures.slice(0, kept.length) }),
    },
  };
}
