import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GraphBuilder, graph, makeModel, makeNode, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import {
  parseProfile,
  ProfileFormatError,
  profileModel,
  ProfilerUnavailableError,
  segmentTimes,
  type Optimization,
  type Profile,
} from '../../src/runtime/index.js';
import { readKernelEvents } from '../../src/runtime/kernel-events.js';
import { joinKernels } from '../../src/runtime/kernel-join.js';

const shared = '../shared/models/';
const present = existsSync(shared);
if (!present) console.warn('skipped: ../shared/models is absent');

const load = (file: string): Model => decodeModel(new Uint8Array(readFileSync(shared + file)));
const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);

/** What must hold for every profile of a model. */
function check(profile: Profile, model: Model): void {
  expect(parseProfile(JSON.parse(JSON.stringify(profile)))).toEqual(JSON.parse(JSON.stringify(profile)));
  const layersMs = sum(profile.layers.map(({ ms }) => ms));
  expect(layersMs + profile.otherMs).toBeCloseTo(profile.kernelMs, 9);
  expect(profile.otherMs).toBeLessThanOrEqual(0.02 * profile.kernelMs);
  expect(sum(profile.layers.map(({ share }) => share))).toBeGreaterThanOrEqual(0.98);
  const members = profile.layers.flatMap((layer) => layer.members ?? [layer.name]);
  expect(new Set(members).size).toBe(members.length);
  const timed = new Map(
    profile.layers.flatMap((layer) => (layer.members ?? [layer.name]).map((name) => [name, layer])),
  );
  for (const node of model.graph.nodes) {
    if (node.op !== 'Conv') continue;
    const layer = timed.get(node.name);
    expect(layer?.name, `layer of ${node.name}`).toBe(node.name);
    expect(layer!.ms).toBeGreaterThan(0);
  }
}

describe.skipIf(!present)('profileModel', () => {
  describe.each([
    'cifar10/resnet20-cifar10-bn.onnx',
    'cifar10/resnet56-cifar10.onnx',
    'formats/ultraface/version-RFB-320.onnx',
  ])('%s', (file) => {
    test.each<Optimization>(['disabled', 'extended', 'all'])(
      'every Conv is timed, nothing is lost: %s',
      async (optimization) => {
        const model = load(file);
        check(await profileModel(model, { optimization, runs: 4, warmup: 1, threads: 1 }), model);
      },
    );
  });

  test('the residual block’s fused nodes go to the Conv that does their work', async () => {
    const { layers } = await profileModel(load('cifar10/resnet20-cifar10-bn.onnx'), { runs: 2, warmup: 1, threads: 1 });
    expect(layers.find(({ name }) => name === '/3/conv2/Conv')?.members).toEqual([
      '/3/conv2/Conv',
      '/3/bn2/BatchNormalization',
      '/3/Add',
      '/3/Relu_1',
    ]);
    expect(layers.find(({ name }) => name === '/6/short/short.0/Conv')?.members).toEqual([
      '/6/short/short.0/Conv',
      '/6/short/short.1/BatchNormalization',
    ]);
  });
});

test('an If is one layer: its branches’ kernels are not counted twice', async () => {
  const branch = (op: string): ReturnType<GraphBuilder['graph']> => {
    const b = new GraphBuilder();
    b.add(makeNode({ name: `${op}_inside`, op, inputs: ['x'], outputs: [`${op}_out`] }));
    return b.graph(op, [{ name: `${op}_out`, type: tensorType('float32', ['n']) }]);
  };
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', ['n']));
  b.input('c', tensorType('bool', []));
  b.add(
    makeNode({
      name: 'choice',
      op: 'If',
      inputs: ['c'],
      outputs: ['y'],
      attributes: new Map([
        ['then_branch', graph(branch('Exp'))],
        ['else_branch', graph(branch('Sigmoid'))],
      ]),
    }),
  );
  const model = makeModel(b.graph('g', [{ name: 'y', type: tensorType('float32', ['n']) }]));
  const profile = await profileModel(model, {
    runs: 3,
    warmup: 1,
    feeds: { x: Tensor.floats(new Float32Array(1e5)), c: Tensor.of('bool', [], [1]) },
  });
  expect(profile.layers.map(({ name }) => name)).toEqual(['choice']);
  expect(profile.otherMs).toBe(0);
});

test('wasm is refused by name', async () => {
  await expect(profileModel(new Uint8Array(0), { backend: 'wasm' })).rejects.toBeInstanceOf(ProfilerUnavailableError);
});

describe('joinKernels', () => {
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', [1, 3, 4, 4]));
  const conv = b.op('Conv', ['x', 'w'], {}, { name: 'conv' });
  const relu = b.op('Relu', [conv], {}, { name: 'relu' });
  const folded = b.op('Sqrt', ['w2'], {}, { name: 'folded' });
  const mul = b.op('MatMul', [relu, folded], {}, { name: 'mul' });
  b.op('Add', [mul, 'bias'], {}, { name: 'add' });
  const joined = (names: readonly [string, string][]): readonly (readonly [string, readonly string[], number])[] =>
    joinKernels(
      b.graph('g', []),
      names.map(([name, op]) => ({ name, op, ms: 1 })),
    ).layers.map(({ node, members, ms }) => [node.name, members.map(({ name }) => name), ms]);

  test('reads names of values, fusions and inserted conversions', () => {
    expect(
      joined([
        ['ReorderInput', 'ReorderInput'],
        ['relu_out_nchwc', 'Conv'],
        ['ReorderOutput', 'ReorderOutput'],
        ['mul/MatMulAddFusion', 'Gemm'],
      ]),
    ).toEqual([
      ['conv', ['conv', 'relu'], 3],
      ['mul', ['mul', 'add'], 1],
    ]);
  });

  test('a kernel with a foreign name stays unmatched', () => {
    const { unmatched } = joinKernels(b.graph('g', []), [{ name: 'mystery', op: 'Mystery', ms: 2 }]);
    expect(unmatched).toHaveLength(1);
  });
});

describe('reading and using profiles', () => {
  test('kernels are averaged over the runs after warm-up', () => {
    const event = (name: string, ts: number, dur: number, op?: string): object => ({
      cat: op === undefined ? 'Session' : 'Node',
      name,
      ts,
      dur,
      args: op === undefined ? {} : { op_name: op, node_index: '1' },
    });
    const text = JSON.stringify([
      event('a_kernel_time', 1, 900, 'Conv'),
      event('model_run', 0, 1000),
      event('a_kernel_time', 2001, 2000, 'Conv'),
      event('model_run', 2000, 3000),
      event('a_kernel_time', 6001, 4000, 'Conv'),
      event('model_run', 6000, 5000),
    ]);
    expect(readKernelEvents(text, (run) => run >= 1)).toEqual({
      kernels: [{ name: 'a', op: 'Conv', ms: 3 }],
      runMs: 4,
      runs: 2,
    });
    expect(() => readKernelEvents('{', () => true)).toThrow(/cannot be read/);
    expect(() => readKernelEvents(text, (run) => run >= 3)).toThrow(/no run/);
  });

  test('runs that the machine disturbed do not count', () => {
    const text = JSON.stringify(
      Array.from({ length: 10 }, (_, i) => [
        {
          cat: 'Node',
          name: 'a_kernel_time',
          ts: i * 1e6 + 1,
          dur: i < 4 ? 1e5 : 2000,
          args: { op_name: 'Conv', node_index: '1' },
        },
        { cat: 'Session', name: 'model_run', ts: i * 1e6, dur: i < 4 ? 2e5 : 3000, args: {} },
      ]).flat(),
    );
    expect(readKernelEvents(text, () => true)).toMatchObject({ kernels: [{ ms: 2 }], runMs: 3 });
  });

  const profile = (layers: Profile['layers']): unknown => ({
    kind: 'cuttle.profile',
    version: 1,
    device: {
      cpu: 'x',
      arch: 'arm64',
      physicalCores: 4,
      logicalCores: 8,
      cpuFeatures: [],
      os: 'o',
      platform: 'p',
      threads: 4,
      executionProvider: 'CPU',
      runtime: 'r',
    },
    inputs: { input: [1, 3, 32, 32] },
    optimization: 'all',
    latencyMs: { p50: 6, p90: 6, p99: 6, mean: 6, min: 6, std: 0, runs: 1 },
    kernelMs: 3,
    profiledMs: 4,
    scale: 2,
    layers,
    otherMs: 0,
  });
  const layers = [
    { name: 'a', op: 'Conv', ms: 1, share: 1 / 3, members: ['a', 'a_relu'] },
    { name: 'b', op: 'Conv', ms: 2, share: 2 / 3 },
  ];

  test('segments add up to the measured latency', () => {
    const parsed = parseProfile(profile(layers));
    expect([...segmentTimes(parsed, [new Set(['a', 'a_relu']), new Set(['b']), new Set()])]).toEqual([2, 4, 0]);
    expect([...segmentTimes(parsed, [new Set(['b'])], { scaled: false })]).toEqual([2]);
  });

  test('another device’s profile is read from text', () => {
    expect(parseProfile(JSON.stringify(profile(layers))).device.arch).toBe('arm64');
  });

  test.each([
    ['no JSON', '{'],
    ['another document', { hello: 1 }],
    ['a negative time', profile([{ ...layers[0]!, ms: -1 }])],
    ['a later version', { ...(profile(layers) as object), version: 2 }],
  ])('%s is refused, kind invalid', (_, value) => {
    expect(() => parseProfile(value)).toThrow(ProfileFormatError);
    try {
      parseProfile(value);
    } catch (error) {
      expect(error).toMatchObject({ kind: 'invalid' });
    }
  });
});
