/** @file A plan: what a decision of the scheduler means for the next inferences, and what it should cost. */
// The policies that a split network leaves by are those of the exits system.
import type { DesignChoice } from '../../exits/design.js';
import type { SplitNetwork } from '../network.js';
import { FULL_PRECISION, type Packing } from '../packing/index.js';
import { cutServed, splitDesign, type SplitProfile } from '../profiler/index.js';
import { packedAt } from '../profiler/split-tables.js';
import type { Constraint, Decision, Scheduler } from '../scheduler/index.js';

/** Where to cut, when to leave, how to pack. */
export interface SplitPlan {
  /** The last cut runs everything on the device. */
  readonly cut: number;
  /** Exits and policy; undefined where no exit is tested. */
  readonly design: DesignChoice | undefined;
  readonly packing: Packing;
  /** What the scheduler expects of it, and constraints that it could not meet; absent for a plan that was given. */
  readonly predicted?: Decision['metrics'];
  readonly unmet?: readonly Constraint[];
}

/** How values travel unchanged. */
export const UNPACKED: Packing = { bits: FULL_PRECISION, layout: 'lanes', codec: 'stored' };

/** The plan that a decision stands for. */
export function planOf(profile: SplitProfile, { tables }: Scheduler, decision: Decision): SplitPlan {
  const rule = tables.rules[decision.rule]!;
  const cut = cutServed(profile, tables.cuts[decision.cut]!, rule);
  const bits = tables.bits[decision.bits]!;
  const row = packedAt(profile, cut, bits);
  return {
    cut,
    design: splitDesign(profile, rule),
    packing: row === undefined ? UNPACKED : { bits, layout: row.layout, codec: row.codec },
    predicted: decision.metrics,
    unmet: decision.unmet,
  };
}

/** Whether two plans do the same. */
export function samePlan(a: SplitPlan, b: SplitPlan): boolean {
  const text = ({ cut, design, packing }: SplitPlan): string => JSON.stringify([cut, design ?? null, packing]);
  return text(a) === text(b);
}

/**
 * Every exit is run and none is left, so that there is a local answer when time is up: to the network's end, or to the one
 * exit of a plan that ends there.
 */
export function watchfulDesign(network: SplitNetwork, design?: DesignChoice): DesignChoice {
  const end = design?.truncated === true ? design.exits.at(-1)! : network.final.exit;
  const exits = network.exits.map(({ exit }) => exit).filter((exit) => exit <= end);
  // No probability reaches 2.
  const policy = { kind: 'confidence', thresholds: 2 } as const;
  if (design?.truncated !== true) return { exits, policy, fallback: 'most-confident' };
  // The plan's own exit answers, once it is reached.
  return { exits, policy, fallback: 'last', truncated: true };
}

/** Exits and policy in a few words. */
export function designText(design: DesignChoice | undefined): string {
  if (design === undefined) return 'no exits';
  const { truncated, exits, policy } = design;
  if (truncated === true && exits.length === 1) return `exit ${exits[0]} alone`;
  return typeof policy.thresholds === 'number' ? `exits at ${policy.thresholds}` : `exits ${exits.join(', ')}`;
}
