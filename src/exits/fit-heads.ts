/** @file Heads as wide as the network can afford: MSDNet's 128 channels would cost more than many small networks. */
import { attachExits, type Attached } from './attach.js';
import type { Candidate, Candidates } from './candidates.js';
import { resolveHead, type HeadConfig } from './heads/index.js';

/** The dearest head may take this share of the backbone's MACs. */
const AFFORDABLE_SHARE = 0.1;
const WIDTHS = [128, 64, 32, 16, 8] as const;

/**
 * `attachExits` with the widest heads of 128, 64, 32, 16 or 8 channels of which none takes more than a tenth of the
 * backbone's MACs (8 where all do). A width that the configuration states is taken as it is, and heads without
 * convolutions have none. Throws UnknownHeadError.
 */
export function attachFittingExits(
  candidates: Candidates,
  chosen: readonly Candidate[],
  config: HeadConfig,
  seed: number,
): Attached {
  const { head } = resolveHead(config);
  if (config.width !== undefined || head.defaultWidth === 0) return attachExits(candidates, chosen, config, seed);
  let attached: Attached | undefined;
  for (const width of WIDTHS.filter((width) => width <= head.defaultWidth)) {
    attached = attachExits(candidates, chosen, { ...config, width }, seed);
    const dearest = Math.max(...attached.info.exits.map((exit) => exit.head.macs));
    if (dearest <= AFFORDABLE_SHARE * attached.info.macs) break;
  }
  return attached ?? attachExits(candidates, chosen, config, seed);
}
