/** @file WebGPU in Chromium, on a software adapter: sessions, training with its state on the GPU, the same numbers as WebAssembly. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserTest, bundlePage, openChromium, serve, type Chromium, type OpenPage, type Site } from './harness.js';

/** Convolution, BatchNormalization in training form, MaxPool with its indices in the gradient: little, for shaders compile slowly. */
const PAGE = `
import { Tensor } from 'cuttle';
import { float, GraphBuilder, makeModel, tensorType } from 'cuttle/ir';
import { openSession } from 'cuttle/runtime';
import { buildStep, createTrainer, executionProfileFor } from 'cuttle/train';

const values = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => Math.sin((i + seed) * (i + 1) * 0.37) / 2);
function network() {
  const b = new GraphBuilder();
  b.input('input', tensorType('float32', ['batch', 1, 6, 6]));
  const w = (stem: string, dims: readonly number[], data?: Float32Array) =>
    b.parameter(stem, Tensor.floats(data ?? values(dims.reduce((a, c) => a * c, 1), dims.length), dims));
  const conv = b.op('Conv', ['input', w('conv.weight', [3, 1, 3, 3])], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  const one = (fill: number) => new Float32Array(3).fill(fill);
  const norm = b.op('BatchNormalization', [conv, w('bn.scale', [3], one(1)), w('bn.bias', [3], one(0)), w('bn.mean', [3], one(0)), w('bn.var', [3], one(1))], { epsilon: float(1e-5) });
  const pool = b.op('MaxPool', [b.op('Relu', [norm])], { kernel_shape: [2, 2], strides: [2, 2] });
  const flat = b.op('Flatten', [pool]);
  const fc = b.op('Gemm', [flat, w('fc.weight', [4, 27]), w('fc.bias', [4])], { transB: 1 });
  b.alias(fc, 'logits');
  return makeModel(b.graph('tiny', [{ name: 'logits', type: tensorType('float32', ['batch', 4]) }]));
}
const feeds = (step: number) => ({
  input: Tensor.floats(values(5 * 36, step), [5, 1, 6, 6]),
  labels: Tensor.int64s([0, 1, 2, 3, step % 4]),
});
const losses = [{ kind: 'cross-entropy', name: 'class', logits: 'logits' }] as const;

/** Bytes of all GPU buffers that nobody has destroyed. */
let live = 0;
const { createBuffer } = GPUDevice.prototype;
GPUDevice.prototype.createBuffer = function (descriptor) {
  const buffer = createBuffer.call(this, descriptor);
  const { destroy } = buffer;
  live += descriptor.size;
  buffer.destroy = () => {
    live -= descriptor.size;
    buffer.destroy = destroy;
    destroy.call(buffer);
  };
  return buffer;
};

expose('auto', async () => {
  await using session = await openSession(network());
  return { backend: session.backend, remarks: session.remarks };
});
expose('refused', async () => {
  const unknown = new GraphBuilder();
  unknown.input('x', tensorType('float32', [2]));
  unknown.alias(unknown.op('NoSuchOperator', ['x']), 'y');
  const model = makeModel(unknown.graph('unknown', [{ name: 'y', type: tensorType('float32', [2]) }]));
  const opened = [model, network(), network()].map((model) => openSession(model, { backend: 'webgpu' }));
  return (await Promise.allSettled(opened)).map((result) => (result.status === 'rejected' ? result.reason.kind : result.status));
});
expose('train', async (backend, snapshotAfter) => {
  const step = buildStep(network(), { losses, optimizer: { kind: 'sgd', momentum: 0.9 }, profile: await executionProfileFor({ backend }) });
  await using trainer = await createTrainer(step, { backend });
  const found: number[] = [];
  const bytes: number[] = [];
  for (let i = 0; i < 4; i++) {
    // A snapshot asked for while a step runs is of the state before it, and disturbs nothing.
    const ahead = i === snapshotAfter ? trainer.snapshot() : undefined;
    found.push((await trainer.run(feeds(i), { learningRate: 0.1 })).loss);
    bytes.push(live);
    if (ahead !== undefined && (await ahead).iteration !== i) throw new Error('the snapshot is of another step');
  }
  const constants = await trainer.constants();
  return {
    backend: trainer.session.backend,
    losses: found,
    bytes,
    weights: Object.fromEntries([...constants].map(([name, tensor]) => [name, [...tensor.data]])),
  };
});
expose('resident', async (backend) => {
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', [2]));
  b.alias(b.op('Mul', ['x', 'x']), 'y');
  b.alias(b.op('Neg', ['x']), 'z');
  const vector = tensorType('float32', [2]);
  const model = makeModel(b.graph('square', [{ name: 'y', type: vector }, { name: 'z', type: vector }]));
  await using session = await openSession(model, { backend, resident: ['y'] });
  const first = await session.runResident({ x: Tensor.floats([2, 3]) });
  const y = first.resident.get('y')!;
  const before = y.location;
  const second = await session.run({ x: y });
  const downloaded = [...(await y.download()).data];
  const after = y.location;
  const again = await session.run({ x: y }, { outputs: ['y'] });
  y.dispose();
  return { outputs: Object.keys(first.outputs), before, downloaded, after, y: [...second.y.data], again: [...again.y.data] };
});
`;

interface Trained {
  readonly backend: string;
  readonly losses: readonly number[];
  /** Of GPU memory in use after each step. */
  readonly bytes: readonly number[];
  readonly weights: Readonly<Record<string, readonly number[]>>;
}

describe.skipIf(!browserTest)('WebGPU in Chromium', { timeout: 240_000 }, () => {
  let site: Site;
  let chromium: Chromium;
  let page: OpenPage;
  beforeAll(async () => {
    [site, chromium] = await Promise.all([serve(await bundlePage(PAGE)), openChromium({ webgpu: true })]);
    page = await chromium.open(site.url);
  });
  afterAll(async () => {
    await chromium?.close();
    await site?.close();
  });

  test('auto declines an adapter that is the processor itself, and says so', async () => {
    expect(await page.call('auto')).toEqual({
      backend: 'wasm',
      remarks: ['wasm: the only WebGPU adapter is the processor itself, which is slower'],
    });
  });

  test('sessions asked for together open one after the other, and one that is refused stops none', async () => {
    expect(await page.call('refused')).toEqual(['unsupported', 'fulfilled', 'fulfilled']);
  });

  test('an output stays on the GPU, is fed back, downloaded and fed again', async () => {
    const expected = { outputs: ['z'], downloaded: [4, 9], after: 'host', y: [16, 81], again: [16, 81] };
    expect(await page.call('resident', 'webgpu')).toEqual({ ...expected, before: 'gpu' });
    expect(await page.call('resident', 'wasm')).toEqual({ ...expected, before: 'host' });
  });

  test('training gives the losses and weights of WebAssembly', async () => {
    const gpu = await page.call<Trained>('train', 'webgpu', 2);
    const cpu = await page.call<Trained>('train', 'wasm', -1);
    expect([gpu.backend, cpu.backend]).toEqual(['webgpu', 'wasm']);
    gpu.losses.forEach((loss, i) => expect(loss).toBeCloseTo(cpu.losses[i]!, 4));
    expect(cpu.losses.at(-1)).not.toBeCloseTo(cpu.losses[0]!, 2);
    for (const [name, expected] of Object.entries(cpu.weights))
      gpu.weights[name]!.forEach((value, i) => expect(value, name).toBeCloseTo(expected[i]!, 4));
    expect(Object.keys(cpu.weights)).toContain('bn.var');
    // The state of one step replaces that of the step before.
    expect(gpu.bytes[0]).toBeGreaterThan(0);
    expect(gpu.bytes[3]).toBeLessThanOrEqual(gpu.bytes[1]! * 1.1);
  });
});
