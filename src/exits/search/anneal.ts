/** @file Simulated annealing over designs (HAPI §1.9), with the adjacency prior. */
import type { Random } from '../../platform/random.js';
import { neighbour, randomPoint } from './moves.js';
import type { ScoredPoint, SearchProblem } from './problem.js';
import { settle } from './settle.js';

/** The paper gives no schedule; these were chosen on synthetic memos (bench/search). */
export interface AnnealSettings {
  /** Designs to score, repeats not counted. */
  readonly evaluations: number;
  /** Temperatures in units of the objective: at the start a loss of 3 pp is accepted one time in e, at the end 0.02 pp. */
  readonly startTemperature?: number;
  readonly endTemperature?: number;
  /** Distance between exits to keep; the problem's own prior where absent. */
  readonly minGap?: number;
}

/** Share of the evaluations spent on random designs to find a good start. */
const SCOUTING = 0.05;
/** Proposals per evaluation at most: in a small space almost everything has soon been seen. */
const MAX_PROPOSALS = 4;

/**
 * One annealing run. It begins at the best of the given starts, of a few random designs and of the fastest ones, so it
 * stands on a feasible design wherever there is one; the temperature falls geometrically. Designs that break a
 * constraint are penalised, never returned. Returns the best feasible design seen, or undefined.
 */
export function anneal(
  problem: SearchProblem,
  random: Random,
  settings: AnnealSettings,
  starts: readonly ScoredPoint[] = [],
): ScoredPoint | undefined {
  const { evaluations, startTemperature = 0.03, endTemperature = 2e-4, minGap = problem.minGap } = settings;
  const first = problem.evaluations;
  const done = (): number => problem.evaluations - first;
  let best: ScoredPoint | undefined;
  let current: ScoredPoint | undefined;
  const meet = (scored: ScoredPoint): void => {
    if (scored.feasible && (best === undefined || scored.energy > best.energy)) best = scored;
  };
  const begin = (scored: ScoredPoint): void => {
    meet(scored);
    if (current === undefined || scored.energy > current.energy) current = scored;
  };
  for (const start of [...starts, ...problem.cheapPoints()]) begin(start);
  const scouting = Math.ceil(evaluations * SCOUTING);
  for (let i = 0; i < scouting && done() < evaluations; i++) begin(problem.score(randomPoint(problem, random, true)));

  const from = done();
  const proposals = MAX_PROPOSALS * evaluations;
  for (let proposal = 0; proposal < proposals && done() < evaluations; proposal++) {
    const progress = Math.max((done() - from) / (evaluations - from), proposal / proposals);
    const temperature = startTemperature * (endTemperature / startTemperature) ** progress;
    const point = neighbour(problem, current!.point, random, minGap);
    const sameExits =
      point.truncated === current!.point.truncated && point.exits.join() === current!.point.exits.join();
    const next = sameExits ? problem.score(point) : settle(problem, point);
    meet(next);
    const gain = next.energy - current!.energy;
    if (gain >= 0 || random.next() < Math.exp(gain / temperature)) current = next;
  }
  return best;
}
