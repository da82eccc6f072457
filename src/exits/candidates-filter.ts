/** @file Thins a list of exit candidates: by MACs, block ends, distance, count or name. */
import { CuttleError } from '../ir/index.js';
import type { Candidate } from './candidates.js';

/** A filter that leaves nothing or names what is not there. Exit code 2. */
export class CandidateFilterError extends CuttleError {
  constructor(message: string, hint?: string) {
    super('usage', 'exits/candidate-filter', message, hint === undefined ? {} : { hint });
  }
}

/** All conditions hold together; they apply in the order in which they stand here. */
export interface CandidateFilter {
  /** Only these values (a candidate's `value` or `node`). */
  readonly names?: readonly string[];
  /** Share of the model's MACs up to the candidate, from … to, both included. */
  readonly macs?: readonly [from: number, to: number];
  /** Only candidates through which every path runs. */
  readonly blockEndsOnly?: boolean;
  /** Neighbours lie at least this share of the MACs apart. */
  readonly minGap?: number;
  /** Every k-th of what is left, the first included. */
  readonly every?: number;
  /** At most so many, spread evenly over the MACs. */
  readonly max?: number;
}

/**
 * The candidates that a filter leaves, in their order and with their adjacency index unchanged.
 * Throws CandidateFilterError for an unknown name, a condition out of range, or where nothing is left.
 */
export function filterCandidates(all: readonly Candidate[], filter: CandidateFilter = {}): readonly Candidate[] {
  let left = all;
  if (filter.names) {
    const known = new Set(all.flatMap(({ value, node }) => [value, node]));
    const unknown = filter.names.filter((name) => !known.has(name));
    if (unknown.length > 0)
      throw new CandidateFilterError(`no exit candidate is called ${unknown.map((name) => `'${name}'`).join(', ')}`);
    const wanted = new Set(filter.names);
    left = left.filter(({ value, node }) => wanted.has(value) || wanted.has(node));
  }
  if (filter.macs) {
    const [from, to] = filter.macs;
    if (!(from <= to)) throw new CandidateFilterError(`the MACs range ${from}…${to} is empty`);
    left = left.filter(({ position }) => position >= from && position <= to);
  }
  if (filter.blockEndsOnly) left = left.filter(({ blockEnd }) => blockEnd);
  if (filter.minGap !== undefined) {
    let last = -Infinity;
    left = left.filter(({ position }) => {
      if (position - last < filter.minGap!) return false;
      last = position;
      return true;
    });
  }
  if (filter.every !== undefined) {
    const every = positiveInteger('every', filter.every);
    left = left.filter((_, index) => index % every === 0);
  }
  if (filter.max !== undefined) left = spread(left, positiveInteger('max', filter.max));
  if (left.length === 0) throw new CandidateFilterError('the filter leaves no exit candidate', 'Loosen the filter.');
  return left;
}

/** The candidates nearest to `count` equidistant shares of the MACs between the first and the last one. */
function spread(all: readonly Candidate[], count: number): readonly Candidate[] {
  if (all.length <= count) return all;
  const [first, last] = [all[0]!.position, all.at(-1)!.position];
  const chosen: Candidate[] = [];
  let from = 0;
  for (let k = 0; k < count; k++) {
    const target = count === 1 ? (first + last) / 2 : first + ((last - first) * k) / (count - 1);
    // Enough candidates must stay for the targets that follow.
    let best = from;
    for (let index = from; index <= all.length - (count - k); index++)
      if (Math.abs(all[index]!.position - target) < Math.abs(all[best]!.position - target)) best = index;
    chosen.push(all[best]!);
    from = best + 1;
  }
  return chosen;
}

function positiveInteger(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw new CandidateFilterError(`'${name}' must be a positive integer, not ${value}`);
  return value;
}
