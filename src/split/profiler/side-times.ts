/** @file Times of a split network's parts on one machine, from a profile of the whole network made there. */
import { segmentTimes, type Profile } from '../../runtime/index.js';
import { SplitProfileError, type SideTimes, type SplitProfile } from './split-profile.js';

/**
 * Times between cuts and of exit heads. A kernel that stands for several fused nodes counts where its own node lies.
 * Throws SplitProfileError where the profile knows none of the network's nodes.
 */
export function sideTimes(
  network: {
    readonly cuts: readonly Pick<SplitProfile['cuts'][number], 'nodes'>[];
    readonly exits: readonly Pick<SplitProfile['exits'][number], 'nodes'>[];
  },
  profile: Profile,
  source: SideTimes['source'] = 'profile',
): SideTimes {
  const groups = [...network.cuts, ...network.exits].map(({ nodes }) => new Set(nodes));
  if (!profile.layers.some(({ name }) => groups.some((group) => group.has(name))))
    throw new SplitProfileError('the profile of the machine is one of another network: no layer has a known name');
  const times = [...segmentTimes(profile, groups)];
  return {
    source,
    machine: profile.device,
    cutMs: times.slice(0, network.cuts.length),
    exitMs: times.slice(network.cuts.length),
  };
}
