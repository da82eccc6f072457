/** @file The best shared threshold for a design whose exits have just changed: a move is judged by what it can reach. */
import type { Point, ScoredPoint, SearchProblem } from './problem.js';
import { withThreshold } from './moves.js';

/** First step of the search over grid levels, as a share of the grid. */
const FIRST_STEP = 1 / 8;

/**
 * Climbs over the levels of a shared threshold from the point's own, with steps that halve. Latency falls or rises with
 * the threshold throughout, so that under a tight budget one exit more or less needs another threshold: scored with the
 * old one, almost every change of exits looks infeasible or wasteful. Points of per-exit grids are scored as they are.
 */
export function settle(problem: SearchProblem, point: Point): ScoredPoint {
  let best = problem.score(point);
  const deciding = point.exits.length - (point.truncated ? 1 : 0);
  if (!problem.grid.shared || deciding === 0) return best;
  const levels = problem.levels(point.exits[0]!);
  for (let step = Math.max(1, Math.floor(levels * FIRST_STEP)); step >= 1; step = Math.floor(step / 2))
    for (let moved = true; moved;) {
      const level = best.point.thresholds[0]!;
      moved = false;
      for (const other of [level - step, level + step]) {
        if (other < 0 || other >= levels) continue;
        const scored = problem.score(withThreshold(point, 0, other));
        if (scored.energy <= best.energy) continue;
        best = scored;
        moved = true;
        break;
      }
    }
  return best;
}
