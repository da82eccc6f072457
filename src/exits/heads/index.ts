/** @file The table of exit heads. A new head is one file and one line here. */
import { classToken } from './class-token.js';
import { UnknownHeadError, type ExitHead, type HeadConfig, type HeadKind } from './head.js';
import { msdnet } from './msdnet.js';
import { pool } from './pool.js';
import { sdn } from './sdn.js';

export { UnknownHeadError, type ExitHead, type HeadConfig, type HeadKind, type HeadSite } from './head.js';

export const exitHeads: Readonly<Record<HeadKind, ExitHead>> = {
  msdnet,
  sdn,
  pool,
  'class-token': classToken,
};

/** The head and width that a configuration (or just a name) means; MSDNet's where omitted. Throws UnknownHeadError. */
export function resolveHead(config: HeadConfig | HeadKind = 'msdnet'): {
  readonly head: ExitHead;
  readonly width: number;
} {
  const { kind, width } = typeof config === 'string' ? { kind: config, width: undefined } : config;
  if (!Object.hasOwn(exitHeads, kind))
    throw new UnknownHeadError(
      `there is no exit head '${String(kind)}'`,
      `Heads: ${Object.keys(exitHeads).join(', ')}.`,
    );
  const head = exitHeads[kind];
  const chosen = width ?? head.defaultWidth;
  if (!Number.isInteger(chosen) || chosen < (head.defaultWidth > 0 ? 1 : 0))
    throw new UnknownHeadError(`an exit head cannot be ${chosen} channels wide`);
  return { head, width: chosen };
}
