/** @file Refinement after annealing: tries what lies next to the design found, adjacent positions included. */
import { withExit, withMovedExit, withoutExit, withThreshold } from './moves.js';
import type { Point, ScoredPoint, SearchProblem } from './problem.js';

/** A moved exit is tried with its threshold up to this many grid steps away as well. */
const THRESHOLD_REACH = 3;
const MAX_ROUNDS = 50;

/**
 * Climbs from a feasible design to the best of its neighbours until none is better. Neighbours: each exit at the
 * positions beside it (HAPI's refinement step; here the adjacency prior no longer holds), one exit more or less, the
 * final exit in or out, any other threshold. Never returns a worse design.
 */
export function refine(problem: SearchProblem, start: ScoredPoint): ScoredPoint {
  let best = start;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let better = best;
    for (const point of neighbourhood(problem, best.point)) {
      const scored = problem.score(point);
      if (scored.feasible && scored.energy > better.energy) better = scored;
    }
    if (better === best) break;
    best = better;
  }
  return best;
}

/**
 * Coordinate descent on thresholds alone: each in turn is set to its best grid value, until a round changes nothing.
 * For per-exit grids; with a shared grid it is a sweep.
 */
export function refineThresholds(problem: SearchProblem, start: ScoredPoint): ScoredPoint {
  let best = start;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const before = best;
    for (let place = 0; place < before.point.thresholds.length; place++)
      for (const point of thresholdSweep(problem, best.point, place)) {
        const scored = problem.score(point);
        if (scored.feasible && (!best.feasible || scored.energy > best.energy)) best = scored;
      }
    if (best === before) break;
  }
  return best;
}

function* neighbourhood(problem: SearchProblem, point: Point): Generator<Point> {
  const { candidates } = problem;
  for (let place = 0; place < point.exits.length; place++) {
    const at = candidates.indexOf(point.exits[place]!);
    for (const candidate of [candidates[at - 1], candidates[at + 1]]) {
      if (candidate === undefined) continue;
      const moved = withMovedExit(problem, point, place, candidate);
      if (moved !== undefined)
        yield* withNearThresholds(problem, moved, problem.grid.shared ? 0 : moved.exits.indexOf(candidate));
    }
    const fewer = withoutExit(problem, point, place);
    if (fewer !== undefined) yield* withNearThresholds(problem, fewer, 0);
  }
  for (const candidate of candidates)
    if (!point.exits.includes(candidate)) {
      const like = Math.min(point.thresholds[0] ?? 0, problem.levels(candidate) - 1);
      yield withExit(problem, point, candidate, like);
    }
  if (problem.truncation && point.exits.length > 0) {
    const toggled: Point = { ...point, truncated: !point.truncated };
    yield toggled;
    yield* withNearThresholds(problem, toggled, 0);
  }
  for (let place = 0; place < point.thresholds.length; place++) yield* thresholdSweep(problem, point, place);
}

/** The point with threshold number `place` a few grid steps up and down. */
function* withNearThresholds(problem: SearchProblem, point: Point, place: number): Generator<Point> {
  yield point;
  const level = point.thresholds[place];
  const exit = point.exits[place];
  if (level === undefined || exit === undefined) return;
  for (let step = 1; step <= THRESHOLD_REACH; step++)
    for (const other of [level - step, level + step])
      if (other >= 0 && other < problem.levels(exit)) yield withThreshold(point, place, other);
}

function* thresholdSweep(problem: SearchProblem, point: Point, place: number): Generator<Point> {
  const exit = point.exits[place];
  if (exit === undefined) return;
  for (let level = 0; level < problem.levels(exit); level++)
    if (level !== point.thresholds[place]) yield withThreshold(point, place, level);
}
