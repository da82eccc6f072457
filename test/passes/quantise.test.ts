/** @file Static quantisation: one layer against integers computed by hand, whole networks against their float form. */
import { describe, expect, test } from 'vitest';
import type { Model, Tensor } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { foldBatchNorm, MissingRangeError, quantisableActivations, quantise } from '../../src/passes/index.js';
import { createRandom } from '../../src/platform/random.js';
import { measureRanges, openSession, profileModel } from '../../src/runtime/index.js';
import { Net, noise, plainChain, residualNet } from '../exits/networks.js';
import { transformerNet } from '../exits/networks-sequence.js';

async function outputOf(model: Model, input: Tensor, optimization: 'disabled' | 'all' = 'all'): Promise<Float32Array> {
  await using session = await openSession(encodeModel(model), { threads: 1, optimization });
  return Object.values(await session.run({ input }))[0]!.data as Float32Array;
}

async function quantised(
  model: Model,
  input: Tensor,
  options: { perChannel?: boolean; weightBits?: 7 | 8 } = {},
): Promise<Model> {
  const ranges = await measureRanges(model, quantisableActivations(model), [{ input }], { threads: 1 });
  return quantise(model, { ranges, ...options }).model;
}

describe('one convolution', () => {
  const net = new Net(3);
  const { b } = net;
  const bias = b.parameter('bias', noise(net.random, [4], 0.5));
  const weight = b.parameter('weight', noise(net.random, [4, 3, 1, 1]));
  const value = b.op('Relu', [b.op('Conv', [net.input([3, 4, 4]), weight, bias], { kernel_shape: [1, 1] })]);
  const model = net.model(b.op('GlobalAveragePool', [value]), ['batch', 4, 1, 1]);
  const input = noise(createRandom(8), [1, 3, 4, 4]);

  test.each([true, false])('is the integers’ own arithmetic (per channel: %s)', async (perChannel) => {
    const ranges = await measureRanges(model, quantisableActivations(model), [{ input }], { threads: 1 });
    expect([...ranges.keys()]).toEqual(['input', value]);
    const result = quantise(model, { ranges, perChannel });
    const x = input.data;
    const w = model.graph.initializers.get('weight')!.data as Float32Array;
    const c = model.graph.initializers.get('bias')!.data as Float32Array;
    const step = (Math.max(...x) - Math.min(...x)) / 255;
    const zero = Math.round(-Math.min(...x) / step);
    const largest = (o: number): number => Math.max(...(perChannel ? w.slice(3 * o, 3 * o + 3) : w).map(Math.abs));
    const outputStep = ranges.get(value)!.max / 255;
    const expected = Array.from({ length: 4 }, (_, o) => {
      let total = 0;
      for (let p = 0; p < 16; p++) {
        const scale = largest(o) / 127;
        let sum = Math.round(c[o]! / (scale * step));
        for (let i = 0; i < 3; i++) {
          const q = Math.max(0, Math.min(255, Math.round(x[i * 16 + p]! / step) + zero));
          sum += (q - zero) * Math.round(w[3 * o + i]! / scale);
        }
        total += outputStep * Math.max(0, Math.min(255, Math.round((sum * scale * step) / outputStep)));
      }
      return total / 16;
    });
    for (const optimization of ['disabled', 'all'] as const)
      (await outputOf(result.model, input, optimization)).forEach((y, o) => {
        // The pool is float here; a half may round the other way.
        expect(Math.abs(y - expected[o]!)).toBeLessThan(outputStep / 4);
      });
  });

  test('runs in an integer kernel of ONNX Runtime', async () => {
    const profile = await profileModel(await quantised(model, input), { threads: 1, runs: 2, feeds: { input } });
    // One kernel from integers to integers: the clipping and the rounding are part of it.
    const conv = profile.layers.find(({ op }) => op === 'Conv');
    expect(conv?.members).toEqual(['Conv', 'Relu', `${value}/quantise`]);
  });
});

describe('whole networks', () => {
  test.each<[string, () => Model, readonly number[], number]>([
    ['a chain with pools', plainChain, [16, 1, 12, 12], 0.05],
    ['residual blocks', () => foldBatchNorm(residualNet()).model, [16, 3, 12, 12], 0.08],
    ['a Transformer', transformerNet, [16, 1, 8, 12], 0.12],
  ])('%s stays near its float form, with the same interface', async (_, build, dims, tolerance) => {
    const model = build();
    const input = noise(createRandom(4), dims);
    const whole = await outputOf(model, input);
    for (const options of [{}, { perChannel: false }, { weightBits: 7 } as const]) {
      const integers = await quantised(model, input, options);
      expect(integers.graph.inputs).toEqual(model.graph.inputs);
      expect(integers.graph.outputs.map(({ name }) => name)).toEqual(model.graph.outputs.map(({ name }) => name));
      const result = await outputOf(integers, input);
      const error = Math.hypot(...result.map((value, i) => value - whole[i]!)) / Math.hypot(...whole);
      expect(error).toBeLessThan(2 * tolerance);
      expect(error).toBeGreaterThan(0);
      if (options.perChannel !== false && options.weightBits === undefined) expect(error).toBeLessThan(tolerance);
    }
  });

  test('weights take a quarter of the bytes', async () => {
    const model = foldBatchNorm(residualNet()).model;
    const integers = await quantised(model, noise(createRandom(4), [4, 3, 12, 12]));
    const bytes = (m: Model, name: string): number => m.graph.initializers.get(name)?.bytes.byteLength ?? 0;
    for (const name of model.graph.initializers.keys())
      if (integers.graph.initializers.has(`${name}.quantised`) && model.graph.initializers.get(name)!.dims.length > 1)
        expect(bytes(integers, `${name}.quantised`) * 4).toBe(bytes(model, name));
  });
});

test('what is skipped stays float; what has no range is named', () => {
  const model = foldBatchNorm(residualNet()).model;
  expect(quantise(model, { ranges: new Map(), skip: () => true })).toMatchObject({ changed: false, layers: [] });
  expect(() => quantise(model, { ranges: new Map() })).toThrow(MissingRangeError);
  const broken = new Map(quantisableActivations(model).map((name) => [name, { min: NaN, max: 1 }]));
  expect(() => quantise(model, { ranges: broken })).toThrow(/NaN … 1/);
});

test('percentiles cut outliers off', async () => {
  const net = new Net(1);
  const model = net.model(net.relu(net.input([1000])), ['batch', 1000]);
  const values = Float32Array.from({ length: 1000 }, (_, i) => i);
  values[999] = 1e6;
  const input = noise(createRandom(1), [1, 1000]);
  input.data.set(values);
  const [name] = [model.graph.outputs[0]!.name];
  const whole = await measureRanges(model, [name], [{ input }], { threads: 1 });
  expect(whole.get(name)).toEqual({ min: 0, max: 1e6 });
  const most = await measureRanges(model, [name], [{ input }], { threads: 1, percentile: 99 });
  expect(most.get(name)).toEqual({ min: 5, max: 994 });
});
