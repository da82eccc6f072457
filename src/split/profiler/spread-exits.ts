/** @file Which exits of a progressive model take part where nobody chose: SPINN's six, spread over the work. */
// SPINN's networks are progressive models of the exits system.
import { isProgressive, readProgressive } from '../../exits/progressive.js';
import type { Model } from '../../ir/index.js';

/** Shares of the backbone's operations at which SPINN puts its exits (§4.1). */
export const SPINN_EXITS: readonly number[] = [0.15, 0.3, 0.45, 0.6, 0.75, 0.9];

/**
 * Numbers of the exits nearest to some shares of the backbone's operations, ascending, no exit twice. Where every path
 * runs through one value (block ends) there are exits enough, only these count: they follow each other in any order of
 * the nodes. None for a plain model.
 */
export function spreadExits(model: Model, shares: readonly number[] = SPINN_EXITS): readonly number[] {
  if (!isProgressive(model)) return [];
  const all = readProgressive(model).info.exits.map(({ position, blockEnd }, exit) => ({ exit, position, blockEnd }));
  const ends = all.filter(({ blockEnd }) => blockEnd);
  const eligible = ends.length >= Math.min(shares.length, all.length) ? ends : all;
  const chosen = new Set<number>();
  for (const share of shares) {
    const free = eligible.filter(({ exit }) => !chosen.has(exit));
    if (free.length === 0) break;
    const nearest = free.reduce((a, b) => (Math.abs(b.position - share) < Math.abs(a.position - share) ? b : a));
    chosen.add(nearest.exit);
  }
  return [...chosen].sort((a, b) => a - b);
}
