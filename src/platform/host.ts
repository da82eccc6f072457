/** @file Which host we run on, and its description. */
import type { HostDescription } from './host-description.js';

/** True in Node (workers included), false in browsers. */
export const isNode: boolean =
  typeof process === 'object' && typeof process.versions === 'object' && process.versions.node !== undefined;

/** Describes this machine; the answer is found once and kept. */
export async function describeHost(): Promise<HostDescription> {
  known ??= isNode
    ? import('./node/cpu.js').then((module) => module.describeNodeHost())
    : import('./web/cpu.js').then((module) => module.describeWebHost());
  return known;
}

let known: Promise<HostDescription> | undefined;
