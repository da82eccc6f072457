/** @file The queue by itself, with engines that do as they are told: order, company, deadlines, cancelling, load. */
import { describe, expect, test } from 'vitest';
import type { DesignChoice } from '../../src/exits/design.js';
import { createRandom } from '../../src/platform/index.js';
import { OipError } from '../../src/split/oip/index.js';
import { batchAxesOf, type BatchAxes } from '../../src/split/server/batch-axes.js';
import { ClientMeter } from '../../src/split/server/client-limits.js';
import { Dispatcher, type DispatcherOptions, type Job } from '../../src/split/server/dispatcher.js';
import { toPlain, type BatchResult, type Engine, type Work } from '../../src/split/server/engine.js';
import { LoadMeter } from '../../src/split/server/load-meter.js';
import { LocalEngine } from '../../src/split/server/local-engine.js';
import { joinSamples, sliceSamples } from '../../src/split/rows.js';
import { GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { inferShapes } from '../../src/passes/index.js';
import { join } from 'node:path';
import { noise } from '../exits/networks.js';
import { modelFolder, progressiveModel } from './serving.js';

/** An engine whose batches end when the test says so. */
class HeldEngine implements Engine {
  readonly batches: { readonly size: number; readonly signal: AbortSignal; end(ms?: number): void }[] = [];

  load = (): never => {
    throw new Error('not asked for');
  };
  unload = (): Promise<void> => Promise.resolve();
  close = (): Promise<void> => Promise.resolve();

  run(_key: string, batch: readonly Work[], signal: AbortSignal): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
      this.batches.push({
        size: batch.length,
        signal,
        end: (ms = 10) => resolve({ computeMs: ms, results: batch.map(() => ({ ok: true, outputs: {}, reached: 0 })) }),
      });
    });
  }
}

function setUp(options: Partial<DispatcherOptions> = {}) {
  const engine = new HeldEngine();
  const meter = new LoadMeter();
  const dropped: string[] = [];
  const clock = { now: 0 };
  const settings = { maxBatch: 4, batchDelayMs: 0, queue: 8, ...options };
  const dispatcher = new Dispatcher([engine], settings, meter, () => clock.now, {
    onDropped: (where) => dropped.push(where),
  });
  const job = (given: Partial<Job> = {}): Job => ({
    ...{ model: 'm', group: 'g', kind: 'k', samples: 1, batches: true, guessMs: 10, deadlineAt: Infinity },
    work: { kind: 'whole', inputs: {}, outputs: [] },
    signal: new AbortController().signal,
    ...given,
  });
  return { engine, meter, dropped, clock, dispatcher, job };
}

describe('the queue', () => {
  test('what waits while the engine is busy runs together, by group, in order of arrival', async () => {
    const { engine, dispatcher, job } = setUp();
    const first = dispatcher.submit(job());
    const rest = ['g', 'other', 'g', 'g', 'g', 'g'].map((group) => dispatcher.submit(job({ group })));
    expect(engine.batches.map(({ size }) => size)).toEqual([1]);
    for (let i = 0; i < 4; i++) {
      engine.batches[i]!.end();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(engine.batches.map(({ size }) => size)).toEqual([1, 4, 1, 1]);
    await Promise.all([first, ...rest]);
    expect((await rest[0]!).batch).toBe(4);
  });

  test('a batch never exceeds its samples, and what cannot be joined runs alone', async () => {
    const { engine, dispatcher, job } = setUp();
    const all = [
      dispatcher.submit(job()),
      ...[3, 2, 2].map((samples) => dispatcher.submit(job({ samples }))),
      dispatcher.submit(job({ group: 'alone', batches: false })),
      dispatcher.submit(job({ group: 'alone', batches: false })),
    ];
    for (let i = 0; i < 5; i++) {
      engine.batches[i]!.end();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(engine.batches.map(({ size }) => size)).toEqual([1, 1, 2, 1, 1]);
    await Promise.all(all);
  });

  test('a deadline that cannot be met is refused at once, with the wait', async () => {
    const { dispatcher, job, clock } = setUp();
    void dispatcher.submit(job());
    void dispatcher.submit(job({ group: 'other' }));
    const late = await dispatcher.submit(job({ deadlineAt: clock.now + 25 })).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(OipError);
    expect(late).toMatchObject({ status: 'too-slow', retryAfterMs: 20 });
    expect((late as Error).message).toMatch(/30.0 ms are expected, 25.0 ms are left/);
    void dispatcher.submit(job({ deadlineAt: clock.now + 31 }));
    expect(dispatcher.waiting).toBe(2);
  });

  test('who has waited too long is not computed any more', async () => {
    const { engine, dispatcher, job, clock, dropped } = setUp();
    const first = dispatcher.submit(job());
    const second = dispatcher.submit(job({ deadlineAt: 40 }));
    clock.now = 35;
    engine.batches[0]!.end();
    await first;
    await expect(second).rejects.toThrow(/cannot be met any more/);
    expect(engine.batches).toHaveLength(1);
    expect(dropped).toEqual(['queue']);
  });

  test('cancelling in the queue leaves it; the last of a running batch to cancel stops the engine', async () => {
    const { engine, dispatcher, job, dropped } = setUp();
    const stops = [0, 1, 2, 3].map(() => new AbortController());
    const first = dispatcher.submit(job());
    const jobs = stops.map(({ signal }) => dispatcher.submit(job({ signal })).catch((error: unknown) => error));
    stops[0]!.abort();
    expect(dispatcher.waiting).toBe(3);
    engine.batches[0]!.end();
    await first;
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(engine.batches[1]!.size).toBe(3);
    stops[1]!.abort();
    stops[2]!.abort();
    expect(engine.batches[1]!.signal.aborted).toBe(false);
    stops[3]!.abort();
    expect(engine.batches[1]!.signal.aborted).toBe(true);
    for (const error of await Promise.all(jobs)) expect(error).toMatchObject({ status: 'cancelled' });
    expect(dropped).toEqual(['queue', 'engine', 'engine', 'engine']);
    // The engine is free again.
    await new Promise((resolve) => setTimeout(resolve, 0));
    const next = dispatcher.submit(job());
    engine.batches[2]!.end();
    await next;
  });

  test('closed, it refuses what waits and what comes, and finishes what runs', async () => {
    const { engine, dispatcher, job } = setUp();
    const running = dispatcher.submit(job());
    const waiting = dispatcher.submit(job());
    dispatcher.close();
    await expect(waiting).rejects.toThrow(/stopping/);
    await expect(dispatcher.submit(job())).rejects.toThrow(/stopping/);
    engine.batches[0]!.end();
    await running;
  });
});

test('an aborted walk stops between its parts', async () => {
  const folder = modelFolder({ 'net.onnx': progressiveModel() });
  const engine = new LocalEngine({ threads: 1 });
  const card = await engine.load({ key: 'k', path: join(folder, 'net.onnx') });
  const exits = card.split!.exits.map(({ exit }) => exit);
  const design: DesignChoice = { exits, policy: { kind: 'confidence', thresholds: 1 }, fallback: 'last' };
  const input = toPlain(noise(createRandom(1), [1, 3, 8, 8]));
  const work: Work = { kind: 'tail', cut: 0, design, frame: undefined, inputs: { input } };
  const never = new AbortController().signal;
  expect((await engine.run('k', [work], never)).results[0]!.ok).toBe(true);
  const stop = new AbortController();
  // A turn of the event loop comes between two parts: that is where this abort is seen.
  setImmediate(() => stop.abort());
  await expect(engine.run('k', [work], stop.signal)).rejects.toThrow(/abort/);
  await engine.close();
  await expect(engine.run('k', [work], never)).rejects.toThrow(/not loaded/);
});

describe('the load', () => {
  const seen = { kind: 'k', samples: 1, reached: 0 };

  test('is the slow-down against the best seen, and fades', () => {
    const meter = new LoadMeter();
    expect(meter.load(0)).toBe(1);
    expect(meter.record({ ...seen, computeMs: 10, queueMs: 0, at: 0 })).toBe(1);
    for (let at = 0; at < 100; at++) meter.record({ ...seen, computeMs: 20, queueMs: 20, at });
    expect(meter.load(100)).toBeGreaterThan(3);
    expect(meter.load(100)).toBeLessThan(4.1);
    expect(meter.load(5100)).toBeCloseTo(1 + (meter.load(100) - 1) / 2, 1);
    expect(meter.expect('k', 3, 0)).toBeCloseTo(60, -1);
    expect(meter.expect('unknown', 3, 7)).toBe(21);
  });

  test('kinds that clients make up do not fill the memory', () => {
    const meter = new LoadMeter();
    for (let i = 0; i < 5000; i++) meter.record({ ...seen, kind: String(i), computeMs: 1, queueMs: 0, at: i });
    expect(meter.expect('0', 1, 42)).toBe(42);
    expect(meter.expect('4999', 1, 42)).toBe(1);
  });
});

test('clients: a burst of one second, then the rate', () => {
  const clock = { now: 0 };
  const meter = new ClientMeter({ concurrency: 3, rate: 2 }, () => clock.now);
  const [leave] = [meter.enter('a'), meter.enter('a')];
  expect(() => meter.enter('a')).toThrow(/more than 2 requests per second/);
  meter.enter('b');
  clock.now = 500;
  meter.enter('a');
  clock.now = 5000;
  expect(() => meter.enter('a')).toThrow(/3 requests under way/);
  leave();
  leave();
  meter.enter('a');
  expect(() => meter.enter('a')).toThrow(/under way/);
});

describe('batch axes', () => {
  const graph = (build: (b: GraphBuilder) => string, out: readonly (string | number)[]): Model => {
    const b = new GraphBuilder();
    b.input('x', tensorType('float32', ['batch', 4]));
    const y = build(b);
    return makeModel(b.graph('g', [{ name: y, type: tensorType('float32', out) }]));
  };
  const axes = (model: Model) => batchAxesOf(model, inferShapes(model, { unknownOps: 'skip' }).types);

  test('are found where every input and output has one', () => {
    const found = axes(graph((b) => b.op('Relu', ['x']), ['batch', 4]));
    expect(found).toMatchObject({ symbol: 'batch' });
    expect(axes(graph((b) => b.op('ReduceSum', ['x']), [1, 1]))).toMatch(/no single axis/);
    const turned = axes(graph((b) => b.op('Transpose', ['x'], { perm: [1, 0] }), [4, 'batch']));
    expect(turned).not.toBeTypeOf('string');
    expect([...(turned as BatchAxes).outputs.values()]).toEqual([1]);
  });

  test('are none where samples see each other', () => {
    const quantised = graph(
      (b) => {
        const [q, scale, zero] = b.ops('DynamicQuantizeLinear', ['x'], {}, { outputs: 3 });
        return b.op('DequantizeLinear', [q!, scale!, zero!]);
      },
      ['batch', 4],
    );
    expect(axes(quantised)).toMatch(/its scale spans the batch/);
  });
});

test('rows join and part along any axis, text too', () => {
  const random = createRandom(2);
  for (const axis of [0, 1, 2]) {
    const parts = [1, 3, 2].map((count) =>
      noise(
        random,
        [2, 3, 2].map((dim, i) => (i === axis ? count : dim)),
      ),
    );
    const joined = joinSamples(parts, axis);
    let from = 0;
    for (const part of parts) {
      const count = part.dims[axis]!;
      expect(sliceSamples(joined, axis, from, count).bytes).toEqual(part.bytes);
      from += count;
    }
  }
  const words = [Tensor.ofStrings([2, 1], ['a', 'b']), Tensor.ofStrings([2, 2], ['c', 'd', 'e', 'f'])];
  const joined = joinSamples(words, 1);
  expect(joined.strings).toEqual(['a', 'c', 'd', 'b', 'e', 'f']);
  expect(sliceSamples(joined, 1, 1, 2).strings).toEqual(['c', 'd', 'e', 'f']);
  expect(() => joinSamples([noise(random, [1, 2]), noise(random, [1, 3])], 0)).toThrow(/cannot be joined/);
});
