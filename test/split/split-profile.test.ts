/** @file The split profile: its outcomes are those of running halves; its tables are those of running samples; broken ones are refused. */
import { beforeAll, describe, expect, test } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { Tensor, type Model } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { profileModel } from '../../src/runtime/index.js';
import { openSplitNetwork, type SplitNetwork } from '../../src/split/network.js';
import { packTensors, unpackTensors } from '../../src/split/packing/index.js';
import {
  cutsMeasured,
  measureSplit,
  outcomeAt,
  packedAt,
  parseSplitProfile,
  pathCosts,
  rulesOf,
  splitDesign,
  SplitProfileError,
  splitTables,
  type LabelledInputs,
  type SplitProfile,
} from '../../src/split/profiler/index.js';
import {
  checkTables,
  NO_EXITS,
  ruleText,
  sameRule,
  Scheduler,
  SchedulerError,
  type ExitRule,
} from '../../src/split/scheduler/index.js';
import { SegmentWalk, type WalkAnswer } from '../../src/split/segment-walk.js';
import { buildArchitecture } from '../../src/zoo/index.js';

const exact = { backend: 'native', threads: 1, optimization: 'disabled' } as const;
const plain = buildArchitecture('resnet-8', { classes: 4, input: [3, 8, 8], seed: 3 });
const candidates = findCandidates(plain);
const model: Model = attachExits(
  candidates,
  candidates.all.filter((_, i) => i % 3 === 1),
  { kind: 'msdnet', width: 8 },
  2,
).model;

const random = createRandom(5);
const batches: readonly LabelledInputs[] = Array.from({ length: 3 }, () => ({
  feeds: {
    input: Tensor.floats(
      Float32Array.from({ length: 8 * 192 }, () => 2 * random.normal()),
      [8, 3, 8, 8],
    ),
  },
  labels: Array.from({ length: 8 }, (_, i) => i % 4),
}));
const thresholds = [0.27, 0.3, 0.35, 0.999];

describe('a network with exits', () => {
  let network: SplitNetwork;
  let profile: SplitProfile;
  beforeAll(async () => {
    network = openSplitNetwork(model);
    profile = await measureSplit(model, batches, {
      ...exact,
      ...{ cuts: 'all', bits: [2, 8, 32], thresholds, staticScale: true, runs: 3, data: 'noise' },
      policy: 'confidence',
      fallback: 'most-confident',
      exits: network.exits.map(({ exit }) => exit),
    });
  }, 120_000);

  /** Both halves really run, the frontier packed in between. */
  async function runHalves(cut: number, bits: number, rule: ExitRule) {
    const row = packedAt(profile, cut, bits);
    await using walk = new SegmentWalk(network, exact);
    const stops = new Array<number>(profile.exits.length + 1).fill(0);
    const exits = [...network.exits, network.final].map(({ exit }) => exit);
    let right = 0;
    let sent = 0;
    const last = profile.cuts.length - 1;
    const design = splitDesign(profile, rule);
    for (const { feeds, labels } of batches) {
      const device = await walk.run({ from: 0, to: cut, tensors: feeds, ...(design && { design }) });
      const answers: (WalkAnswer | undefined)[] = [...device.answers];
      if (device.frontier) {
        const { samples, tensors } = device.frontier;
        for (const [i, sample] of samples.entries()) {
          if (answers[sample]) continue;
          sent++;
          const one = Object.fromEntries(
            Object.entries(tensors).map(([name, t]) => [
              name,
              Tensor.fromBytes(
                t.dtype,
                [1, ...t.dims.slice(1)],
                t.bytes.slice((i * t.bytes.length) / samples.length, ((i + 1) * t.bytes.length) / samples.length),
              ),
            ]),
          );
          const back = unpackTensors(packTensors(one, row!));
          answers[sample] = (
            await walk.run({ from: cut, to: last, tensors: back, ...(design && { design }) })
          ).answers[0];
        }
      }
      answers.forEach((answer, i) => {
        stops[exits.indexOf(answer!.reached)]!++;
        if (answer!.label === labels[i]) right++;
      });
    }
    return { accuracy: right / 24, stops: stops.map((n) => n / 24), sent: sent / 24 };
  }

  test('outcomes are those of halves that really run', { timeout: 120_000 }, async () => {
    const measured = cutsMeasured(profile);
    const [first, , third] = network.exits;
    for (const [cut, bits, rule] of [
      [0, 8, { threshold: 0.3 }],
      [measured[4]!, 2, { threshold: 0.35 }],
      [measured[7]!, 8, { threshold: 0.27 }],
      [measured.at(-1)!, 32, { threshold: 0.999 }],
      [measured[2]!, 2, { threshold: 0.999 }],
      [profile.cuts.length - 1, 8, { threshold: 0.3 }],
      [measured[5]!, 2, NO_EXITS],
      // All at one exit: behind the cut, before it, with nothing sent.
      [0, 2, { exit: third!.exit }],
      [measured.find((at) => at > first!.position)!, 2, { exit: third!.exit }],
      [measured.find((at) => at > first!.position)!, 2, { exit: first!.exit }],
      [profile.cuts.length - 1, 8, { exit: third!.exit }],
    ] as const) {
      const { accuracy, stops, sent } = await runHalves(cut, bits, rule);
      const outcome = outcomeAt(profile, packedAt(profile, cut, bits), rule);
      expect(outcome.accuracy).toBeCloseTo(accuracy, 10);
      outcome.stops.forEach((share, i) => expect(share, `cut ${cut}`).toBeCloseTo(stops[i]!, 10));
      const tables = splitTables(profile);
      const [c, r] = [tables.cuts.indexOf(cut), tables.rules.findIndex((one) => sameRule(one, rule))];
      expect(tables.sent[c * tables.rules.length + r]).toBeCloseTo(sent, 10);
    }
  });

  test('exits stop fewer samples as the threshold grows, one by one', () => {
    const rows = [profile.local, ...profile.packed.map(({ outcomes }) => outcomes)];
    for (const outcomes of rows)
      for (let exit = 0; exit < profile.exits.length; exit++) {
        const early = outcomes.map(({ stops }) => stops.slice(0, exit + 1).reduce((a, b) => a + b, 0));
        early.forEach((share, i) => expect(share).toBeLessThanOrEqual((early[i - 1] ?? 1) + 1e-12));
      }
    const shares = profile.local.map(({ stops }) => 1 - stops.at(-1)!);
    expect(shares[0]).toBeGreaterThan(shares.at(-1)!);
  });

  test('tables count what each sample costs, by hand', () => {
    const tables = splitTables(profile);
    checkTables(tables);
    const [R, B] = [tables.rules.length, tables.bits.length];
    expect([R, B]).toEqual([thresholds.length + profile.exits.length + 1, 3]);
    const cut = tables.cuts[6]!;
    const { device, server, exits } = profile;
    const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
    const { stops } = outcomeAt(profile, packedAt(profile, cut, 2), { threshold: 0.999 });
    // Parts up to each exit, head by head; what is beyond the cut runs on the server.
    let [deviceMs, serverMs] = [0, 0];
    [...exits.map(({ position }) => position), profile.cuts.length - 1].forEach((position, e) => {
      const heads = exits.slice(0, e + 1);
      const local = heads.filter((one) => one.position <= cut).length;
      deviceMs +=
        stops[e]! * (sum(device.cutMs.slice(0, Math.min(cut, position) + 1)) + sum(device.exitMs.slice(0, local)));
      if (position > cut)
        serverMs +=
          stops[e]! * (sum(server.cutMs.slice(cut + 1, position + 1)) + sum(server.exitMs.slice(local, heads.length)));
    });
    const row = 6 * R + thresholds.indexOf(0.999);
    expect(tables.deviceMs[row]).toBeCloseTo(deviceMs, 9);
    expect(tables.serverMs[row * B]).toBeCloseTo(serverMs, 9);
    // The slowest of the fastest 95 %: with this threshold most samples go to the end.
    const paths = pathCosts(profile, profile, cut, { threshold: 0.999 });
    expect(tables.tail!.sent[row]).toBe(1);
    expect(tables.tail!.serverMs[row * B]).toBeCloseTo(paths.at(-1)!.serverMs, 9);
    // Without exits no head is run, and the whole is the same wherever it is cut.
    const none = R - 1;
    tables.cuts.forEach((_, c) =>
      expect(tables.deviceMs[c * R + none]! + tables.serverMs[(c * R + none) * B]!).toBeCloseTo(sum(device.cutMs), 9),
    );
  });

  test('a decision on them names a configuration of the network', () => {
    const tables = splitTables(profile);
    const goals = { constraints: [], targets: [{ metric: 'latency95', goal: 'min' }] } as const;
    const conditions = { deviceScale: 1, serverScale: 1, latencyMs: 5, bytesPerMs: 0 };
    const decision = new Scheduler(tables).decide(goals, conditions);
    expect(tables.sent[decision.cut * tables.rules.length + decision.rule]).toBe(0);
  });

  test('another machine brings its own times, a stranger is refused', async () => {
    const whole = network.segment(0, profile.cuts.length - 1);
    const there = await profileModel(whole, { ...exact, runs: 2, warmup: 1, symbols: { batch: 1, N: 1 } });
    const slow = { ...there, layers: there.layers.map((layer) => ({ ...layer, ms: 3 * layer.ms })) };
    const [one, three] = [there, slow].map((server) => splitTables(profile, { server }));
    one!.serverMs.forEach((ms, i) => expect(three!.serverMs[i]).toBeCloseTo(3 * ms, 6));
    expect(one!.deviceMs).toEqual(three!.deviceMs);
    const foreign = { ...there, layers: there.layers.map((layer) => ({ ...layer, name: `other ${layer.name}` })) };
    expect(() => splitTables(profile, { server: foreign })).toThrow(SplitProfileError);
  });

  test('ranges taken beforehand clamp', () => {
    const rows = profile.packed.filter(({ bits }) => bits <= 5);
    expect(rows.every(({ staticScale }) => staticScale !== undefined)).toBe(true);
    expect(rows.some(({ staticScale }) => staticScale!.clamped > 0)).toBe(true);
  });

  test('a profile without accuracies of single exits offers none', () => {
    const older = { ...profile, packed: profile.packed.map((row) => ({ ...row, exitAccuracy: undefined })) };
    const { rules } = splitTables(parseSplitProfile(JSON.stringify(older)));
    expect(rules).toEqual([...thresholds.map((threshold) => ({ threshold })), NO_EXITS]);
    expect(() => splitTables(older, { rules: [{ exit: profile.exits[0]!.exit }] })).toThrow(SchedulerError);
    expect(rulesOf(profile).map(ruleText).at(-2)).toBe(`exit ${profile.exits.at(-1)!.exit} alone`);
  });

  test('comes back from JSON; what is broken is refused', () => {
    const text = JSON.stringify(profile);
    expect(parseSplitProfile(text)).toEqual(profile);
    const broken = (change: (profile: SplitProfile) => unknown): void => {
      expect(() => parseSplitProfile(change(JSON.parse(text) as SplitProfile))).toThrow(SplitProfileError);
    };
    expect(() => parseSplitProfile('{')).toThrow(SplitProfileError);
    broken((p) => ({ ...p, version: 2 }));
    broken((p) => ({ ...p, packed: p.packed.slice(1) }));
    broken((p) => ({ ...p, packed: [] }));
    broken((p) => ({ ...p, local: p.local.slice(1) }));
    broken((p) => ({ ...p, cuts: p.cuts.slice(1) }));
    broken((p) => ({ ...p, exits: [...p.exits].reverse() }));
    broken((p) => ({ ...p, packed: p.packed.map((row) => ({ ...row, exitAccuracy: [] })) }));
    expect(() => splitTables(profile, { bits: [5] })).toThrow(SchedulerError);
    expect(() => splitTables(profile, { rules: [{ threshold: 0.123 }] })).toThrow(SchedulerError);
    expect(() => splitTables(profile, { rules: [{ exit: 99 }] })).toThrow(SchedulerError);
  });
});

test('a network without exits has one column: no exits', { timeout: 60_000 }, async () => {
  const profile = await measureSplit(plain, batches, { ...exact, bits: [4, 32], runs: 2 });
  const tables = splitTables(profile);
  expect([tables.rules, tables.bits]).toEqual([[NO_EXITS], [4, 32]]);
  expect(profile.cuts.filter(({ sparse }, i) => sparse || i === 0).length).toBe(
    cutsMeasured(profile).length + (profile.cuts.at(-1)!.sparse ? 1 : 0),
  );
  expect(new Set(profile.packed.filter(({ bits }) => bits === 32).map(({ accuracy }) => accuracy)).size).toBe(1);
  expect(splitDesign(profile, NO_EXITS)).toBeUndefined();
});
