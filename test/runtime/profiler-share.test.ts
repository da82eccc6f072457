import { describe, expect, test } from 'vitest';
import { Tensor } from '../../src/ir/index.js';
import { openSession, profileModel, quietMean } from '../../src/runtime/index.js';
import { readKernelEvents } from '../../src/runtime/kernel-events.js';
import { profilerShare, trifles, TRIFLES, withoutProfiler } from '../../src/runtime/profiler-share.js';

describe('the profiler’s own part', () => {
  const kernels = Array.from({ length: TRIFLES }, (_, i) => ({ name: `s${i}`, op: 'Sigmoid', ms: 0.002 }));
  // 0.5 µs an operator where nobody watches, 2 µs reported, 5 µs a kernel of the whole run.
  const share = profilerShare({ kernels, runMs: 0.005 * TRIFLES, runs: 10 }, 0.01 + 0.0005 * TRIFLES, 0.0105);

  test('is what a trifle takes longer when watched', () => {
    expect(share.emptyMs).toBeCloseTo(0.0005, 9);
    expect(share.perKernel).toBeCloseTo(0.0015, 9);
    expect(share.perInner).toBeCloseTo(0.0045, 9);
  });

  test('is taken off a kernel, and off what ran inside it', () => {
    expect(withoutProfiler({ name: 'a', op: 'Conv', ms: 0.1 }, share).ms).toBeCloseTo(0.0985, 9);
    expect(withoutProfiler({ name: 'a', op: 'If', ms: 0.1, inner: 10 }, share).ms).toBeCloseTo(0.0535, 9);
  });

  test('leaves an operator without work at least, and never more than was reported', () => {
    expect(withoutProfiler({ name: 'a', op: 'Relu', ms: 0.0011 }, share).ms).toBeCloseTo(0.0005, 9);
    expect(withoutProfiler({ name: 'a', op: 'Relu', ms: 0.0002 }, share).ms).toBeCloseTo(0.0002, 9);
  });

  test('is measured on a chain that runs', async () => {
    const { model, feeds } = trifles(3);
    await using session = await openSession(model, { threads: 1 });
    const [result] = Object.values(await session.run(feeds));
    const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
    expect(result!.numbers()[0]).toBeCloseTo(sigmoid(sigmoid(sigmoid(0.5))), 6);
  });
});

test('kernels inside a branch are counted, and are no layers of their own', () => {
  const event = (name: string, op: string, ts: number, dur: number): object => ({
    ...{ cat: 'Node', name: `${name}_kernel_time`, ts, dur },
    args: { op_name: op, node_index: name },
  });
  const text = JSON.stringify([
    { cat: 'Session', name: 'model_run', ts: 0, dur: 100, args: {} },
    ...[event('choice', 'If', 10, 50), event('x', 'Relu', 20, 5), event('y', 'Relu', 30, 5), event('z', 'Relu', 70, 5)],
  ]);
  expect(readKernelEvents(text, () => true).kernels).toEqual([
    { name: 'choice', op: 'If', ms: 0.05, inner: 2 },
    { name: 'z', op: 'Relu', ms: 0.005 },
  ]);
});

test('the quiet mean does not see the slower half', () => {
  expect(quietMean([1, 1, 1, 1, 50, 60, 70, 80])).toBe(1);
  expect(quietMean([3])).toBe(3);
});

test('several openings make one profile', async () => {
  const { model } = trifles(4);
  const profile = await profileModel(model, {
    ...{ threads: 1, openings: 3, runs: 9, warmup: 1, optimization: 'disabled' as const },
    feeds: { a: Tensor.floats([1], [1, 1, 1, 1]) },
  });
  expect(profile.layers).toHaveLength(4);
  expect(profile.latencyMs.runs).toBeGreaterThanOrEqual(9);
  expect(profile.quietMs).toBeLessThanOrEqual(profile.latencyMs.mean);
  expect(profile.layers.every(({ ms }) => ms >= 0)).toBe(true);
});
