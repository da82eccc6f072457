/** @file The lab's queue as a state machine: against a model of it under random commands, and rule by rule. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { labEventSchema, type LabEvent } from '../../src/measure/lab/events.js';
import type { JobSpec, LabDeviceDescription, Outcome } from '../../src/measure/lab/protocol.js';
import { keyOf, lackOf, LabQueue } from '../../src/measure/lab/queue.js';

const LEASE = 1000;
const ATTEMPTS = 3;

export const description = (change: Partial<LabDeviceDescription> = {}): LabDeviceDescription => ({
  agent: 'node',
  cpu: 'test',
  arch: 'x64',
  physicalCores: 2,
  logicalCores: 4,
  cpuFeatures: [],
  os: 'test',
  platform: 'node 20',
  backends: [
    { name: 'native', maxThreads: 4 },
    { name: 'wasm', maxThreads: 1 },
  ],
  kinds: ['latency', 'profile', 'exit-costs'],
  remarks: [],
  ...change,
});

const spec = (change: Partial<JobSpec> = {}): JobSpec => ({
  kind: 'latency',
  model: 'a'.repeat(64),
  name: 'net.onnx',
  backend: 'native',
  dims: {},
  runs: 10,
  warmup: 2,
  ...change,
});

const done: Outcome = { kind: 'done', value: { ms: 1 } };

function open(events: LabEvent[] = []): LabQueue {
  let next = 0;
  return new LabQueue({
    ...{ leaseMs: LEASE, maxAttempts: ATTEMPTS, maxDevices: 100, maxJobs: 1000 },
    record: (event) => void events.push(event),
    newId: () => `job-${next++}`,
  });
}

/** A queue with devices `d0`, `d1`, … named `phone 0`, … */
function withDevices(count: number, events: LabEvent[] = []): LabQueue {
  const queue = open(events);
  for (let i = 0; i < count; i++)
    queue.join({ id: `d${i}`, name: `phone ${i}`, secretHash: `s${i}` }, description(), 0);
  return queue;
}

describe('rules', () => {
  test('a job is leased to one device, in the order of submission', () => {
    const queue = withDevices(2);
    queue.submit([null], [spec(), spec({ threads: 2 })], 0);
    expect(queue.lease('d0', 'lease-a', 1)?.id).toBe('job-0');
    expect(queue.lease('d1', 'lease-b', 1)?.id).toBe('job-1');
    expect(queue.jobs().map(({ state, runBy }) => [state, runBy])).toEqual([
      ['running', 'phone 0'],
      ['running', 'phone 1'],
    ]);
    expect(queue.settle('d0', 'lease-a', done, 2)).toBe(true);
    expect(queue.lease('d0', 'lease-c', 3)).toBeUndefined();
  });

  test('the same submission again adds nothing until it fails, or unless asked', () => {
    const queue = withDevices(1);
    expect(queue.submit(['phone 0'], [spec()], 0).added).toBe(1);
    expect(queue.submit(['phone 0'], [spec({ name: 'other.onnx' })], 0)).toMatchObject({ added: 0 });
    queue.lease('d0', 'lease-a', 1);
    queue.settle('d0', 'lease-a', done, 1);
    expect(queue.submit(['phone 0'], [spec()], 2).added).toBe(0);
    expect(queue.submit(['phone 0'], [spec()], 2, true).added).toBe(1);
    queue.cancel('job-1', 3);
    expect(queue.submit(['phone 0'], [spec()], 4).added).toBe(1);
  });

  test('the same lease asked for twice gives the same job and counts once', () => {
    const queue = withDevices(1);
    queue.submit([null], [spec(), spec({ threads: 2 })], 0);
    expect(queue.lease('d0', 'lease-a', 1)).toEqual(queue.lease('d0', 'lease-a', 2));
    expect(queue.job('job-0')!.attempts).toBe(1);
  });

  test('a device that asks anew has forgotten what it held', () => {
    const queue = withDevices(1);
    queue.submit([null], [spec()], 0);
    queue.lease('d0', 'lease-a', 1);
    expect(queue.lease('d0', 'lease-b', 2)).toMatchObject({ id: 'job-0', attempt: 2 });
    expect(queue.beat('d0', 'lease-a', 3)).toBe('stop');
    expect(queue.settle('d0', 'lease-a', done, 3)).toBe(false);
    expect(queue.settle('d0', 'lease-b', done, 3)).toBe(true);
  });

  test('heartbeats keep a lease, silence ends it, and too much of it fails the job', () => {
    const queue = withDevices(1);
    queue.submit([null], [spec()], 0);
    queue.lease('d0', 'lease-a', 0);
    expect(queue.beat('d0', 'lease-a', 900)).toBe('go');
    expect(queue.expire(1800)).toBe(0);
    expect(queue.expire(1900)).toBe(1);
    expect(queue.beat('d0', 'lease-a', 1901)).toBe('stop');
    for (let attempt = 2; attempt <= ATTEMPTS; attempt++) {
      queue.lease('d0', `lease-${attempt}`, attempt * 10_000);
      queue.expire(attempt * 10_000 + LEASE);
    }
    expect(queue.job('job-0')).toMatchObject({ state: 'failed', error: { code: 'lab/vanished' } });
  });

  test('a late result counts while nobody else has taken the job', () => {
    const queue = withDevices(2);
    queue.submit([null], [spec()], 0);
    queue.lease('d0', 'lease-a', 0);
    queue.expire(5000);
    expect(queue.settle('d0', 'lease-a', done, 5001)).toBe(true);
    expect(queue.job('job-0')).toMatchObject({ state: 'done', runBy: 'phone 0' });
    queue.submit([null], [spec({ threads: 2 })], 6000);
    queue.lease('d0', 'lease-b', 6000);
    queue.lease('d1', 'lease-c', 8000);
    expect(queue.settle('d0', 'lease-b', done, 8001)).toBe(false);
    expect(queue.settle('d1', 'lease-c', done, 8001)).toBe(true);
  });

  test('a lease is its device’s own', () => {
    const queue = withDevices(2);
    queue.submit([null], [spec()], 0);
    queue.lease('d0', 'lease-a', 0);
    expect(queue.beat('d1', 'lease-a', 1)).toBe('stop');
    expect(queue.settle('d1', 'lease-a', done, 1)).toBe(false);
    expect(queue.lease('d1', 'lease-a', 1)).toBeUndefined();
    expect(queue.job('job-0')!.state).toBe('running');
  });

  test('what a device cannot do fails with the reason where it was named, and waits for another where not', () => {
    const queue = withDevices(1);
    queue.submit(['phone 0', null], [spec({ backend: 'webgpu' })], 0);
    expect(queue.lease('d0', 'lease-a', 1)).toBeUndefined();
    expect(queue.job('job-0')).toMatchObject({ state: 'failed', error: { kind: 'unsupported' } });
    expect(queue.job('job-0')!.error!.message).toBe("phone 0 has no back end 'webgpu': native, wasm");
    expect(queue.job('job-1')!.state).toBe('queued');
    expect(lackOf(description(), spec({ backend: 'wasm', threads: 2 }))).toMatch(/at most 1 thread/);
    expect(lackOf(description({ kinds: ['latency'] }), spec({ kind: 'profile' }))).toMatch(/'profile'/);
  });

  test('a model goes to back ends that run its format', () => {
    const both = description({
      backends: [
        { name: 'wasm', maxThreads: 4 },
        { name: 'litert', maxThreads: 2, formats: ['tflite'] },
      ],
    });
    const tflite = (change: Partial<JobSpec>): JobSpec => spec({ format: 'tflite', ...change });
    expect(lackOf(both, tflite({ backend: 'auto', threads: 2 }))).toBeUndefined();
    expect(lackOf(both, tflite({ backend: 'litert' }))).toBeUndefined();
    expect(lackOf(both, tflite({ backend: 'auto', threads: 4 }))).toBe('runs at most 2 threads');
    expect(lackOf(both, tflite({ backend: 'wasm' }))).toBe("does not run TensorFlow Lite models on 'wasm'");
    expect(lackOf(both, spec({ backend: 'litert' }))).toBe("does not run ONNX models on 'litert'");
    expect(lackOf(description(), tflite({ backend: 'auto' }))).toBe('does not run TensorFlow Lite models');
  });

  test('cancelled: running agents are told to stop, results are not kept', () => {
    const queue = withDevices(1);
    queue.submit([null], [spec()], 0);
    queue.lease('d0', 'lease-a', 0);
    expect(queue.cancel('job-0', 1)).toBe(true);
    expect(queue.cancel('job-0', 1)).toBe(false);
    expect(queue.beat('d0', 'lease-a', 2)).toBe('stop');
    expect(queue.settle('d0', 'lease-a', done, 2)).toBe(false);
    expect(queue.results()).toEqual([]);
  });

  test('names are made different, and too much is refused', () => {
    const queue = withDevices(1);
    expect(queue.join({ id: 'dx', name: 'phone 0', secretHash: '' }, description(), 0).name).toBe('phone 0-2');
    for (let i = 1; i < 99; i++) queue.join({ id: `e${i}`, name: 'n', secretHash: '' }, description(), 0);
    expect(() => queue.join({ id: 'last', name: 'n', secretHash: '' }, description(), 0)).toThrow(/100 devices/);
    const many = Array.from({ length: 1001 }, (_, i) => spec({ runs: i + 1 }));
    expect(() => queue.submit([null], many, 0)).toThrow(/more than 1000 jobs/);
  });

  test('the key knows every part of a configuration but the model’s name and the order of dims', () => {
    const base = spec({ dims: { a: 1, b: 2 } });
    expect(keyOf('x', base)).toBe(keyOf('x', { ...base, name: 'y', dims: { b: 2, a: 1 } }));
    const changes: readonly Partial<JobSpec>[] = [
      { kind: 'profile' },
      { model: 'b'.repeat(64) },
      { backend: 'wasm' },
      { threads: 1 },
      { batch: 2 },
      { dims: { a: 2, b: 2 } },
      { runs: 11 },
      { warmup: 3 },
      { minSeconds: 1 },
    ];
    const keys = changes.map((change) => keyOf('x', { ...base, ...change }));
    expect(new Set([keyOf('x', base), keyOf(null, base), ...keys]).size).toBe(changes.length + 2);
  });
});

/** What the model knows of a job. */
interface Known {
  state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  attempts: number;
  lease: { id: string; device: number; until: number } | undefined;
  settledBy: string | undefined;
  readonly device: number | null;
}

interface World {
  now: number;
  readonly jobs: Known[];
  readonly leases: { readonly id: string; readonly job: number; readonly device: number }[];
}

interface Real {
  queue: LabQueue;
  readonly events: LabEvent[];
}

const DEVICES = 3;

/** The queue as its rules say, with nothing but arrays. */
const rules = {
  lose(job: Known): void {
    job.lease = undefined;
    job.state = job.attempts >= ATTEMPTS ? 'failed' : 'queued';
  },
  expire(world: World): void {
    for (const job of world.jobs) if (job.lease !== undefined && job.lease.until <= world.now) rules.lose(job);
  },
};

type Step =
  | { readonly do: 'submit'; readonly device: number | null }
  | { readonly do: 'lease'; readonly device: number }
  | { readonly do: 'again' | 'beat' | 'given-up' | 'done' | 'failed'; readonly device: number; readonly of: number }
  | { readonly do: 'cancel'; readonly of: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'restart' };

const device = fc.nat(DEVICES - 1);
const of = fc.nat(1000);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('submit' as const), device: fc.option(device) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('lease' as const), device }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('again' as const, 'beat' as const, 'given-up' as const, 'done' as const, 'failed' as const),
      device,
      of,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), of }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 1500 }) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

/** Plays a step in the model and in the queue, and compares what both say. */
function play(step: Step, world: World, real: Real): void {
  const { queue } = real;
  const { now } = world;
  switch (step.do) {
    case 'submit': {
      const name = step.device === null ? null : `phone ${step.device}`;
      queue.submit([name], [spec({ runs: world.jobs.length + 1 })], now);
      const job: Known = { state: 'queued', attempts: 0, lease: undefined, settledBy: undefined, device: step.device };
      world.jobs.push(job);
      return;
    }
    case 'lease': {
      const id = `lease-${world.leases.length}`;
      rules.expire(world);
      for (const job of world.jobs) if (job.lease?.device === step.device) rules.lose(job);
      const given = queue.lease(`d${step.device}`, id, now);
      // Which of the queued ones comes first is the queue's choice after losses; that it is one, and allowed, is not.
      const open = world.jobs.filter(
        ({ state, device }) => state === 'queued' && (device ?? step.device) === step.device,
      );
      expect(given !== undefined).toBe(open.length > 0);
      if (given === undefined) return;
      const index = Number(given.id.slice(4));
      const job = world.jobs[index]!;
      expect(open).toContain(job);
      job.state = 'running';
      job.attempts++;
      job.lease = { id, device: step.device, until: now + LEASE };
      world.leases.push({ id, job: index, device: step.device });
      return;
    }
    case 'again':
    case 'beat':
    case 'given-up':
    case 'done':
    case 'failed': {
      const lease = world.leases[step.of % Math.max(1, world.leases.length)];
      if (lease === undefined) return;
      const job = world.jobs[lease.job]!;
      const own = lease.device === step.device;
      const asked = `d${step.device}`;
      if (step.do === 'again' || step.do === 'beat') {
        rules.expire(world);
        const running = own && job.lease?.id === lease.id;
        if (running) job.lease!.until = now + LEASE;
        if (step.do === 'beat') expect(queue.beat(asked, lease.id, now)).toBe(running ? 'go' : 'stop');
        else expect(queue.lease(asked, lease.id, now)?.id).toBe(running ? `job-${lease.job}` : undefined);
        return;
      }
      const error = { kind: 'failed' as const, code: 'x', message: 'y' };
      const outcome: Outcome =
        step.do === 'done' ? done : step.do === 'failed' ? { kind: 'failed', error } : { kind: 'given-up', why: 'z' };
      const settled = job.state === 'done' || job.state === 'failed' || job.state === 'cancelled';
      const accepted = !own
        ? false
        : settled
          ? job.settledBy === lease.id
          : job.state === 'queued' || job.lease!.id === lease.id;
      expect(queue.settle(asked, lease.id, outcome, now)).toBe(accepted);
      if (!accepted || settled) return;
      if (step.do === 'given-up') return job.state === 'running' ? rules.lose(job) : undefined;
      job.state = step.do;
      job.lease = undefined;
      job.settledBy = lease.id;
      return;
    }
    case 'cancel': {
      const index = step.of % Math.max(1, world.jobs.length);
      const job = world.jobs[index];
      if (job === undefined) return;
      const settled = job.state === 'done' || job.state === 'failed' || job.state === 'cancelled';
      expect(queue.cancel(`job-${index}`, now)).toBe(!settled);
      if (settled) return;
      job.state = 'cancelled';
      job.lease = undefined;
      return;
    }
    case 'wait':
      world.now += step.ms;
      return;
    case 'restart': {
      // The journal as it would stand on the disk.
      const lines = real.events.map((event) => JSON.stringify(event));
      const before = JSON.stringify(queue.jobs());
      real.queue = reopened(lines, world.jobs.length, real.events);
      expect(JSON.stringify(real.queue.jobs())).toBe(before);
      real.queue.resume(now);
      for (const { lease } of world.jobs) if (lease !== undefined) lease.until = now + LEASE;
    }
  }
}

function reopened(lines: readonly string[], jobs: number, events: LabEvent[]): LabQueue {
  let next = jobs;
  const queue = new LabQueue({
    ...{ leaseMs: LEASE, maxAttempts: ATTEMPTS, maxDevices: 100, maxJobs: 1000 },
    record: (event) => void events.push(event),
    newId: () => `job-${next++}`,
  });
  for (const line of lines) queue.replay(labEventSchema.parse(JSON.parse(line)));
  return queue;
}

describe('any sequence of commands', () => {
  test('does what the rules say; every job is settled at most once; a restart forgets nothing', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const events: LabEvent[] = [];
        const real: Real = { queue: withDevices(DEVICES, events), events };
        const world: World = { now: 0, jobs: [], leases: [] };
        for (const one of steps) {
          play(one, world, real);
          expect(real.queue.jobs().map(({ state, attempts }) => [state, attempts])).toEqual(
            world.jobs.map(({ state, attempts }) => [state, attempts]),
          );
        }
        const settled = events.flatMap((event) => (event.kind === 'settled' ? [event.job] : []));
        expect(new Set(settled).size).toBe(settled.length);
        for (const { attempts } of real.queue.jobs()) expect(attempts).toBeLessThanOrEqual(ATTEMPTS);
      }),
      { numRuns: 300 },
    );
  });
});

test('a journal that cannot be followed is refused', () => {
  const queue = withDevices(1);
  const at = 0;
  expect(() => queue.replay({ kind: 'cancelled', at, job: 'nobody' })).toThrow(/no job 'nobody'/);
  queue.submit([null], [spec()], 0);
  expect(() => queue.replay({ kind: 'lost', at, job: 'job-0', lease: 'x', why: '' })).toThrow(
    /queued and cannot be lost/,
  );
});
