/** @file Device and server time of every cut from one profile each: times per layer, added up. */
import { segmentTimes, type Profile } from '../../runtime/index.js';
import type { Cuts } from '../cuts.js';

/**
 * Milliseconds of the device part of each cut (`prefix`) and of what is left (`rest`), from a profile of the whole network
 * made on the machine in question: a client's profile gives the device's times, a server's the server's. A kernel that
 * stands for several fused nodes counts where its own node lies.
 */
export function cutTimes(cuts: Cuts, profile: Profile): { readonly prefix: Float64Array; readonly rest: Float64Array } {
  const groups = cuts.cuts.map(({ nodes }, index) => {
    const from = index === 0 ? 0 : cuts.cuts[index - 1]!.nodes;
    return new Set(cuts.nodes.slice(from, nodes).map(({ name }) => name));
  });
  const own = segmentTimes(profile, groups);
  let sum = 0;
  const prefix = own.map((ms) => (sum += ms));
  return { prefix, rest: prefix.map((ms) => sum - ms) };
}
