/** @file The table of exit heads. A new head is one file and one line here. */
import { CuttleError } from '../../ir/index.js';
import type { ExitHead, HeadConfig, HeadKind } from './head.js';
import { msdnet } from './msdnet.js';
import { pool } from './pool.js';
import { sdn } from './sdn.js';

export type { ExitHead, HeadConfig, HeadKind, HeadSite } from './head.js';

export const exitHeads: Readonly<Record<HeadKind, ExitHead>> = { msdnet, sdn, pool };

/** A head that does not exist, or with an impossible width. Exit code 2. */
export class UnknownHeadError extends CuttleError {
  constructor(message: string) {
    super('usage', 'exits/unknown-head', message, { hint: `Heads: ${Object.keys(exitHeads).join(', ')}.` });
  }
}

/** The head and width that a configuration (or just a name) means; MSDNet's where omitted. Throws UnknownHeadError. */
export function resolveHead(config: HeadConfig | HeadKind = 'msdnet'): {
  readonly head: ExitHead;
  readonly width: number;
} {
  const { kind, width } = typeof config === 'string' ? { kind: config, width: undefined } : config;
  if (!Object.hasOwn(exitHeads, kind)) throw new UnknownHeadError(`there is no exit head '${String(kind)}'`);
  const head = exitHeads[kind];
  const chosen = width ?? head.defaultWidth;
  if (!Number.isInteger(chosen) || chosen < (head.defaultWidth > 0 ? 1 : 0))
    throw new UnknownHeadError(`an exit head cannot be ${chosen} channels wide`);
  return { head, width: chosen };
}
