/** @file The forms that a benchmark puts models into: other precisions compute nearly the same, other sizes exactly what they say. */
import { describe, expect, test } from 'vitest';
import { type Tensor, type Model } from '../../src/ir/index.js';
import { foldBatchNorm, inferShapes, quantiseDynamic, toHalf, withInputSizes } from '../../src/passes/index.js';
import { halfBits } from '../../src/passes/to-half.js';
import { inPrecision, precisions, variantOf } from '../../src/measure/index.js';
import { openSession, syntheticFeeds, type Backend } from '../../src/runtime/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';

const network = (name = 'resnet-8'): Model => buildArchitecture(name, { classes: 10, input: [3, 16, 16], seed: 4 });

async function run(model: Model, feeds: Record<string, Tensor>, backend: Backend = 'native'): Promise<Float32Array> {
  await using session = await openSession(model, { backend, threads: 1 });
  return (await session.run(feeds))['logits']!.data as Float32Array;
}

/** Largest difference, as a share of the largest value. */
function distance(a: Float32Array, b: Float32Array): number {
  const most = Math.max(...a.map(Math.abs));
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / most;
}

describe('half precision', () => {
  test('rounds as the format says', () => {
    const cases: readonly (readonly [number, number])[] = [
      [0, 0],
      [1, 0x3c00],
      [-2, 0xc000],
      [65504, 0x7bff],
      [1e9, 0x7bff],
      [-1e9, 0xfbff],
      [Infinity, 0x7c00],
      [2 ** -14, 0x0400],
      [2 ** -24, 0x0001],
      [2 ** -25, 0],
      [1.5 * 2 ** -24, 0x0002],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [2 - 2 ** -12, 0x4000],
      [0.1, 0x2e66],
    ];
    for (const [value, bits] of cases) expect(halfBits(value), String(value)).toBe(bits);
    // Processors differ in the sign of a NaN.
    expect(halfBits(NaN) & 0x7fff).toBe(0x7e00);
  });

  test('agrees with the decoded value of every finite half', () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      const [exponent, fraction] = [bits >> 10, bits & 0x3ff];
      const value = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
      expect(halfBits(value)).toBe(bits);
    }
  });

  test.each(['resnet-8', 'mobilenet-v2-0.25', 'lstm-rows'])('%s gives nearly the same', async (name) => {
    const model = network(name);
    const half = toHalf(model);
    const feeds = syntheticFeeds(model, { batch: 2 });
    expect(distance(await run(model, feeds), await run(half.model, feeds))).toBeLessThan(0.02);
    expect([...half.model.graph.initializers.values()].some(({ dtype }) => dtype === 'float32')).toBe(false);
    expect(half.model.graph.inputs).toEqual(model.graph.inputs);
    const { types } = inferShapes(half.model);
    for (const { name: output, type } of model.graph.outputs) expect(types.get(output)).toEqual(type);
  });
});

describe('dynamic int8', () => {
  test.each(['resnet-8', 'mobilenet-v2-0.25', 'lenet-5'] as const)('%s gives nearly the same', async (name) => {
    const model = foldBatchNorm(network(name)).model;
    const { model: quantised, layers } = quantiseDynamic(model);
    const weighted = model.graph.nodes.filter(({ op }) => op === 'Conv' || op === 'Gemm');
    expect(layers).toHaveLength(weighted.length);
    const feeds = syntheticFeeds(model, { batch: 2 });
    const expected = await run(model, feeds);
    expect(distance(expected, await run(quantised, feeds))).toBeLessThan(0.15);
    expect(distance(expected, await run(quantised, feeds, 'wasm'))).toBeLessThan(0.15);
  });

  test('leaves out what it is told to, and models without layers', () => {
    const model = foldBatchNorm(network()).model;
    const { layers } = quantiseDynamic(model, { skip: ({ op }) => op === 'Conv' });
    expect(layers).toEqual(['fc']);
    expect(quantiseDynamic({ ...model, graph: { ...model.graph, initializers: new Map() } }).changed).toBe(false);
  });
});

describe('sizes', () => {
  test('a batch and a resolution are declared, and compute', async () => {
    const model = withInputSizes(network(), { batch: 3, resolution: [24, 32] });
    expect(model.graph.inputs[0]!.type).toMatchObject({ shape: [3, 3, 24, 32] });
    expect(model.graph.outputs[0]!.type).toMatchObject({ shape: [3, 10] });
    expect(await run(model, syntheticFeeds(model))).toHaveLength(30);
  });

  test('what has layers of a fixed size is refused', () => {
    const lenet = network('lenet-5');
    expect(() => withInputSizes(lenet, { resolution: [32, 32] })).toThrow(/cannot take inputs of 32×32/);
    expect(withInputSizes(lenet, {})).toBe(lenet);
  });

  test('a variant states its work: four times the pixels, four times the MACs of convolutions', () => {
    const small = variantOf(network(), { batch: 1 });
    const large = variantOf(network(), { batch: 1, resolution: [32, 32] });
    const linear = 64 * 10;
    expect(large.macs - linear).toBe(4 * (small.macs - linear));
    expect(variantOf(network(), { batch: 5 }).inputs).toEqual({ input: { dtype: 'float32', dims: [5, 3, 16, 16] } });
  });

  test.each(precisions)('%s keeps inputs and outputs', async (precision) => {
    const model = network();
    const converted = await inPrecision(model, precision);
    expect(converted.graph.inputs).toEqual(model.graph.inputs);
    expect(converted.graph.outputs.map(({ name }) => name)).toEqual(['logits']);
    const feeds = syntheticFeeds(model);
    expect(distance(await run(model, feeds), await run(converted, feeds))).toBeLessThan(0.25);
  });
});
