/** @file The transformations that lead from one design to a neighbouring one, and random designs. */
import type { Random } from '../../platform/random.js';
import type { Point, SearchProblem } from './problem.js';

/** A transformation t ∈ T (HAPI §1.9): undefined where it cannot be applied to this point. */
export type Move = (problem: SearchProblem, point: Point, random: Random, minGap: number) => Point | undefined;

/** How likely each is tried. */
const moves: readonly (readonly [number, Move])[] = [
  [0.3, changeThreshold],
  [0.3, moveExit],
  [0.15, addExit],
  [0.15, removeExit],
  [0.1, toggleFinal],
];

/** Steps of a small change of threshold or position. */
const SMALL = 3;
const SMALL_SHARE = 0.6;

/** A random neighbour whose added or moved exit keeps `minGap`. Gives up on impossible moves and tries others. */
export function neighbour(problem: SearchProblem, point: Point, random: Random, minGap = problem.minGap): Point {
  for (let attempt = 0; attempt < 64; attempt++) {
    let drawn = random.next();
    const move = moves.find(([weight]) => (drawn -= weight) < 0)?.[1] ?? changeThreshold;
    const next = move(problem, point, random, minGap);
    if (next !== undefined) return next;
  }
  return point;
}

/** A random design: each candidate with one probability, itself drawn, so that few and many exits both occur. */
export function randomPoint(problem: SearchProblem, random: Random, respectPrior: boolean): Point {
  const density = random.next() ** 2;
  const exits: number[] = [];
  for (const candidate of problem.candidates)
    if (random.next() < density && (!respectPrior || keepsGap(exits, candidate, problem.minGap))) exits.push(candidate);
  const truncated = problem.truncation && exits.length > 0 && random.next() < 0.5;
  return {
    exits,
    thresholds: problem.grid.shared
      ? [random.int(problem.levels(problem.candidates[0] ?? 0))]
      : exits.map((exit) => random.int(problem.levels(exit))),
    truncated,
  };
}

/** Whether an exit may join others under the adjacency prior (and is not one of them). */
export function keepsGap(exits: readonly number[], candidate: number, minGap: number): boolean {
  return exits.every((exit) => Math.abs(exit - candidate) >= minGap);
}

/** `point` with an exit added, in order; its threshold is the given grid index (per-exit grids only). */
export function withExit(problem: SearchProblem, point: Point, exit: number, threshold: number): Point {
  const at = point.exits.findIndex((other) => other > exit);
  const place = at < 0 ? point.exits.length : at;
  return {
    ...point,
    exits: [...point.exits.slice(0, place), exit, ...point.exits.slice(place)],
    thresholds: problem.grid.shared
      ? point.thresholds
      : [...point.thresholds.slice(0, place), threshold, ...point.thresholds.slice(place)],
  };
}

/** `point` without its exit number `place`. Undefined where a truncated design would lose its last exit. */
export function withoutExit(problem: SearchProblem, point: Point, place: number): Point | undefined {
  if (point.truncated && point.exits.length === 1) return undefined;
  return {
    ...point,
    exits: point.exits.filter((_, i) => i !== place),
    thresholds: problem.grid.shared ? point.thresholds : point.thresholds.filter((_, i) => i !== place),
  };
}

/** `point` with its exit number `place` at another candidate; undefined where that one is taken. */
export function withMovedExit(
  problem: SearchProblem,
  point: Point,
  place: number,
  candidate: number,
): Point | undefined {
  if (point.exits.includes(candidate)) return undefined;
  const rest: Point = {
    ...point,
    exits: point.exits.filter((_, i) => i !== place),
    thresholds: problem.grid.shared ? point.thresholds : point.thresholds.filter((_, i) => i !== place),
  };
  return withExit(problem, rest, candidate, Math.min(point.thresholds[place] ?? 0, problem.levels(candidate) - 1));
}

/** `point` with threshold number `place` at grid index `level`. */
export function withThreshold(point: Point, place: number, level: number): Point {
  return { ...point, thresholds: point.thresholds.map((old, i) => (i === place ? level : old)) };
}

function changeThreshold(problem: SearchProblem, point: Point, random: Random): Point | undefined {
  if (point.thresholds.length === 0 || point.exits.length === 0) return undefined;
  const place = random.int(point.thresholds.length);
  const levels = problem.levels(point.exits[place]!);
  if (levels < 2) return undefined;
  const old = point.thresholds[place]!;
  const level =
    random.next() < SMALL_SHARE ? old + (random.int(2) === 0 ? -1 : 1) * (1 + random.int(SMALL)) : random.int(levels);
  if (level === old || level < 0 || level >= levels) return undefined;
  return withThreshold(point, place, level);
}

function moveExit(problem: SearchProblem, point: Point, random: Random, minGap: number): Point | undefined {
  if (point.exits.length === 0) return undefined;
  const place = random.int(point.exits.length);
  const { candidates } = problem;
  const from = candidates.indexOf(point.exits[place]!);
  const to =
    random.next() < SMALL_SHARE
      ? from + (random.int(2) === 0 ? -1 : 1) * (1 + random.int(SMALL))
      : random.int(candidates.length);
  const candidate = candidates[to];
  if (candidate === undefined || to === from) return undefined;
  const others = point.exits.filter((_, i) => i !== place);
  return keepsGap(others, candidate, minGap) ? withMovedExit(problem, point, place, candidate) : undefined;
}

function addExit(problem: SearchProblem, point: Point, random: Random, minGap: number): Point | undefined {
  if (problem.candidates.length === 0) return undefined;
  const candidate = problem.candidates[random.int(problem.candidates.length)]!;
  if (!keepsGap(point.exits, candidate, minGap)) return undefined;
  const like = point.thresholds.length === 0 ? undefined : point.thresholds[random.int(point.thresholds.length)];
  const levels = problem.levels(candidate);
  return withExit(problem, point, candidate, like === undefined ? random.int(levels) : Math.min(like, levels - 1));
}

function removeExit(problem: SearchProblem, point: Point, random: Random): Point | undefined {
  if (point.exits.length === 0) return undefined;
  return withoutExit(problem, point, random.int(point.exits.length));
}

function toggleFinal(problem: SearchProblem, point: Point): Point | undefined {
  if (!problem.truncation || point.exits.length === 0) return undefined;
  return { ...point, truncated: !point.truncated };
}
