/** @file Threads and the cores they may use, in the study's notation: `4a2` is four threads on the two fastest cores (gaugeNN §4.2). */
import { CuttleError } from '../../ir/index.js';
import type { CoreCluster } from './properties.js';

/** A notation that cannot be read or asks for more cores than there are. Exit code 2. */
export class AffinityError extends CuttleError {
  constructor(message: string) {
    super('usage', 'measure/affinity', message, {
      hint: 'Write threads, or threads and cores: 4, or 4a2 for the two fastest cores.',
    });
  }
}

export interface ThreadPlan {
  readonly threads: number;
  /** How many of the fastest cores they may use; all where absent. */
  readonly fastest?: number;
}

/** Reads `4` or `4a2`. Throws AffinityError. */
export function parseThreadPlan(text: string): ThreadPlan {
  const match = /^(\d{1,3})(?:a(\d{1,3}))?$/.exec(text.trim());
  const threads = Number(match?.[1]);
  const fastest = match?.[2] === undefined ? undefined : Number(match[2]);
  if (match === null || threads < 1 || fastest === 0) throw new AffinityError(`'${text}' is no thread plan`);
  return fastest === undefined ? { threads } : { threads, fastest };
}

/** Writes it. */
export function threadPlanName({ threads, fastest }: ThreadPlan): string {
  return fastest === undefined ? `${threads}` : `${threads}a${fastest}`;
}

/** Mask of the fastest cores for `taskset`, hexadecimal. Throws AffinityError where the device has fewer. */
export function fastestMask(clusters: readonly CoreCluster[], fastest: number): string {
  const order = [...clusters]
    .sort((a, b) => b.maxMegahertz - a.maxMegahertz)
    .flatMap(({ cores }) => [...cores].reverse());
  if (fastest > order.length)
    throw new AffinityError(`${fastest} cores are asked for, the device shows ${order.length}`);
  let mask = 0n;
  for (const core of order.slice(0, fastest)) mask |= 1n << BigInt(core);
  return mask.toString(16);
}
