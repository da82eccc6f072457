/** @file Adding rows at positions of an axis: what undoes picking them. */
import type { GraphBuilder } from '../../ir/index.js';
import { range } from './shaping.js';

/** The permutation that brings `axis` to the front, and its inverse. */
export function toFront(rank: number, axis: number): { front: readonly number[]; back: readonly number[] } {
  const front = [axis, ...range(rank).filter((other) => other !== axis)];
  return { front, back: range(rank).map((other) => front.indexOf(other)) };
}

/**
 * Adds slice k of `value` along `axis` to slice `positions[k]` of zeros with size `dim` (an int64 vector of length 1)
 * along that axis. `positions` is an int64 vector that is known at run time.
 */
export function placeAlong(
  b: GraphBuilder,
  value: string,
  rank: number,
  axis: number,
  positions: string,
  dim: string,
): string {
  const { front, back } = toFront(rank, axis);
  const moved = axis === 0 ? value : b.op('Transpose', [value], { perm: front });
  const rows = b.op('Shape', [moved], { start: 1 });
  const shape = rank === 1 ? dim : b.op('Concat', [dim, rows], { axis: 0 });
  // The value's type is not known here, its zeros take it over.
  const zeros = b.op('CastLike', [b.op('ConstantOfShape', [shape]), value]);
  const at = b.op('Unsqueeze', [positions, b.int64s([-1])]);
  const added = b.op('ScatterND', [zeros, at, moved], { reduction: 'add' });
  return axis === 0 ? added : b.op('Transpose', [added], { perm: back });
}
