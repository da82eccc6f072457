/** @file The profiler: link, loads, probes; accuracy and bytes of cuts; times of cuts. */
import { describe, expect, test } from 'vitest';
import { Tensor } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { PROFILE_VERSION, type Profile } from '../../src/runtime/index.js';
import { cutsOf } from '../../src/split/cuts.js';
import {
  cutTimes,
  LinkEstimate,
  LoadEstimate,
  measurePacked,
  OnlineProfile,
  ProbeSchedule,
  REAL_TIME_MS,
  serverMsBySubtraction,
} from '../../src/split/profiler/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';

describe('the link', () => {
  /** Transfers over a link of 40 ms and 3,000 bytes/ms, as a shaper lets them through with 10 % noise. */
  function feed(link: LinkEstimate, count: number, from: number): void {
    const random = createRandom(2);
    for (let i = 0; i < count; i++) {
      const bytes = 20_000 + 200_000 * random.next();
      link.latency(40 * (0.95 + 0.1 * random.next()), from + i);
      link.transfer(bytes, 40 + (bytes / 3000) * (0.95 + 0.1 * random.next()), from + i);
    }
  }

  test('comes within 15 % of latency and bandwidth', () => {
    const link = new LinkEstimate();
    feed(link, 20, 0);
    const { latencyMs, bytesPerMs } = link.estimate(20)!;
    expect(Math.abs(latencyMs / 40 - 1)).toBeLessThan(0.15);
    expect(Math.abs(bytesPerMs / 3000 - 1)).toBeLessThan(0.15);
  });

  test('follows a change in real time, keeps a history per kind of network', () => {
    const link = new LinkEstimate();
    link.network('wifi');
    for (let i = 0; i < 10; i++) link.transfer(60_000, 1, i);
    for (let i = 10; i < 16; i++) link.transfer(1000, 10, i);
    expect(link.estimate(16)!.bytesPerMs).toBeLessThan(2000);
    // Five minutes later nothing is known of the present: history, mostly of the fast time, counts.
    expect(link.estimate(16 + REAL_TIME_MS)!.bytesPerMs).toBeGreaterThan(30_000);
    link.network('4g');
    expect(link.estimate(16)).toBeUndefined();
    link.transfer(3000, 1, 20);
    expect(link.estimate(20)!.bytesPerMs).toBe(3000);
    link.network('wifi');
    expect(link.estimate(20)!.bytesPerMs).toBeGreaterThan(30_000);
  });

  test('passes over what says nothing', () => {
    const link = new LinkEstimate();
    link.transfer(0, 5, 0);
    link.transfer(100, 0, 0);
    link.transfer(100, NaN, 0);
    link.latency(-1, 0);
    expect(link.estimate(0)).toBeUndefined();
    link.latency(3, 0);
    expect(link.estimate(0)).toEqual({ latencyMs: 3, bytesPerMs: 0 });
  });
});

describe('loads', () => {
  test('a slow-down of 1 to 4 times shows after one inference', () => {
    for (const slow of [1, 2, 4]) {
      const device = new LoadEstimate();
      device.record(12 * slow * 1.03, 12);
      expect(Math.abs(device.scale / slow - 1)).toBeLessThan(0.1);
    }
    const device = new LoadEstimate();
    device.record(5, 0);
    expect(device.scale).toBe(1);
  });

  test("the server's slow-down shows by its own word and by subtraction", () => {
    for (const serverMs of [30, undefined]) {
      const profile = new OnlineProfile();
      profile.link.latency(40, 0);
      profile.observe({ at: 0, transfer: { bytes: 30_000, ms: 50 } });
      const responseMs = 40 + 60 / 3000 + 30;
      profile.observe({ at: 1, response: { ms: responseMs, bytes: 60, serverMs, offlineMs: 10 } });
      expect(profile.conditions(1).serverScale).toBeCloseTo(3, 6);
    }
    expect(serverMsBySubtraction(10, 100, { latencyMs: 40, bytesPerMs: 10 })).toBe(0);
  });

  test('a link of which nothing is known is none', () => {
    expect(new OnlineProfile().conditions(0)).toEqual({ deviceScale: 1, serverScale: 1, latencyMs: 0, bytesPerMs: 0 });
  });
});

test('probes go one at a time, ever more rarely while they fail', () => {
  const probes = new ProbeSchedule({ firstMs: 100, mostMs: 300 });
  expect(probes.due(0)).toBe(true);
  probes.sent(0);
  expect(probes.due(1000)).toBe(false);
  probes.settled(false);
  expect([probes.due(199), probes.due(200)]).toEqual([false, true]);
  probes.sent(200);
  probes.settled(false);
  expect([probes.due(499), probes.due(500)]).toEqual([false, true]);
  probes.sent(500);
  probes.settled(true);
  expect([probes.due(599), probes.due(600)]).toEqual([false, true]);
});

test('accuracy and bytes of cuts: unchanged values change no answer, fewer bits take fewer bytes', async () => {
  const model = buildArchitecture('resnet-8', { classes: 4, input: [3, 8, 8], seed: 3 });
  const cuts = cutsOf(model);
  const random = createRandom(4);
  const samples = Array.from({ length: 6 }, (_, i) => ({
    feeds: {
      input: Tensor.floats(
        Float32Array.from({ length: 192 }, () => random.normal()),
        [1, 3, 8, 8],
      ),
    },
    label: i % 4,
  }));
  const sparse = cuts.cuts.filter((cut) => cut.sparse).map(({ index }) => index);
  const chosen = [0, sparse[1]!, sparse.at(-1)!, cuts.cuts.length - 1];
  const packings = [32, 8, 2].map((bits) => ({ bits, layout: 'planes', codec: 'lz4' }) as const);
  const rows = await measurePacked(cuts, samples, { cuts: chosen, packings, threads: 1 });
  expect(rows.map(({ cut, packing }) => [cut, packing.bits])).toEqual(
    chosen.flatMap((cut) => [32, 8, 2].map((b) => [cut, b])),
  );
  const full = rows.filter(({ packing }) => packing.bits === 32);
  expect(new Set(full.map(({ accuracy }) => accuracy)).size).toBe(1);
  for (const cut of chosen.slice(0, -1)) {
    const bytes = rows.filter((row) => row.cut === cut).map((row) => row.bytes);
    expect(bytes[0]).toBeGreaterThan(bytes[1]!);
    expect(bytes[1]).toBeGreaterThan(bytes[2]!);
  }
  expect(rows.slice(-3).map(({ bytes, ratio }) => [bytes, ratio])).toEqual([
    [0, 1],
    [0, 1],
    [0, 1],
  ]);
});

test('times of cuts add up to the whole', () => {
  const cuts = cutsOf(buildArchitecture('resnet-8', { classes: 4, input: [3, 8, 8], seed: 3 }));
  const layers = cuts.nodes.map(({ name, op }, i) => ({ name, op, ms: i + 1, share: 0 }));
  const total = layers.reduce((sum, { ms }) => sum + ms, 0);
  const { prefix, rest } = cutTimes(cuts, { version: PROFILE_VERSION, scale: 2, layers } as unknown as Profile);
  expect(prefix[0]).toBe(0);
  expect(rest.at(-1)).toBe(0);
  cuts.cuts.forEach(({ nodes }, index) => {
    const expected = layers.slice(0, nodes).reduce((sum, { ms }) => sum + 2 * ms, 0);
    expect(prefix[index]).toBe(expected);
    expect(prefix[index]! + rest[index]!).toBe(2 * total);
  });
});
