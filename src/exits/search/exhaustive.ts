/** @file Exhaustive search: every design of a small space, the measure of all other searches. */
import { SearchSettingsError, type Point, type ScoredPoint, type SearchProblem } from './problem.js';

/** More designs than this are refused. */
export const EXHAUSTIVE_LIMIT = 4_000_000;

/** Number of designs of the space: N_conf · 2^N for the untruncated ones, less the repeats where no exit decides. */
export function designCount(problem: SearchProblem): number {
  const { candidates, truncation, grid } = problem;
  if (!grid.shared) {
    const ways = candidates.reduce((product, exit) => product * (1 + problem.levels(exit)), 1);
    return truncation ? 2 * ways : ways;
  }
  const levels = candidates.length === 0 ? 1 : problem.levels(candidates[0]!);
  return levels * 2 ** candidates.length * (truncation ? 2 : 1);
}

/**
 * The best feasible design of the whole space (without the adjacency prior); undefined where none is feasible.
 * Throws SearchSettingsError beyond `EXHAUSTIVE_LIMIT` designs.
 */
export function searchExhaustively(problem: SearchProblem): ScoredPoint | undefined {
  const total = designCount(problem);
  if (total > EXHAUSTIVE_LIMIT)
    throw new SearchSettingsError(
      `an exhaustive search would take ${total} designs, more than ${EXHAUSTIVE_LIMIT}`,
      'Use annealing, or fewer candidates or thresholds.',
    );
  let best: ScoredPoint | undefined;
  const meet = (point: Point): void => {
    const scored = problem.score(point);
    if (scored.feasible && (best === undefined || scored.energy > best.energy)) best = scored;
  };
  const { candidates } = problem;
  for (let subset = 0; subset < 2 ** candidates.length; subset++) {
    const exits = candidates.filter((_, i) => (subset >>> i) & 1);
    for (const truncated of problem.truncation && exits.length > 0 ? [false, true] : [false]) {
      const deciding = exits.length - (truncated ? 1 : 0);
      for (const thresholds of thresholdLists(problem, exits, deciding)) meet({ exits, thresholds, truncated });
    }
  }
  return best;
}

/** All threshold lists of a design: one index where the grid is shared, else every combination over its deciding exits. */
function* thresholdLists(
  problem: SearchProblem,
  exits: readonly number[],
  deciding: number,
): Generator<readonly number[]> {
  if (problem.grid.shared) {
    const levels = deciding === 0 ? 1 : problem.levels(exits[0]!);
    for (let level = 0; level < levels; level++) yield [level];
    return;
  }
  const list = exits.map(() => 0);
  for (let place = 0; place >= 0;) {
    yield [...list];
    place = deciding - 1;
    while (place >= 0 && ++list[place]! >= problem.levels(exits[place]!)) list[place--] = 0;
  }
}
