import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { makeGraph, type Model } from '../../src/ir/index.js';
import {
  describeLayers,
  fitPredictor,
  fusedLayers,
  networkSample,
  predictLatency,
  PROBES,
  probeNetworks,
  type NetworkSample,
} from '../../src/measure/index.js';
import { apply, fitLaw, fitLearner, lawTerms, lawTime, type Worked } from '../../src/measure/predictor/regression.js';
import { loadModel } from '../../src/onnx/node.js';
import { createRandom } from '../../src/platform/index.js';
import { openSession, profileModel, syntheticFeeds } from '../../src/runtime/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';

const shared = '../shared/models';
const present = existsSync(shared);
if (!present) console.warn('skipped: ../shared/models is absent');

const device = { ...{ cpu: 'x', arch: 'x64', physicalCores: 1, logicalCores: 1, cpuFeatures: [] } };
const host = { ...device, os: 'o', platform: 'p', threads: 1, executionProvider: 'CPU', runtime: 'r' };

describe('learners', () => {
  const random = createRandom(3);
  const work = Array.from({ length: 60 }, (): Worked => {
    const size = 10 ** (2 + 4 * random.next());
    return Object.fromEntries(lawTerms.map((term) => [term, size * random.next()])) as unknown as Worked;
  });

  test('a law gives its coefficients back, and none below zero', () => {
    const truth = { perLayer: 1e-3, per: Object.fromEntries(lawTerms.map((term, i) => [term, i * 1e-7])) };
    const times = work.map((each) => lawTime(truth as Parameters<typeof lawTime>[0], each));
    const law = fitLaw(work, times);
    work.forEach((each, i) => expect(lawTime(law, each) / times[i]!).toBeCloseTo(1, 1));
    const falling = fitLaw(
      work,
      work.map(({ flops }) => 1 / flops),
    );
    for (const value of Object.values(falling.per)) expect(value).toBeGreaterThanOrEqual(0);
  });

  test('trees learn what only two questions together tell', () => {
    const xs = Array.from({ length: 200 }, () => [random.next(), random.next(), random.next()]);
    const ys = xs.map(([a, b]) => (a! > 0.3 && b! > 0.6 ? 2 : 0));
    const learner = fitLearner(xs, ys, { linear: false, ridge: 0, rounds: 80 });
    const wrong = xs.filter((x, i) => Math.abs(apply(learner, x) - ys[i]!) > 0.5);
    expect(wrong.length).toBeLessThan(4);
    expect(apply(learner, [0.9, 0.9, 0])).toBeGreaterThan(1.5);
    expect(apply(learner, [0.9, 0.1, 0])).toBeLessThan(0.5);
  });
});

describe('probes', () => {
  test('are the same for one seed, run, and are of all families', { timeout: 60_000 }, async () => {
    const made = probeNetworks(20);
    expect(probeNetworks(3).map(({ model }) => model.graph.nodes)).toEqual(
      made.slice(0, 3).map(({ model }) => model.graph.nodes),
    );
    const seen = new Set<string>();
    for (const [i, { model }] of made.entries()) {
      const feeds = syntheticFeeds(model);
      const inputs = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, [...dims]]));
      for (const { family } of describeLayers(model, fusedLayers(model.graph), inputs)) seen.add(family);
      if (i % 5 > 0) continue;
      await using session = await openSession(model, { threads: 1 });
      expect(Object.keys(await session.run(feeds))).toEqual(['output']);
    }
    expect(
      ['conv', 'conv-pointwise', 'conv-depthwise', 'product', 'recurrent', 'pool', 'normalise', 'move'].filter(
        (family) => !seen.has(family),
      ),
    ).toEqual([]);
  });
});

describe('layers that will be fused', () => {
  const graphOf = (name: string): Model => buildArchitecture(name, { classes: 10, input: [3, 32, 32], seed: 1 });

  test('are those that the profiler finds', async () => {
    const model = graphOf('resnet-8');
    const profile = await profileModel(model, { threads: 1, runs: 1, warmup: 0 });
    const convolutions = (layers: readonly { op: string; members?: readonly string[] | undefined }[]): string[] =>
      layers.filter(({ op }) => op === 'Conv').map(({ members }) => [...(members ?? [])].sort().join(' '));
    expect(convolutions(fusedLayers(model.graph)).sort()).toEqual(convolutions(profile.layers).sort());
  });

  test('weights that can be fed as inputs are not merged with a normalisation', () => {
    const { graph, ...model } = graphOf('resnet-8');
    const weights = [...graph.initializers].map(([name, { dtype, dims }]) => ({
      name,
      type: { kind: 'tensor' as const, dtype, shape: dims },
    }));
    const open = makeGraph({ ...graph, inputs: [...graph.inputs, ...weights] });
    expect(fusedLayers(graph).some(({ op }) => op === 'BatchNormalization')).toBe(false);
    expect(fusedLayers(open).filter(({ op }) => op === 'BatchNormalization').length).toBeGreaterThan(5);
    const [first] = describeLayers({ ...model, graph: open }, fusedLayers(open), { input: [1, 3, 32, 32] });
    expect(first!.family).toBe('conv-unpacked');
  });
});

describe('the predictor', () => {
  /** Profiles as a device would give them on which every layer takes 1 ns a MAC, 0.1 ns a byte and 2 µs. */
  const sampleOf = (name: string, group: string, model: Model): NetworkSample => {
    const feeds = syntheticFeeds(model);
    const inputs = Object.fromEntries(Object.entries(feeds).map(([input, { dims }]) => [input, [...dims]]));
    const layers = describeLayers(model, fusedLayers(model.graph), inputs).map((layer) => ({
      ...layer,
      ms: 1e-6 * layer.work.macs + 1e-7 * layer.work.bytes + 0.002,
    }));
    const p50 = layers.reduce((sum, { ms }) => sum + ms, 0.01);
    const latencyMs = { p50, p90: p50, p99: p50, mean: p50, min: p50, std: 0, runs: 1 };
    const profiled = layers.map(({ name: layer, op, ms }, i) => ({
      ...{ name: layer, op, ms, share: 0 },
      members: [...(fusedLayers(model.graph)[i]!.members ?? [layer])],
    }));
    return networkSample(name, group, model, { layers: profiled, inputs, latencyMs });
  };
  const zoo = (name: string, group: string): NetworkSample =>
    sampleOf(name, group, buildArchitecture(name, { classes: 10, input: [3, 32, 32], seed: 1 }));
  const real = [
    ...['resnet-8', 'resnet-20'].map((name) => zoo(name, 'resnet')),
    zoo('vgg-11', 'vgg'),
    zoo('mobilenet-v2-0.25', 'mobilenet'),
  ];
  const probes = probeNetworks(12).map(({ name, model }) => sampleOf(name, PROBES, model));

  test('is better on unseen architectures than MACs; probes are learned from, and never held out', () => {
    const predictor = fitPredictor([...real, ...probes], host);
    expect(predictor.networks).toEqual(['resnet-8', 'resnet-20', 'vgg-11', 'mobilenet-v2-0.25']);
    expect(predictor.probes).toBe(12);
    const { validation } = predictor;
    expect(validation!.networks.map(({ name }) => name)).toEqual(predictor.networks);
    expect(validation!.predictor.median).toBeLessThan(0.15);
    expect(validation!.predictor.median).toBeLessThan(validation!.macs.median);
  });

  test('predicts a network that it knows, layer by layer', () => {
    const predictor = fitPredictor([...real, ...probes], host);
    const model = buildArchitecture('resnet-20', { classes: 10, input: [3, 32, 32], seed: 1 });
    const { latencyMs, layers } = predictLatency(predictor, model, { input: [1, 3, 32, 32] });
    expect(latencyMs / real[1]!.latencyMs).toBeGreaterThan(0.8);
    expect(latencyMs / real[1]!.latencyMs).toBeLessThan(1.2);
    expect(layers).toHaveLength(real[1]!.layers.length);
  });

  test('does without real networks, and says nothing of its error then', () => {
    const predictor = fitPredictor(probes, host);
    expect(predictor.networks).toEqual([]);
    expect(predictor.validation).toBeUndefined();
  });

  test.skipIf(!present)('takes a real network’s profile', async () => {
    const model = await loadModel(`${shared}/cifar10/resnet20-cifar10.onnx`);
    const profile = await profileModel(model, { threads: 1, runs: 2, warmup: 1 });
    const sample = networkSample('resnet20', 'resnet', model, profile);
    expect(sample.macs).toBe(40_813_184);
    expect(sample.layers).toHaveLength(profile.layers.length);
  });
});
