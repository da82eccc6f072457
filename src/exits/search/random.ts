/** @file Random search: the baseline that annealing must beat with the same number of evaluations. */
import type { Random } from '../../platform/random.js';
import { randomPoint } from './moves.js';
import type { ScoredPoint, SearchProblem } from './problem.js';

/** Draws per evaluation at most: a small space soon repeats itself. */
const MAX_DRAWS = 20;

/** The best feasible of `evaluations` different random designs; undefined where none was feasible. */
export function searchRandomly(problem: SearchProblem, random: Random, evaluations: number): ScoredPoint | undefined {
  let best: ScoredPoint | undefined;
  const first = problem.evaluations;
  for (let draw = 0; draw < MAX_DRAWS * evaluations && problem.evaluations - first < evaluations; draw++) {
    const scored = problem.score(randomPoint(problem, random, false));
    if (scored.feasible && (best === undefined || scored.energy > best.energy)) best = scored;
  }
  return best;
}
