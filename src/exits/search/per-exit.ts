/** @file From one shared threshold to one per exit: keeps the exits, tunes each threshold by itself. */
import { proportionThresholds, thresholdGrid, type ThresholdGrid } from '../thresholds.js';
import { exitPolicies } from '../policies/index.js';
import { instantiatedExits } from '../rates.js';
import { SearchProblem, type Point, type ScoredPoint } from './problem.js';
import { refineThresholds } from './refine.js';

/** MSDNet's sweep of the ratio between neighbouring exits' shares: q ∈ {1/20 … 39/20}, here every third. */
const RATIOS = Array.from({ length: 13 }, (_, i) => (3 * i + 1) / 20);
/** So many of the best starting points are tuned. */
const TUNED = 4;

/**
 * Tunes a shared-threshold design's thresholds one by one (coordinate descent), from its own threshold and from MSDNet's
 * exit proportions. Returns the problem with the per-exit grid and the best design in it: never worse than the shared one.
 */
export function tunePerExit(
  problem: SearchProblem,
  start: ScoredPoint,
  size = 48,
): { problem: SearchProblem; best: ScoredPoint } {
  const { scores } = problem.settings;
  const kind = problem.settings.policy;
  const own = thresholdGrid(scores, kind, { size, shared: false });
  const shared = problem.choice(start.point).policy.thresholds as number;
  const grid: ThresholdGrid = {
    kind,
    shared: false,
    values: own.values.map((values) => Float32Array.from(new Set([...values, shared])).sort()),
  };
  const tuned = new SearchProblem({ ...problem.settings, grid });
  const pointOf = (thresholds: readonly number[]): Point => ({
    ...start.point,
    thresholds: start.point.exits.map((exit, i) => nearest(grid.values[exit]!, thresholds[i] ?? shared)),
  });
  const starts = [tuned.score(pointOf(start.point.exits.map(() => shared)))];
  if (exitPolicies[kind].evidence !== 'streak') {
    const instantiated = instantiatedExits(start.point, problem.final);
    for (const q of RATIOS) starts.push(tuned.score(pointOf(proportionThresholds(scores, kind, instantiated, q))));
  }
  const [first, ...others] = starts;
  const chosen = [first!, ...others.sort((a, b) => b.energy - a.energy).slice(0, TUNED - 1)];
  const ends = chosen.map((point) => refineThresholds(tuned, point)).filter((end) => end.feasible);
  return { problem: tuned, best: ends.reduce((a, b) => (b.energy > a.energy ? b : a)) };
}

/** Index of the value nearest to `wanted` in an ascending list. */
function nearest(values: Float32Array, wanted: number): number {
  let best = 0;
  for (let i = 1; i < values.length; i++)
    if (Math.abs(values[i]! - wanted) < Math.abs(values[best]! - wanted)) best = i;
  return best;
}
