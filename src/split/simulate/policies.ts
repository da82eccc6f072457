/**
 * @file Policies that a simulation compares: ours over cuts × exit rules × bit-widths, the two papers' own, and the
 * baselines as the papers model them. Each is a set of plans and a rule to choose among them.
 */
import type { Conditions, Metric } from '../scheduler/metrics.js';
import { NO_EXITS } from '../scheduler/rule.js';
import { Scheduler, type Constraint, type Goals } from '../scheduler/schedule.js';
import { FULL_PRECISION } from '../packing/pack.js';
import { bitsOf, rulesOf, type SplitProfile } from '../profiler/split-profile.js';
import { packedAt, splitTables, type SplitTablesOptions } from '../profiler/split-tables.js';
import { costOf, planOf, type Plan, type PlanCost } from './plan.js';

export type SplitPolicyName =
  | 'ours'
  | 'spinn'
  | 'dyno'
  | 'spinn-no-exits'
  | 'fixed-8'
  | 'fixed-4'
  | 'neurosurgeon'
  | 'neurosurgeon-pipelined'
  | 'edgent'
  | 'device-only'
  | 'server-only';

/** A policy on one network. */
export interface SplitPolicy {
  readonly name: SplitPolicyName;
  /** For people: how it is modelled. */
  readonly title: string;
  /** The plan that it chooses for these goals under these conditions. */
  decide(goals: Goals, conditions: Conditions): Plan;
}

/** How each policy is modelled, one sentence each. */
export const SPLIT_POLICIES: Readonly<Record<SplitPolicyName, string>> = {
  ours: 'cut × threshold or one exit for all × bit-width at once, pipelined',
  spinn: 'SPINN: cut × threshold, 8 bits or unchanged, pipelined',
  dyno: 'DynO: cut × bit-width, no exits, pipelined',
  'spinn-no-exits': 'SPINN without exits: cut, 8 bits or unchanged, pipelined',
  'fixed-8': 'JALAD-like: least latency over cuts at 8 bits, no exits, pipelined',
  'fixed-4': 'JALAD-like: least latency over cuts at 4 bits, no exits, pipelined',
  neurosurgeon:
    'Neurosurgeon: least latency over all cuts, values unchanged (an image as 8-bit pixels), one frame at a time',
  'neurosurgeon-pipelined': "Neurosurgeon's cut, run by our pipelined engine",
  edgent:
    'Edgent: one exit for all samples and a cut, the server runs the first part (the image is always sent, as 8-bit pixels), max(1 / seconds + accuracy) within the constraints, one frame at a time',
  'device-only': 'everything on the device, no exits',
  'server-only': 'everything on the server, the image packed at 8 bits, pipelined',
};

/** A policy for the network of a profile. Throws SplitProfileError where the profile is broken. */
export function openSplitPolicy(name: SplitPolicyName, profile: SplitProfile): SplitPolicy {
  return { name, title: SPLIT_POLICIES[name], decide: deciderOf(name, profile) };
}

function deciderOf(name: SplitPolicyName, profile: SplitProfile): SplitPolicy['decide'] {
  const eight = imageBits(profile);
  const unchanged = bitsOf(profile).filter((bits) => bits === eight || bits === FULL_PRECISION);
  const none = [NO_EXITS];
  const thresholds = rulesOf(profile).filter((rule) => 'threshold' in rule);
  const last = profile.cuts.length - 1;
  const least: Goals['targets'] = [{ metric: 'latency', goal: 'min' }];
  switch (name) {
    case 'ours':
      return scheduled(profile, {});
    case 'spinn':
      return scheduled(profile, { bits: unchanged, rules: thresholds });
    case 'dyno':
      return scheduled(profile, { rules: none });
    case 'spinn-no-exits':
      return scheduled(profile, { bits: unchanged, rules: none });
    case 'fixed-8':
    case 'fixed-4': {
      const bits = name === 'fixed-8' ? eight : nearestBits(profile, 4);
      const decide = scheduled(profile, { bits: [bits], rules: none });
      const accurate = ({ metric }: Constraint): boolean => metric === 'accuracy';
      return (goals, conditions) =>
        decide({ constraints: goals.constraints.filter(accurate), targets: least }, conditions);
    }
    case 'neurosurgeon':
    case 'neurosurgeon-pipelined': {
      const plans = neurosurgeonPlans(profile, name !== 'neurosurgeon');
      return (_, conditions) => best(plans, [], conditions, ({ latency }) => -latency);
    }
    case 'edgent': {
      const plans = edgentPlans(profile);
      return ({ constraints }, conditions) =>
        best(plans, constraints, conditions, ({ latency, accuracy }) => 1000 / latency + accuracy);
    }
    case 'device-only': {
      const plan = planOf(profile, { cut: last, rule: NO_EXITS, bits: FULL_PRECISION });
      return () => plan;
    }
    case 'server-only': {
      const plan = planOf(profile, { cut: 0, rule: NO_EXITS, bits: eight });
      return () => plan;
    }
  }
}

/** A scheduler over some of the configurations, as a policy. */
function scheduled(profile: SplitProfile, options: SplitTablesOptions): SplitPolicy['decide'] {
  const scheduler = new Scheduler(splitTables(profile, options));
  const { cuts, rules, bits } = scheduler.tables;
  const plans = new Map<number, Plan>();
  return (goals, conditions) => {
    const decision = scheduler.decide(goals, conditions);
    let plan = plans.get(decision.index);
    if (plan === undefined) {
      const [cut, rule, width] = [cuts[decision.cut]!, rules[decision.rule]!, bits[decision.bits]!];
      plans.set(decision.index, (plan = planOf(profile, { cut, rule, bits: width })));
    }
    return plan;
  };
}

/** The measured width nearest to a wanted one, of those that quantise. */
function nearestBits(profile: SplitProfile, wanted: number): number {
  return bitsOf(profile).reduce((best, bits) => (Math.abs(bits - wanted) < Math.abs(best - wanted) ? bits : best));
}

/** Images have 8 bits per pixel. */
function imageBits(profile: SplitProfile): number {
  return nearestBits(profile, 8);
}

const upTo = (times: readonly number[], cut: number): number =>
  times.slice(0, cut + 1).reduce((sum, value) => sum + value, 0);

/** Every cut of the network before its classifier; what crosses is sent as it is and costs no packing. */
function neurosurgeonPlans(profile: SplitProfile, pipelined: boolean): readonly Plan[] {
  const { device, server, cuts, final, responseBytes } = profile;
  const last = cuts.length - 1;
  const image = packedAt(profile, 0, imageBits(profile))!;
  return cuts.flatMap(({ bytes }, cut) => {
    if (cut >= final.position && cut < last) return [];
    const sent = cut < last;
    const plan: Plan = {
      ...{ cut, rule: NO_EXITS, bits: FULL_PRECISION, pipelined },
      accuracy: cut === 0 ? image.accuracy : final.accuracy,
      paths: [
        {
          share: 1,
          deviceMs: upTo(device.cutMs, cut) + (cut === 0 ? image.packMs : 0),
          upBytes: cut === 0 ? image.bytes : sent ? bytes : 0,
          serverMs: sent ? upTo(server.cutMs, last) - upTo(server.cutMs, cut) + (cut === 0 ? image.unpackMs : 0) : 0,
          downBytes: sent ? responseBytes : 0,
          afterMs: 0,
        },
      ],
    };
    return [plan];
  });
}

/** One exit for all samples (no other head runs), the server computes up to the cut, the device the rest of the way. */
function edgentPlans(profile: SplitProfile): readonly Plan[] {
  const { device, server, cuts, exits, responseBytes } = profile;
  const image = packedAt(profile, 0, imageBits(profile))!;
  const ends = [
    ...exits.map(({ position, accuracy }, i) => ({
      ...{ position, accuracy },
      heads: { device: device.exitMs[i]!, server: server.exitMs[i]! },
    })),
    { position: cuts.length - 1, accuracy: image.accuracy, heads: { device: 0, server: 0 } },
  ];
  return ends.flatMap(({ position, accuracy, heads }) =>
    Array.from({ length: position + 1 }, (_, cut): Plan => {
      const whole = cut === position;
      return {
        ...{ cut, rule: NO_EXITS, bits: FULL_PRECISION, accuracy, pipelined: false },
        paths: [
          {
            share: 1,
            deviceMs: image.packMs,
            upBytes: image.bytes,
            serverMs: image.unpackMs + upTo(server.cutMs, cut) + (whole ? heads.server : 0),
            downBytes: whole ? responseBytes : cuts[cut]!.bytes,
            afterMs: whole ? 0 : upTo(device.cutMs, position) - upTo(device.cutMs, cut) + heads.device,
          },
        ],
      };
    }),
  );
}

/** The plan with the highest score among those within the constraints; where there is none, that which misses the first ones by least. */
function best(
  plans: readonly Plan[],
  constraints: readonly Constraint[],
  conditions: Conditions,
  score: (cost: PlanCost) => number,
): Plan {
  let left = plans.map((plan) => ({ plan, cost: costOf(plan, conditions) }));
  for (const { metric, op, value } of constraints) {
    const missed = left.map(({ cost }) => Math.max(0, (op === '<=' ? 1 : -1) * (valueOf(cost, metric) - value)));
    const least = Math.min(...missed);
    left = left.filter((_, i) => missed[i]! <= least);
  }
  return left.reduce((a, b) => (score(b.cost) > score(a.cost) ? b : a)).plan;
}

/** These baselines know nothing of energy: it excludes no plan. */
function valueOf(cost: PlanCost, metric: Metric): number {
  return metric === 'energy' ? 0 : cost[metric];
}
