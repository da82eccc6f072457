/** @file The simulator: analytic costs against virtual time, policies against each other, steps followed, noise ignored, links that fail. */
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../src/platform/index.js';
import {
  bytesPerMs,
  fixedRate,
  steppedRate,
  type LinkModelOptions,
  type LinkRate,
} from '../../src/split/link/index.js';
import { checkSplitProfile, outcomeAt, packedAt, type SplitProfile } from '../../src/split/profiler/index.js';
import type { Conditions, Goals } from '../../src/split/scheduler/index.js';
import {
  costOf,
  openSplitPolicy,
  planOf,
  simulateSplit,
  SPLIT_POLICIES,
  type SplitPolicyName,
} from '../../src/split/simulate/index.js';

const machine = {
  ...{ cpu: 'test', arch: 'x64', physicalCores: 2, logicalCores: 2, cpuFeatures: [], os: 'none', platform: 'none' },
  ...{ threads: 1, executionProvider: 'CPU', runtime: 'none' },
};

/** Ten cuts of 1 ms each, smaller and smaller; three exits of 0.1 ms; fewer bits cost accuracy, later cuts bear fewer. */
function syntheticProfile(withExits = true): SplitProfile {
  const C = 11;
  const exits = withExits ? [3, 5, 8] : [];
  const thresholds = [0.5, 0.7, 0.9];
  const bits = [1, 2, 4, 8, 32];
  const stops = (t: number): number[] => (withExits ? [0.5 - 0.15 * t, 0.2, 0.1, 0.2 + 0.15 * t] : [1]);
  const size = (cut: number): number => (cut === 0 ? 12_000 : 40_000 / 1.5 ** cut);
  const loss = (cut: number, width: number): number => (width >= 8 ? 0 : (0.16 - 0.012 * cut) / width ** 1.5);
  const profile: SplitProfile = {
    ...{ format: 'cuttle.split', version: 1, model: { classes: 10, candidates: exits.length }, samples: 100 },
    policy: { kind: 'confidence', fallback: 'most-confident' },
    exits: exits.map((position, exit) => ({ exit, position, temperature: 1, nodes: [], accuracy: 0.6 + 0.05 * exit })),
    final: { position: C - 1, temperature: 1, accuracy: 0.9 },
    thresholds,
    cuts: Array.from({ length: C }, (_, cut) => ({
      ...{ nodes: [], frontier: cut === C - 1 ? [] : [`t${cut}`], sparse: cut > 0 },
      bytes: cut === C - 1 ? 0 : size(cut),
    })),
    local: thresholds.map((_, t) => ({ accuracy: 0.895 - 0.01 * (2 - t), stops: stops(t) })),
    packed: Array.from({ length: C - 1 }, (_, cut) =>
      bits.map((width) => ({
        ...{ cut, bits: width, layout: 'planes' as const, codec: 'lz4' as const, packMs: 0.05, unpackMs: 0.04 },
        bytes: width === 32 ? size(cut) : 50 + (size(cut) * width) / 64,
        accuracy: 0.9 - loss(cut, width),
        exitAccuracy: exits.map((position, e) => 0.6 + 0.05 * e - (position > cut ? loss(cut, width) / 2 : 0)),
        outcomes: thresholds.map((_, t) => ({
          accuracy: 0.895 - 0.01 * (2 - t) - loss(cut, width) / 2,
          stops: stops(t),
        })),
      })),
    ).flat(),
    ...{ packedFor: 1250, responseBytes: 20 },
    device: {
      source: 'measured',
      machine,
      cutMs: [0, ...new Array<number>(C - 1).fill(1)],
      exitMs: exits.map(() => 0.1),
    },
    server: {
      source: 'measured',
      machine,
      cutMs: [0, ...new Array<number>(C - 1).fill(0.5)],
      exitMs: exits.map(() => 0.05),
    },
  };
  checkSplitProfile(profile);
  return profile;
}

const profile = syntheticProfile();
const link = (rate: LinkRate, latencyMs = 10): LinkModelOptions => ({ rate, latencyMs: latencyMs / 2 });
const fast: Goals = {
  constraints: [{ metric: 'accuracy', op: '>=', value: 0.89 }],
  targets: [{ metric: 'throughput', goal: 'max' }],
};
const soon: Goals = { ...fast, targets: [{ metric: 'latency', goal: 'min' }] };
const at = (mbps: number, deviceScale = 10, serverScale = 1): Conditions => ({
  ...{ deviceScale, serverScale, latencyMs: 10 },
  bytesPerMs: bytesPerMs(mbps),
});

describe('plans', () => {
  test('cost what their parts add up to, by hand', () => {
    const plan = planOf(profile, { cut: 4, rule: { threshold: 0.9 }, bits: 4 });
    const row = packedAt(profile, 4, 4)!;
    const { stops } = outcomeAt(profile, row, { threshold: 0.9 });
    // Exit 0 (cut 3) lies on the device; 1 and 2 and the end behind the cut.
    const [early, ...late] = stops as [number, ...number[]];
    const serverMs = [0.5 + 0.05, 2 + 0.1, 3 + 0.1].map((ms) => ms + 0.04);
    const device = early * 3.1 + (1 - early) * (4.1 + 0.05);
    const server = late.reduce((sum, share, i) => sum + share * serverMs[i]!, 0);
    const wire = (1 - early) * ((row.bytes + 20) / 100);
    const cost = costOf(plan, { deviceScale: 2, serverScale: 3, latencyMs: 10, bytesPerMs: 100 });
    expect(cost.device).toBeCloseTo(2 * device, 9);
    expect(cost.server).toBeCloseTo(3 * server, 9);
    expect(cost.latency).toBeCloseTo(2 * device + wire + (1 - early) * 10 + 3 * server, 9);
    expect(cost.throughput).toBeCloseTo(1000 / Math.max(2 * device, wire, 3 * server), 9);
    expect(cost.latency95).toBeCloseTo(2 * 4.15 + (row.bytes + 20) / 100 + 10 + 3 * serverMs[2]!, 9);
  });

  test('ours is the best of all wherever it is asked, and decides from device to early cuts as the link grows', () => {
    const names = Object.keys(SPLIT_POLICIES) as SplitPolicyName[];
    const policies = names.map((name) => openSplitPolicy(name, profile));
    const cuts: number[] = [];
    for (const mbps of [0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 20, 100, 1000])
      for (const device of [1, 5, 20, 40])
        for (const server of [1, 4, 10]) {
          const conditions = at(mbps, device, server);
          const rates = policies.map((policy) => {
            const plan = policy.decide(fast, conditions);
            return plan.accuracy >= 0.89 - 1e-9 ? costOf(plan, conditions).throughput : 0;
          });
          expect(rates[0]! / Math.max(...rates), `${mbps} ${device} ${server}`).toBeGreaterThanOrEqual(0.98);
          if (device === 20 && server === 1) cuts.push(policies[0]!.decide(fast, conditions).cut);
        }
    expect(cuts[0]).toBe(10);
    expect(cuts.at(-1)).toBeLessThan(3);
    cuts.forEach((cut, i) => expect(cut).toBeLessThanOrEqual(cuts[i - 1] ?? 10));
  });

  test('at tight objectives one exit for everybody is a choice: nowhere less accurate than Edgent', () => {
    const [ours, spinn, edgent] = (['ours', 'spinn', 'edgent'] as const).map((name) => openSplitPolicy(name, profile));
    let better = 0;
    for (const value of [12, 12.5, 13, 14, 15, 16, 20, 31, 60]) {
      const conditions = at(24, 10);
      const goals: Goals = {
        constraints: [{ metric: 'latency95', op: '<=', value }],
        targets: [{ metric: 'accuracy', goal: 'max' }],
      };
      const [a, b, c] = [ours!, spinn!, edgent!].map((policy) => costOf(policy.decide(goals, conditions), conditions));
      if (c!.latency95 > value) continue;
      expect(a!.latency95, `${value}`).toBeLessThanOrEqual(value);
      expect(a!.accuracy, `${value}`).toBeGreaterThanOrEqual(c!.accuracy - 1e-9);
      if (b!.latency95 > value || b!.accuracy < c!.accuracy - 1e-9) better++;
    }
    expect(better).toBeGreaterThan(0);
    const plan = planOf(profile, { cut: 6, rule: { exit: 1 }, bits: 4 });
    // Exit 1 lies at cut 5: nothing is sent, and no other head is run.
    expect(plan).toMatchObject({ cut: 10, accuracy: 0.65 });
    expect(costOf(plan, at(24, 1))).toMatchObject({ server: 0, latency: 5.1 });
  });

  test('DynO leaves the device at a bandwidth at least five times lower than Neurosurgeon', () => {
    const plain = syntheticProfile(false);
    const [dyno, neurosurgeon] = (['dyno', 'neurosurgeon'] as const).map((name) => openSplitPolicy(name, plain));
    const leaves = (policy = dyno!): number => {
      for (let mbps = 0.001; mbps < 10_000; mbps *= 1.1) if (policy.decide(fast, at(mbps, 5)).cut < 10) return mbps;
      return Infinity;
    };
    expect(leaves(neurosurgeon) / leaves(dyno)).toBeGreaterThan(5);
  });

  test('a later deadline, and a faster device, spare the server no less', () => {
    const dyno = openSplitPolicy('dyno', syntheticProfile(false));
    const spared = [1, 3, 10, 40].map((device) =>
      [5, 10, 20, 40, 80, 160, 420].map((value) => {
        const goals: Goals = {
          constraints: [{ metric: 'latency95', op: '<=', value }],
          targets: [{ metric: 'server', goal: 'min' }],
        };
        const cost = costOf(dyno.decide(goals, at(24, device)), at(24, device));
        return cost.latency95 <= value ? -cost.server : undefined;
      }),
    );
    const noLess = (a: number | undefined, b: number | undefined): boolean =>
      a === undefined || b === undefined || b >= a - 1e-9;
    spared.forEach((row, d) =>
      row.forEach((value, i) => {
        expect(i === 0 || noLess(row[i - 1], value)).toBe(true);
        expect(d === 0 || noLess(value, spared[d - 1]![i])).toBe(true);
      }),
    );
    expect(spared[0]!.at(-1)).toBeCloseTo(0, 9);
  });
});

describe('virtual time', () => {
  test.each([0.2, 2, 30])('frames per second and latency are those of the plan at %s Mbit/s', (mbps) => {
    const conditions = at(mbps);
    const policy = openSplitPolicy('ours', profile);
    const run = (goals: Goals, rest: object) =>
      simulateSplit({
        ...{ profile, policy, goals, up: link(fixedRate(conditions.bytesPerMs)), initial: conditions },
        ...{ down: link(fixedRate(conditions.bytesPerMs)), deviceSlowDown: () => 10, change: { threshold: 1e9 } },
        ...rest,
      }).summary;
    const busy = run(fast, { frames: 4000, inFlight: 64 });
    expect(busy.framesPerSecond / costOf(policy.decide(fast, conditions), conditions).throughput).toBeCloseTo(1, 0.9);
    const calm = run(soon, { frames: 4000, intervalMs: 3000 });
    const cost = costOf(policy.decide(soon, conditions), conditions);
    expect(Math.abs(calm.latencyMs.mean / cost.latency - 1)).toBeLessThan(0.05);
    expect(calm.latencyMs.p95).toBeCloseTo(cost.latency95, 6);
    expect(calm.accuracy).toBeCloseTo(cost.accuracy, 9);
  });

  test('the same seed gives the same run', () => {
    const run = () =>
      simulateSplit({
        ...{ profile, policy: openSplitPolicy('ours', profile), goals: fast, frames: 200, seed: 3 },
        ...{ up: link(fixedRate(1000)), down: link(fixedRate(1000)) },
      });
    expect(run()).toEqual(run());
  });

  /** Frames after a step until the plan costs at most 5 % more than the best one. */
  function inferencesAfter(
    rate: () => LinkRate,
    device: (at: number) => number,
    steps: readonly number[],
    truth: readonly Conditions[],
  ): readonly number[] {
    const policy = openSplitPolicy('ours', profile);
    const { frames } = simulateSplit({
      ...{ profile, policy, goals: soon, frames: 120, intervalMs: 1000, seed: 2 },
      ...{ up: link(rate()), down: link(rate()), deviceSlowDown: device },
    });
    return steps.map((step, i) => {
      const conditions = truth[i]!;
      const best = costOf(policy.decide(soon, conditions), conditions).latency;
      const after = frames.filter(({ start }) => start >= step && start < (steps[i + 1] ?? Infinity));
      return after.findIndex((frame) => costOf(planOf(profile, frame), conditions).latency <= 1.05 * best);
    });
  }

  test('steps of the link, 20 → 0.5 → 20 Mbit/s, are followed within three inferences', () => {
    const rate = () =>
      steppedRate([0, 40_500, 80_500].map((from, i) => ({ from, bytesPerMs: bytesPerMs([20, 0.5, 20][i]!) })));
    for (const count of inferencesAfter(rate, () => 10, [40_500, 80_500], [at(0.5), at(20)])) {
      expect(count).toBeGreaterThanOrEqual(0);
      expect(count).toBeLessThanOrEqual(3);
    }
  });

  test('so are steps of the load of the device', () => {
    const device = (time: number): number => (time > 40_500 && time < 80_500 ? 30 : 3);
    const counts = inferencesAfter(() => fixedRate(bytesPerMs(5)), device, [40_501, 80_501], [at(5, 30), at(5, 3)]);
    for (const count of counts) expect(count >= 0 && count <= 3).toBe(true);
  });

  test('noise of 5 % changes nothing', () => {
    const random = createRandom(5);
    const noisy = steppedRate(
      Array.from({ length: 2000 }, (_, i) => ({ from: 100 * i, bytesPerMs: 600 * (0.95 + 0.1 * random.next()) })),
    );
    const { decisions } = simulateSplit({
      ...{ profile, policy: openSplitPolicy('ours', profile), goals: fast, frames: 400, intervalMs: 400, seed: 4 },
      ...{ up: link(noisy), down: link(fixedRate(600)), initial: at(4.8) },
      deviceSlowDown: () => 10 * (0.95 + 0.1 * random.next()),
    });
    expect(decisions.filter(({ frame, changed }) => frame >= 10 && changed)).toEqual([]);
  });

  test('a link that goes is survived: every frame is answered, by the device where the server does not', () => {
    const steps = steppedRate([0, 20_000, 40_000].map((from, i) => ({ from, bytesPerMs: [2500, 0, 2500][i]! })));
    const { frames, summary } = simulateSplit({
      ...{ profile, policy: openSplitPolicy('ours', profile), goals: soon, frames: 600, intervalMs: 100, seed: 1 },
      ...{ up: link(steps), down: link(steps), deviceSlowDown: () => 10, timeoutMs: 200 },
    });
    expect(frames.length).toBe(600);
    expect(frames.every(({ done }) => done < Infinity)).toBe(true);
    expect(summary.gaveUpShare).toBeGreaterThan(0);
    expect(summary.gaveUpShare).toBeLessThan(0.1);
    // Nothing is sent while it is gone, and it is found again.
    const gone = frames.filter(({ start }) => start > 25_000 && start < 39_000);
    expect(gone.every(({ sent }) => !sent)).toBe(true);
    expect(frames.filter(({ start }) => start > 52_000).some(({ sent }) => sent)).toBe(true);
  });

  test('frames that come faster than they are served wait', () => {
    const { frames } = simulateSplit({
      ...{ profile, policy: openSplitPolicy('device-only', profile), goals: soon, frames: 50, intervalMs: 5 },
      ...{ up: link(fixedRate(1)), down: link(fixedRate(1)) },
    });
    expect(frames.at(-1)!.latencyMs).toBeGreaterThan(frames[0]!.latencyMs + 200);
  });
});
