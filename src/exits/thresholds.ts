/** @file Thresholds: the grids that searches draw from, MSDNet's exit proportions, and snapping away from the scores. */
import { InvalidDesignError, type DesignChoice } from './design.js';
import { exitPolicies, leaves, thresholdAt } from './policies/index.js';
import type { ExitPolicy, PolicyKind } from './policies/policy.js';
import { instantiatedExits } from './rates.js';
import { evidenceColumn, nextStreak, type ScoreTables } from './scores.js';

/** The thresholds that a search may use, per candidate exit; in shared grids all lists are the same one. */
export interface ThresholdGrid {
  readonly kind: PolicyKind;
  readonly shared: boolean;
  /** Per exit, ascending, distinct, float32. */
  readonly values: readonly Float32Array[];
}

/** How many scores per exit a shared grid is drawn from: enough for its quantiles. */
const POOLED_PER_EXIT = 2048;
/** How far a snapped threshold stays from the outermost score. */
const EDGE = 1e-4;

/**
 * A grid of about `size` thresholds. Half are evenly spaced over the policy's range, half are quantiles of the exits'
 * calibration scores, so that the grid is dense where the samples are (late exits crowd near confidence 1). A shared grid
 * pools all candidates; otherwise each exit gets its own. Patience gets the whole numbers from 1 on.
 */
export function thresholdGrid(
  scores: ScoreTables,
  kind: PolicyKind,
  options: { readonly size?: number; readonly shared?: boolean } = {},
): ThresholdGrid {
  const { size = 64, shared = true } = options;
  if (!Number.isInteger(size) || size < 2) throw new InvalidDesignError(`a threshold grid cannot have ${size} values`);
  const policy = exitPolicies[kind];
  const { evidence } = policy;
  const candidates = scores.exits - 1;
  const make = (exits: readonly number[]): Float32Array => {
    if (evidence === 'streak')
      return Float32Array.from({ length: Math.max(1, Math.min(size, candidates)) }, (_, i) => i + 1);
    const { min, max } = policy.range(scores.classes);
    const even = Math.floor(size / 2);
    const values = Array.from({ length: even }, (_, i) => min + ((max - min) * (i + 1)) / (even + 1));
    const pooled = pool(exits.map((exit) => evidenceColumn(scores, evidence, exit)));
    for (let i = 0; i < size - even && pooled.length > 0; i++)
      values.push(pooled[Math.floor(((i + 0.5) * pooled.length) / (size - even))]!);
    return distinct(values);
  };
  const all = Array.from({ length: candidates }, (_, exit) => exit);
  const common = shared ? make(all) : undefined;
  return { kind, shared, values: all.map((exit) => common ?? make([exit])) };
}

/** A grid of the given thresholds, the same for every candidate (HAPI's example: 0.4, 0.6, 0.8). */
export function fixedGrid(kind: PolicyKind, thresholds: readonly number[], candidates: number): ThresholdGrid {
  const values = distinct(thresholds);
  return { kind, shared: true, values: Array.from({ length: candidates }, () => values) };
}

/** SDN's published sweep of confidence thresholds (peer repository: τ grid). */
export const sdnThresholds = [0.1, 0.15, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999] as const;

/**
 * MSDNet's budgeted thresholds: per-exit thresholds with which exit k takes the share p_k ∝ q^k (k = 1 … K) of all
 * samples, found by sorting the scores of those that are still there. Small q leaves early, large q late. Returns one
 * threshold for each of the instantiated exits but the last. Patience has no scores to sort: InvalidDesignError.
 */
export function proportionThresholds(
  scores: ScoreTables,
  kind: PolicyKind,
  instantiated: readonly number[],
  q: number,
): number[] {
  const policy = exitPolicies[kind];
  if (policy.evidence === 'streak')
    throw new InvalidDesignError('patience counts agreements: it cannot be tuned to exit proportions', {
      hint: 'Use confidence, margin or entropy.',
    });
  const powers = instantiated.map((_, k) => q ** (k + 1));
  const total = powers.reduce((sum, power) => sum + power, 0);
  let going = Array.from({ length: scores.samples }, (_, s) => s);
  const thresholds: number[] = [];
  for (let position = 0; position < instantiated.length - 1; position++) {
    const values = evidenceColumn(scores, policy.evidence, instantiated[position]!);
    const sorted = Float32Array.from(going, (s) => values[s]!).sort();
    const wanted = Math.min(going.length, Math.floor((scores.samples * powers[position]!) / total));
    const threshold = cutFor(policy, scores.classes, sorted, wanted);
    thresholds.push(threshold);
    going = going.filter((s) => !leaves(policy, values[s]!, threshold));
  }
  return thresholds;
}

/**
 * The same design with each threshold in the middle of the gap between the calibration scores on its two sides, so that
 * no decision on the calibration set changes and rounding differences between engines (a softmax computed inside ONNX
 * Runtime, another batch size) do not flip any. `slack` allows that many samples per exit to change side in return for
 * the widest gap in reach; a change of decisions is then possible, so evaluate the result again. A shared threshold is
 * snapped against the scores of all deciding exits together. Patience needs no snapping.
 */
export function snapThresholds(scores: ScoreTables, choice: DesignChoice, slack = 0): DesignChoice {
  const { evidence } = exitPolicies[choice.policy.kind];
  if (evidence === 'streak') return choice;
  const instantiated = instantiatedExits(choice, scores.exits - 1);
  const deciding = instantiated.slice(0, -1);
  if (deciding.length === 0) return choice;
  const arriving = arrivals(scores, choice, instantiated);
  const column = (position: number): Float32Array => {
    const values = evidenceColumn(scores, evidence, deciding[position]!);
    return Float32Array.from(arriving[position]!, (s) => values[s]!);
  };
  const { thresholds } = choice.policy;
  if (typeof thresholds === 'number') {
    const columns = deciding.map((_, position) => column(position));
    const pooled = new Float32Array(columns.reduce((sum, values) => sum + values.length, 0));
    let offset = 0;
    for (const values of columns) {
      pooled.set(values, offset);
      offset += values.length;
    }
    return withThresholds(choice, widestGap(pooled.sort(), thresholds, slack));
  }
  return withThresholds(
    choice,
    thresholds.map((threshold, position) =>
      position < deciding.length ? widestGap(column(position).sort(), threshold, slack) : threshold,
    ),
  );
}

/** Samples that arrive at each deciding exit: only their scores matter to its threshold. */
function arrivals(scores: ScoreTables, choice: DesignChoice, instantiated: readonly number[]): number[][] {
  const policy = exitPolicies[choice.policy.kind];
  const streaks = new Int32Array(scores.samples);
  let going = Array.from({ length: scores.samples }, (_, s) => s);
  return instantiated.slice(0, -1).map((exit, position) => {
    const here = going;
    const prediction = scores.prediction[exit]!;
    const previous = position === 0 ? undefined : scores.prediction[instantiated[position - 1]!]!;
    const threshold = thresholdAt(choice.policy, position);
    const values = policy.evidence === 'streak' ? undefined : evidenceColumn(scores, policy.evidence, exit);
    going = here.filter((s) => {
      streaks[s] = nextStreak(streaks[s]!, previous?.[s], prediction[s]!);
      const value = values === undefined ? streaks[s] : values[s]!;
      return !leaves(policy, value, threshold);
    });
    return here;
  });
}

/** A threshold that splits `sorted` as `threshold` does (up to `slack` values more or less), in the middle of the widest gap. */
function widestGap(sorted: Float32Array, threshold: number, slack: number): number {
  const limit = Math.fround(threshold);
  let rank = lowerBound(sorted, limit);
  if (sorted.length === 0) return limit;
  // Beyond all values there is no gap to be in the middle of, but some distance can be kept.
  if (rank === 0) return Math.min(limit, Math.fround(sorted[0]! - EDGE));
  if (rank === sorted.length) return Math.max(limit, Math.fround(sorted[rank - 1]! + EDGE));
  let width = sorted[rank]! - sorted[rank - 1]!;
  const from = Math.max(1, rank - slack);
  const to = Math.min(sorted.length - 1, rank + slack);
  for (let i = from; i <= to; i++) {
    if (sorted[i]! - sorted[i - 1]! <= width) continue;
    width = sorted[i]! - sorted[i - 1]!;
    rank = i;
  }
  return between(sorted[rank - 1]!, sorted[rank]!);
}

/** The float32 in the middle of two; above the lower in any case, so that it separates them. */
function between(low: number, high: number): number {
  const middle = Math.fround((low + high) / 2);
  return middle > low ? middle : high;
}

/** A threshold with which `wanted` of the sorted values leave, as nearly as ties allow (never more). */
function cutFor(policy: ExitPolicy, classes: number, sorted: Float32Array, wanted: number): number {
  const { length } = sorted;
  // Finite values outside the range, because thresholds are stored as JSON.
  const { min, max } = policy.range(classes);
  const [none, all] = policy.leaves === 'at-least' ? [max + 1, min] : [min, max + 1];
  if (wanted <= 0 || length === 0) return none;
  if (policy.leaves === 'below') {
    if (wanted >= length) return all;
    const rank = lowerBound(sorted, sorted[wanted]!);
    return rank === 0 ? none : between(sorted[rank - 1]!, sorted[rank]!);
  }
  if (wanted >= length) return all;
  let rank = length - wanted;
  while (rank < length && sorted[rank] === sorted[rank - 1]) rank++;
  return rank === length ? none : between(sorted[rank - 1]!, sorted[rank]!);
}

/** Index of the first value that is not below `limit`. */
function lowerBound(sorted: Float32Array, limit: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

function withThresholds(choice: DesignChoice, thresholds: number | readonly number[]): DesignChoice {
  return { ...choice, policy: { ...choice.policy, thresholds } };
}

function pool(columns: readonly Float32Array[]): Float32Array {
  const kept = columns.map((values) => {
    const step = Math.max(1, Math.floor(values.length / POOLED_PER_EXIT));
    return Float32Array.from({ length: Math.floor(values.length / step) }, (_, i) => values[i * step]!);
  });
  const pooled = new Float32Array(kept.reduce((sum, values) => sum + values.length, 0));
  let offset = 0;
  for (const values of kept) {
    pooled.set(values, offset);
    offset += values.length;
  }
  return pooled.sort();
}

function distinct(values: readonly number[]): Float32Array {
  const sorted = Float32Array.from(values).sort();
  return sorted.filter((value, i) => i === 0 || value !== sorted[i - 1]);
}
