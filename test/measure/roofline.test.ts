/** @file The roofline, and the work of layers against numbers made by hand. No time is asserted. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder, makeGraph, makeModel, Tensor, tensorType } from '../../src/ir/index.js';
import { achieved, analyseProfile, attainable, layerWork, measureRoofline, ridgeOf } from '../../src/measure/index.js';
import { profileModel, type Profile } from '../../src/runtime/index.js';

const roofline = { gflops: 100, gbPerSecond: 20, dispatchMs: 0.001 };

describe('the roofline', () => {
  test('memory up to the ridge, arithmetic behind it', () => {
    expect(ridgeOf(roofline)).toBe(5);
    expect(attainable(roofline, { flops: 2, bytes: 1 })).toBe(40);
    expect(attainable(roofline, { flops: 5, bytes: 1 })).toBe(100);
    expect(attainable(roofline, { flops: 50, bytes: 1 })).toBe(100);
    expect(attainable(roofline, { flops: 50, bytes: 0 })).toBe(100);
  });

  test('what a layer achieved, and what held it back', () => {
    // 50 MFLOP and 1 MB in 1 ms: 50 GFLOP/s, half of the device.
    expect(achieved(roofline, { flops: 50e6, bytes: 1e6 }, 1)).toEqual({
      gflops: 50,
      gbPerSecond: 1,
      bound: 'compute',
      ofRoof: 0.5,
    });
    // 1 MFLOP and 10 MB in 1 ms: 10 GB/s, half of the memory's rate.
    expect(achieved(roofline, { flops: 1e6, bytes: 10e6 }, 1)).toMatchObject({ bound: 'memory', ofRoof: 0.5 });
    expect(achieved(roofline, { flops: 100, bytes: 100 }, 0.002).bound).toBe('overhead');
    expect(achieved(roofline, { flops: 0, bytes: 0 }, 0.1)).not.toHaveProperty('ofRoof');
    expect(achieved(roofline, { flops: 10, bytes: 10 }, 0)).toMatchObject({ gflops: 0, gbPerSecond: 0 });
  });
});

/** Conv 3→4, 3×3, padded, on 8×8, Relu; then a mean over the map, a product with 4×2 weights. */
function network() {
  const b = new GraphBuilder(['x', 'y']);
  const weight = b.parameter('w', Tensor.floats(new Float32Array(4 * 3 * 9), [4, 3, 3, 3]));
  const conv = b.op('Conv', ['x', weight], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }, { name: 'conv' });
  const relu = b.op('Relu', [conv], {}, { name: 'relu' });
  const mean = b.op('ReduceMean', [relu, b.int64s([2, 3])], { keepdims: 0 }, { name: 'mean' });
  const dense = b.op(
    'MatMul',
    [mean, b.parameter('v', Tensor.floats(new Float32Array(8), [4, 2]))],
    {},
    { name: 'dense' },
  );
  return makeModel(
    makeGraph({
      inputs: [{ name: 'x', type: tensorType('float32', ['batch', 3, 8, 8]) }],
      outputs: [{ name: dense, type: tensorType('float32', ['batch', 2]) }],
      nodes: b.nodes,
      initializers: b.initializers,
    }),
  );
}

describe('the work of layers', () => {
  const layer = (name: string, members?: string[]) => ({
    name,
    op: '',
    ms: 1,
    share: 0.25,
    ...(members && { members }),
  });
  const batch = 2;
  const map = batch * 4 * 64 * 4;

  test('MACs, bytes of inputs, weights and outputs; at the batch of the profile', () => {
    const [conv, relu, dense] = layerWork(network(), {
      layers: [layer('conv'), layer('relu'), layer('dense')],
      inputs: { x: [batch, 3, 8, 8] },
    });
    expect(conv).toMatchObject({ macs: batch * 4 * 64 * 27, params: 108, activationBytes: map });
    expect(conv!.flops).toBe(2 * conv!.macs);
    expect(conv!.bytes).toBe(batch * 3 * 64 * 4 + 108 * 4 + map);
    expect(relu).toMatchObject({ macs: 0, bytes: 2 * map });
    expect(dense).toMatchObject({ macs: batch * 8, params: 8, bytes: batch * 4 * 4 + 8 * 4 + batch * 2 * 4 });
  });

  test('what stays inside a fused layer moves no bytes', () => {
    const [fused] = layerWork(network(), {
      layers: [layer('conv', ['conv', 'relu'])],
      inputs: { x: [batch, 3, 8, 8] },
    });
    expect(fused!.bytes).toBe(batch * 3 * 64 * 4 + 108 * 4 + map);
    expect(fused!.activationBytes).toBe(map);
  });

  test('a real profile: every MAC is somewhere, shares of bounds and operators add up', async () => {
    const model = network();
    const profile: Profile = await profileModel(model, { threads: 1, runs: 3, warmup: 1 });
    const { layers, operators, bounds } = analyseProfile(model, profile, roofline);
    expect(layers.reduce((sum, { macs }) => sum + macs, 0)).toBe(4 * 64 * 27 + 8);
    expect(operators.reduce((sum, { macs }) => sum + macs, 0)).toBe(4 * 64 * 27 + 8);
    const shares = layers.reduce((sum, { share }) => sum + share, 0);
    expect(bounds.compute + bounds.memory + bounds.overhead).toBeCloseTo(shares, 10);
    expect(operators.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(shares, 10);
  });
});

test.each(['native', 'wasm'] as const)(
  'a device measured on %s: positive numbers',
  { timeout: 60_000 },
  async (backend) => {
    const measured = await measureRoofline({ backend, threads: 1, edge: 64, elements: 2 ** 16, runs: 3 });
    expect(measured.gflops).toBeGreaterThan(0);
    expect(measured.gbPerSecond).toBeGreaterThan(0);
    expect(measured.dispatchMs).toBeGreaterThanOrEqual(0);
  },
);
