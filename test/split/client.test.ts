/** @file Split sessions: the same answers wherever they are computed, and an answer whatever happens to server and link. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import type { DesignChoice } from '../../src/exits/design.js';
import type { Model, Tensor } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { pipeline } from '../../src/split/client/pipeline.js';
import {
  designText,
  openSplitSession,
  SplitSessionError,
  tailTransport,
  UNPACKED,
  type SplitEvent,
  type SplitPlan,
  type SplitSession,
  type SplitSessionOptions,
} from '../../src/split/client/index.js';
import { halvesOf } from '../../src/split/cuts.js';
import { openSplitNetwork } from '../../src/split/network.js';
import { packTensors, unpackInputs, unpackTensors } from '../../src/split/packing/index.js';
import { measureSplit, type SplitProfile } from '../../src/split/profiler/index.js';
import { NO_EXITS, type Goals } from '../../src/split/scheduler/index.js';
import { SegmentWalk, type WalkAnswer } from '../../src/split/segment-walk.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { noise } from '../exits/networks.js';
import { plainServer, type PlainServer } from './plain-server.js';

const exact = { backend: 'native', threads: 1, optimization: 'disabled' } as const;
const candidates = findCandidates(buildArchitecture('resnet-8', { classes: 10, input: [3, 8, 8], seed: 1 }));
const model: Model = attachExits(
  candidates,
  [1, 3, 5].map((i) => candidates.all[i]!),
  { kind: 'msdnet', width: 8 },
  2,
).model;
const network = openSplitNetwork(model);
const input = network.inputs[0]!;
const last = network.cuts.cuts.length - 1;
const random = createRandom(8);
const samples = Array.from({ length: 24 }, () => ({ [input]: noise(random, [1, 3, 8, 8], 2) }));
const design: DesignChoice = {
  exits: [0, 1, 2],
  policy: { kind: 'confidence', thresholds: 0.6 },
  fallback: 'most-confident',
};
/** The network ends at its second exit. */
const alone: DesignChoice = {
  exits: [1],
  policy: { kind: 'confidence', thresholds: 0 },
  fallback: 'last',
  truncated: true,
};
const never: DesignChoice = { ...design, policy: { kind: 'confidence', thresholds: 2 } };
/** Behind the first exit, before the second. */
const middle = network.exits[0]!.position + 1;
const planAt = (cut: number, own: DesignChoice | 'no exits' = design): SplitPlan => ({
  ...{ cut, packing: UNPACKED },
  design: own === 'no exits' ? undefined : own,
});

let server: PlainServer;
let walk: SegmentWalk;
beforeAll(async () => {
  server = await plainServer(model);
  walk = new SegmentWalk(network, exact);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await walk.release();
});

const unsplit = async (feeds: Readonly<Record<string, Tensor>>, own: DesignChoice | undefined): Promise<WalkAnswer> =>
  (await walk.run({ from: 0, to: last, tensors: feeds, ...(own && { design: own }) })).answers[0]!;

async function opened(options: SplitSessionOptions, at = server): Promise<SplitSession & { events: SplitEvent[] }> {
  Object.assign(at.faults, { delayMs: 0, silent: false, status: undefined, body: undefined, broken: false });
  const events: SplitEvent[] = [];
  const session = await openSplitSession(model, {
    server: { url: at.url, model: 'net' },
    session: exact,
    onEvent: (event) => events.push(event),
    ...options,
  });
  return Object.assign(session, { events });
}
const kinds = (events: readonly SplitEvent[]): readonly string[] => events.map(({ kind }) => kind);

describe('the same answers as unsplit', () => {
  test.each([0, middle, network.exits[1]!.position, last - 1, last])('cut %i', async (cut) => {
    await using session = await opened({ plan: planAt(cut) });
    const where = new Set<string>();
    for (const feeds of samples) {
      const answer = await session.infer(feeds, { continuation: 'late' });
      const { exit, label, score, logits } = await unsplit(feeds, design);
      expect(answer).toMatchObject({ exit, label, late: false });
      expect(answer.score).toBe(score);
      expect([...answer.logits]).toEqual([...logits]);
      where.add(`${answer.where} ${answer.reason ?? ''}`);
      if (answer.where === 'server') {
        expect(answer.bytesSent).toBeGreaterThan(100);
        expect(answer.times.remote).toBeGreaterThan(0);
      }
      if (answer.reason === 'exit') expect(answer.bytesSent).toBe(0);
    }
    if (cut === last) expect([...where]).toEqual(['device planned']);
    else expect(where).toContain('server ');
    if (cut === last - 1) expect(where).toContain('device exit');
  });

  test('a device that is to be spared waits for the server; else it goes on to the next exit meanwhile', async () => {
    const spare = (metric: 'device' | 'latency'): Goals => ({ constraints: [], targets: [{ metric, goal: 'min' }] });
    const far = samples[4]!;
    await using sparing = await opened({ plan: planAt(0, 'no exits'), goals: spare('device') });
    expect((await sparing.infer(far)).where).toBe('server');
    const sure: DesignChoice = { ...design, policy: { kind: 'confidence', thresholds: 0 } };
    await using racing = await opened({ plan: planAt(0, sure), goals: spare('latency') });
    server.faults.delayMs = 200;
    expect(await racing.infer(far)).toMatchObject({ where: 'device', reason: 'first' });
  });

  test('without exits, packed: what the server gets is what was packed', async () => {
    const packing = { bits: 4, layout: 'planes', codec: 'lz4' } as const;
    await using session = await opened({ plan: { ...planAt(middle, 'no exits'), packing } });
    for (const feeds of samples.slice(0, 4)) {
      const answer = await session.infer(feeds, { continuation: 'late' });
      const device = await walk.run({ from: 0, to: middle, tensors: feeds });
      const tensors = unpackTensors(packTensors(device.frontier!.tensors, packing));
      const { label, logits } = (await walk.run({ from: middle, to: last, tensors })).answers[0]!;
      expect(answer).toMatchObject({ label, where: 'server' });
      expect([...answer.logits]).toEqual([...logits]);
    }
  });

  test('tails on a foreign server, which unpack in their graph', async () => {
    const packing = { bits: 6, layout: 'planes' } as const;
    const tail = unpackInputs(halvesOf(openSplitNetwork(model).cuts, middle).server!, packing);
    await using foreign = await plainServer(model, new Map([[`net.cut${middle}`, tail]]));
    const transport = tailTransport(foreign.url, [{ cut: middle, model: `net.cut${middle}`, ...packing }]);
    await using session = await opened({ server: transport, plan: planAt(middle, 'no exits') });
    const answer = await session.infer(samples[0]!, { continuation: 'late' });
    const device = await walk.run({ from: 0, to: middle, tensors: samples[0]! });
    const tensors = unpackTensors(packTensors(device.frontier!.tensors, { ...packing, codec: 'stored' }));
    const expected = (await walk.run({ from: middle, to: last, tensors })).answers[0]!;
    expect(answer).toMatchObject({ where: 'server', label: expected.label, exit: network.final.exit });
    expect([...answer.logits]).toEqual([...expected.logits]);
  });

  test.each([0, middle, last])('all at one exit, cut %i', async (cut) => {
    await using session = await opened({ plan: planAt(cut, alone) });
    for (const feeds of samples.slice(0, 6)) {
      const answer = await session.infer(feeds, { continuation: 'late' });
      const { label, logits } = await unsplit(feeds, alone);
      expect(answer).toMatchObject({ where: cut === last ? 'device' : 'server', exit: 1, label, late: false });
      expect([...answer.logits]).toEqual([...logits]);
    }
  });

  test('without a server', async () => {
    await using session = await openSplitSession(model, { session: exact });
    const { reason, where, bytesSent, plan } = await session.infer(samples[0]!);
    expect({ reason, where, bytesSent }).toEqual({ reason: 'no-server', where: 'device', bytesSent: 0 });
    expect(plan.cut).toBe(last);
  });
});

describe('while a request is out', () => {
  test('the device goes on to the next exit, and calls the request off where that one is sure', async () => {
    const feeds = samples[0]!;
    // The exit behind the cut is always sure, the one before it never.
    const sure: DesignChoice = { ...design, policy: { kind: 'confidence', thresholds: [2, 0, 2] } };
    await using session = await opened({ plan: planAt(middle, sure) });
    server.faults.delayMs = 400;
    const abandoned = server.abandoned;
    const answer = await session.infer(feeds);
    expect(answer).toMatchObject({ where: 'device', reason: 'first', exit: 1 });
    expect(answer.bytesSent).toBeGreaterThan(0);
    expect(kinds(session.events).slice(-2)).toEqual(['offload', 'cancelled']);
    // The server hears of it.
    await expect.poll(() => server.abandoned).toBe(abandoned + 1);
  });

  test('a late reply is not waited for: the device goes on to the end', async () => {
    await using session = await opened({ plan: planAt(middle, never) });
    server.faults.silent = true;
    const answer = await session.infer(samples[1]!);
    const { label, exit } = await unsplit(samples[1]!, never);
    expect(answer).toMatchObject({ where: 'device', reason: 'first', label, exit, late: false });
  });

  test('a plan that ends at one exit falls back on the exits before it, and to it at last', async () => {
    await using session = await opened({ plan: planAt(0, alone) });
    server.faults.silent = true;
    const { label } = await unsplit(samples[1]!, alone);
    expect(await session.infer(samples[1]!, { continuation: 'late' })).toMatchObject({
      ...{ where: 'device', reason: 'first', exit: 1, label },
    });
    Object.assign(server.faults, { silent: false, status: 503 });
    expect(await session.infer(samples[1]!)).toMatchObject({ where: 'device', reason: 'failed', exit: 1, label });
    expect(await session.infer(samples[1]!, { deadlineMs: 0 })).toMatchObject({ exit: 0, reason: 'deadline' });
  });

  test('a deadline that is over leaves the first exit', async () => {
    await using session = await opened({ plan: planAt(last, 'no exits') });
    const answer = await session.infer(samples[3]!, { deadlineMs: 0 });
    expect(answer).toMatchObject({ exit: 0, reason: 'deadline', late: true });
  });

  test('the caller may give up', async () => {
    await using session = await opened({ plan: planAt(middle, never) });
    server.faults.silent = true;
    const controller = new AbortController();
    void expect
      .poll(() => kinds(session.events).includes('offload'), { interval: 5 })
      .toBe(true)
      .then(() => controller.abort(new Error('enough')));
    await expect(session.infer(samples[1]!, { signal: controller.signal, continuation: 'late' })).rejects.toThrow(
      'enough',
    );
    expect(session.events.at(-1)).toMatchObject({ kind: 'cancelled', reason: 'aborted' });
    await expect(session.infer(samples[1]!, { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
  });
});

describe('whatever goes wrong, there is an answer', () => {
  const faults: readonly (readonly [string, Partial<PlainServer['faults']>, string])[] = [
    ['a refusal', { status: 503 }, 'overloaded'],
    ['an internal error', { status: 500, body: '<html>' }, 'internal'],
    ['a missing token', { status: 401 }, 'unauthenticated'],
    ['a wrong model', { status: 400 }, 'invalid'],
    ['garbage', { body: 'hello' }, 'invalid'],
    ['no answer in a reply', { body: '{"model_name":"m","outputs":[]}' }, 'invalid'],
    [
      'logits of another network',
      {
        body: `{"model_name":"m","outputs":[{"name":"${network.final.output}","datatype":"FP32","shape":[1,2],"data":[1,2]}]}`,
      },
      'invalid',
    ],
    ['a broken connection', { broken: true }, 'unreachable'],
  ];
  test.each(faults)('%s', async (_, given, kind) => {
    await using session = await opened({ plan: planAt(middle, never) });
    Object.assign(server.faults, given);
    const answer = await session.infer(samples[4]!, { continuation: 'late' });
    const { label, exit } = await unsplit(samples[4]!, never);
    expect(answer).toMatchObject({ where: 'device', reason: 'failed', failure: { kind }, label, exit });
    expect(session.reachable).toBe(false);
    expect(session.events.find((event) => event.kind === 'failed')).toMatchObject({ failure: { kind } });
    // Nothing is sent until a probe is answered.
    const next = await session.infer(samples[5]!);
    expect(next).toMatchObject({ where: 'device', reason: 'unreachable', failure: { kind }, bytesSent: 0 });
  });

  test('a server that comes back is found by a probe', async () => {
    const own = await plainServer(model);
    await using session = await opened(
      { plan: planAt(middle, never), server: { url: own.url, model: 'net' }, online: { firstMs: 10 } },
      own,
    );
    expect((await session.infer(samples[4]!, { continuation: 'late' })).where).toBe('server');
    await own.kill();
    expect(await session.infer(samples[4]!)).toMatchObject({ where: 'device', reason: 'failed' });
    const port = Number(new URL(own.url).port);
    await own[Symbol.asyncDispose]();
    await using again = await plainServer(model, new Map(), port);
    await expect
      .poll(async () => (await session.infer(samples[4]!, { continuation: 'late' })).where, { interval: 20 })
      .toBe('server');
    expect(again.probes).toBeGreaterThan(0);
    const probes = session.events.filter((event) => event.kind === 'probe').map(({ answered }) => answered);
    expect(probes.at(-1)).toBe(true);
  });

  test('nobody there from the start', async () => {
    await using session = await openSplitSession(model, {
      ...{ server: { url: 'http://127.0.0.1:9', model: 'net' }, plan: planAt(middle), session: exact },
    });
    const answer = await session.infer(samples[6]!);
    expect(answer).toMatchObject({ where: 'device', failure: { kind: 'unreachable' } });
    expect(answer.label).toBe((await unsplit(samples[6]!, design)).label);
  });
});

describe('a stream', () => {
  test('answers in order, frames overlapping on the link', async () => {
    await using session = await opened({ plan: planAt(middle, never) });
    server.faults.delayMs = 40;
    // What a reply takes must be known, or the device would not wait for it.
    await session.infer(samples[0]!, { continuation: 'late' });
    server.most = 0;
    const labels: number[] = [];
    for await (const { label } of session.stream(samples.slice(0, 12), { window: 6 })) labels.push(label);
    const expected: number[] = [];
    for (const feeds of samples.slice(0, 12)) expected.push((await unsplit(feeds, never)).label);
    expect(labels).toEqual(expected);
    expect(server.most).toBeGreaterThan(1);
  });

  test('order, window, errors and an early end', async () => {
    let running = 0;
    let most = 0;
    const start = (n: number): { free: Promise<void>; answer: Promise<number> } => {
      most = Math.max(most, ++running);
      const answer = new Promise<number>((resolve, reject) =>
        setTimeout(() => (running--, n === 13 ? reject(new Error('13')) : resolve(n)), (n * 7) % 5),
      );
      return { free: Promise.resolve(), answer };
    };
    const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
    const all: number[] = [];
    for await (const n of pipeline(numbers(12), start, 3)) all.push(n);
    expect(all).toEqual(numbers(12));
    expect(most).toBe(3);
    const got: number[] = [];
    await expect(
      (async () => {
        for await (const n of pipeline(numbers(20), start, 4)) got.push(n);
      })(),
    ).rejects.toThrow('13');
    expect(got).toEqual(numbers(13));
    let returned = false;
    async function* source(): AsyncGenerator<number> {
      try {
        for (let n = 0; ; n++) yield Promise.resolve(n);
      } finally {
        returned = true;
      }
    }
    for await (const n of pipeline(source(), start, 2)) if (n === 4) break;
    expect(returned).toBe(true);
    expect(running).toBe(0);
  });
});

describe('with a profile', () => {
  let profile: SplitProfile;
  beforeAll(async () => {
    const images = noise(random, [16, 3, 8, 8], 2);
    const labels = (await walk.run({ from: 0, to: last, tensors: { [input]: images } })).answers.map((a) => a!.label);
    profile = await measureSplit(model, [{ feeds: { [input]: images }, labels }], {
      ...exact,
      ...{ cuts: 'sparse', bits: [4, 8, 32], thresholds: [0.3, 0.5], runs: 3 },
    });
  }, 60_000);

  test('the plan follows goals, link and server', async () => {
    await using session = await opened({ profile, change: { window: 1 } });
    // Without a server's cost the goal is the device's: everything at the server.
    await session.setGoals({ constraints: [], targets: [{ metric: 'device', goal: 'min' }] });
    expect(session.plan.cut).toBe(0);
    expect((await session.infer(samples[0]!, { continuation: 'late' })).where).toBe('server');
    await session.setGoals({ constraints: [], targets: [{ metric: 'server', goal: 'min' }] });
    expect(session.plan.predicted?.server).toBe(0);
    await session.setGoals({ constraints: [], targets: [{ metric: 'device', goal: 'min' }] });
    server.faults.status = 503;
    await session.infer(samples[1]!);
    await expect.poll(() => session.plan.cut).toBe(last);
    expect(session.events.findLast((event) => event.kind === 'decision')).toMatchObject({ reachable: false });
    await expect(session.setGoals({ constraints: [], targets: [{ metric: 'energy', goal: 'min' }] })).rejects.toThrow();
  });

  test('load and link are followed: the server tells its time, the rest is the link', async () => {
    await using session = await opened({
      profile,
      goals: { constraints: [], targets: [{ metric: 'device', goal: 'min' }] },
      tables: { rules: [NO_EXITS] },
    });
    const whole = profile.server.cutMs.reduce((a, b) => a + b, 0);
    server.faults.computeMs = 3 * whole;
    server.faults.delayMs = 30;
    for (const feeds of samples.slice(0, 4)) await session.infer(feeds, { continuation: 'late' });
    server.faults.computeMs = undefined;
    const { serverScale, deviceScale, bytesPerMs } = session.conditions();
    expect(serverScale).toBeCloseTo(3, 5);
    expect(deviceScale).toBeGreaterThan(0);
    expect(bytesPerMs).toBeGreaterThan(0);
    expect(bytesPerMs).toBeLessThan(4000 / 20);
  });

  test('an exit alone is one of the choices, and shows what the server took for it', async () => {
    const { exit, position } = profile.exits[0]!;
    await using session = await opened({
      ...{ profile, tables: { rules: [{ exit }] } },
      goals: { constraints: [], targets: [{ metric: 'device', goal: 'min' }] },
    });
    expect(session.plan).toMatchObject({ cut: 0, design: { exits: [exit], truncated: true } });
    const { cutMs, exitMs } = profile.server;
    server.faults.computeMs = 2 * (cutMs.slice(0, position + 1).reduce((a, b) => a + b, 0) + exitMs[0]!);
    expect(await session.infer(samples[0]!, { continuation: 'late' })).toMatchObject({ where: 'server', exit });
    server.faults.computeMs = undefined;
    expect(session.conditions().serverScale).toBeCloseTo(2, 5);
    // What needs no server is not a plan with a cut.
    await session.setGoals({ constraints: [], targets: [{ metric: 'server', goal: 'min' }] });
    expect(session.plan).toMatchObject({ cut: last, design: { exits: [exit] } });
    expect(designText(session.plan.design)).toBe(`exit ${exit} alone`);
  });

  test('while everything runs on the device, a probe looks at the server', async () => {
    await using session = await opened({
      ...{ profile, goals: { constraints: [], targets: [{ metric: 'server', goal: 'min' }] } },
      online: { firstMs: 1 },
    });
    expect(session.plan.predicted?.server).toBe(0);
    const before = server.answered.length;
    const answer = await session.infer(samples[0]!);
    expect(answer).toMatchObject({ where: 'device', bytesSent: 0 });
    await expect.poll(() => server.answered.length).toBe(before + 1);
    await expect.poll(() => session.events.filter(({ kind }) => kind === 'probe').length).toBe(2);
  });

  test('what the device cannot finish in time it does not begin: the most confident exit answers', async () => {
    const slowBehind = (cut: number): SplitProfile => ({
      ...profile,
      device: { ...profile.device, cutMs: profile.device.cutMs.map((ms, i) => (i > cut ? 1e7 : ms)) },
    });
    // Behind the cut: it waits for the reply, up to the deadline.
    await using waiting = await opened({ profile: slowBehind(middle), plan: planAt(middle, never), marginMs: 100 });
    server.faults.silent = true;
    const answer = await waiting.infer(samples[2]!, { deadlineMs: 400 });
    expect(answer).toMatchObject({ where: 'device', reason: 'deadline', exit: 0, late: false });
    expect(waiting.events.at(-1)).toMatchObject({ kind: 'cancelled', reason: 'deadline' });
    // Before the cut: there is nothing to wait for.
    await using short = await opened({
      ...{ profile: slowBehind(network.exits[1]!.position), plan: planAt(last - 1, never) },
    });
    expect(await short.infer(samples[2]!, { deadlineMs: 5000 })).toMatchObject({
      ...{ where: 'device', reason: 'deadline', late: false, bytesSent: 0 },
    });
  });

  test('another network is refused', async () => {
    const other = buildArchitecture('resnet-20', { classes: 10, input: [3, 8, 8], seed: 1 });
    await expect(openSplitSession(other, { profile: { ...profile, exits: [] } })).rejects.toThrow(SplitSessionError);
  });
});

test('what makes no sense is refused', async () => {
  await expect(openSplitSession(model, { server: { url: server.url, model: 'net' } })).rejects.toThrow(
    SplitSessionError,
  );
  await expect(openSplitSession(model, { plan: planAt(last + 1) })).rejects.toThrow(SplitSessionError);
  await expect(
    openSplitSession(model, { server: { url: 'ftp://x', model: 'net' }, plan: planAt(0) }),
  ).rejects.toThrow();
  await using session = await openSplitSession(model, { session: exact });
  await expect(session.infer({})).rejects.toThrow();
  await expect(session.infer({ [input]: noise(random, [2, 3, 8, 8]) })).rejects.toThrow(SplitSessionError);
});
