import { describe, expect, test } from 'vitest';
import {
  describeDevice,
  deviceSchema,
  measureInterleaved,
  measureLatency,
  percentile,
  summarise,
} from '../../src/runtime/index.js';
import { middleMean } from '../../src/runtime/latency.js';

describe('percentiles', () => {
  test('equal NumPy’s linear ones', () => {
    const values = [1, 2, 4, 8, 16];
    expect(percentile(values, 0.5)).toBe(4);
    expect(percentile(values, 0.9)).toBeCloseTo(12.8, 12);
    expect(percentile(values, 0.99)).toBeCloseTo(15.68, 12);
    expect(percentile([3], 0.9)).toBe(3);
  });

  test('a summary of known samples', () => {
    expect(summarise([4, 2, 4, 4, 5, 5, 7, 9])).toMatchObject({ mean: 5, std: 2, min: 2, p50: 4.5, runs: 8 });
  });

  test('the middle mean ignores outliers and resolves between clock ticks', () => {
    expect(middleMean([2, 2, 3, 3, 2, 3, 1000, 0])).toBe(2.5);
    expect(middleMean([5])).toBe(5);
  });
});

describe('measuring', () => {
  test('counts warm-up apart and calls as often as asked', async () => {
    let calls = 0;
    const result = await measureLatency(() => calls++, { warmup: 3, runs: 7, samples: true });
    expect(calls).toBe(10);
    expect(result.runs).toBe(7);
    expect(result.samples).toHaveLength(7);
  });

  test('minSeconds prolongs, maxSeconds cuts short but measures once', async () => {
    const nap = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
    expect((await measureLatency(nap, { warmup: 0, runs: 1, minSeconds: 0.05 })).runs).toBeGreaterThan(1);
    expect((await measureLatency(nap, { warmup: 0, runs: 1000, maxSeconds: 0 })).runs).toBe(1);
  });

  test('interleaving gives each function its turn, first place included', async () => {
    let order = '';
    const results = await measureInterleaved([() => (order += 'a'), () => (order += 'b'), () => (order += 'c')], {
      warmup: 1,
      runs: 3,
    });
    expect(order).toBe('abc' + 'abc' + 'bca' + 'cab');
    expect(results.map(({ runs }) => runs)).toEqual([3, 3, 3]);
  });

  test('an abort stops between calls, an error passes through', async () => {
    const controller = new AbortController();
    await expect(
      measureLatency(() => controller.abort(new Error('stop')), { signal: controller.signal }),
    ).rejects.toThrow('stop');
    await expect(measureLatency(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  });
});

test.each(['native', 'wasm'] as const)('describes this device (%s)', async (backend) => {
  const device = await describeDevice({ backend });
  expect(deviceSchema.parse(device)).toEqual(device);
  expect(device.runtime).toMatch(/^onnxruntime-(node|web) \d+\.\d+/);
  expect(device.threads).toBeGreaterThanOrEqual(1);
});
