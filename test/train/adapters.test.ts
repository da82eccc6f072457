/** @file Adapters: PyTorch's numbers, a frozen backbone, the delta file, merging, exchange at run time, a small attention network. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DataSplits, ImageDataset } from '../../src/data/index.js';
import { CuttleError, GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import {
  adapterTargets,
  attachAdapters,
  detachAdapters,
  freshAdapters,
  mergeAdapters,
  type AdapterSet,
} from '../../src/passes/index.js';
import { createRandom } from '../../src/platform/index.js';
import { openAdapted, openSession } from '../../src/runtime/index.js';
import {
  buildStep,
  createTrainer,
  decodeAdapters,
  encodeAdapters,
  trainAdapters,
  type StepSpec,
} from '../../src/train/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { Lcg } from './reference-net.js';

interface Fixture {
  readonly logits: readonly number[];
  readonly losses: readonly number[];
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  readonly final: Readonly<Record<string, readonly number[]>>;
}

const fixture = JSON.parse(readFileSync(new URL('../fixtures/adapters.json', import.meta.url), 'utf8')) as Fixture;

/** The network and adapters of test/oracles/record-adapters.py. */
function recorded(): { readonly model: Model; readonly set: AdapterSet; readonly x: Tensor } {
  const lcg = new Lcg(5);
  const b = new GraphBuilder();
  const input = b.input('x', tensorType('float32', ['batch', 2, 5, 5]));
  const conv = b.parameter('conv', lcg.tensor([4, 2, 3, 3], 0.5));
  const weight = b.parameter('fc', lcg.tensor([3, 4], 0.5));
  const h = b.op('Relu', [b.op('Conv', [input, conv], { pads: [1, 1, 1, 1], strides: [2, 2] })]);
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [h])], { axis: 1 });
  b.alias(b.op('Gemm', [pooled, weight], { transB: 1 }), 'logits');
  const model = makeModel(b.graph('recorded', [{ name: 'logits', type: tensorType('float32', ['batch', 3]) }]));
  const fresh = freshAdapters(model, { rank: 2, alpha: 4 });
  const values = [
    lcg.tensor([2, 2, 3, 3], 0.3),
    lcg.tensor([4, 2, 1, 1], 0.3),
    lcg.tensor([4, 2], 0.3),
    lcg.tensor([2, 3], 0.3),
  ];
  const adapters = fresh.adapters.map((adapter, i) => ({ ...adapter, a: values[2 * i]!, b: values[2 * i + 1]! }));
  return { model, set: { ...fresh, adapters }, x: lcg.tensor([6, 2, 5, 5], 1) };
}

const labels = Tensor.of('int64', [6], [0, 1, 2, 0, 1, 2]);
const LOSS: StepSpec['losses'] = [{ kind: 'cross-entropy', name: 'ce', logits: 'logits' }];

async function outputOf(
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
  name: string,
): Promise<readonly number[]> {
  await using session = await openSession(model, { threads: 1 });
  return (await session.run(feeds))[name]!.numbers();
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-5): void {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, i) => expect(Math.abs(value - expected[i]!), `element ${i}`).toBeLessThan(tolerance));
}

describe('against PyTorch', () => {
  const { model, set, x } = recorded();
  const attached = attachAdapters(model, set);

  it('the attached and the merged network give the recorded outputs', async () => {
    expectClose(await outputOf(attached.model, { x }, 'logits'), fixture.logits);
    expectClose(await outputOf(mergeAdapters(model, set).model, { x }, 'logits'), fixture.logits);
  });

  it.each(['native', 'wasm'] as const)('losses, gradients and factors on %s', async (backend) => {
    const names = new Set(attached.factors.flatMap(({ a, b }) => [a, b]));
    const spec: StepSpec = { losses: LOSS, optimizer: { kind: 'sgd' }, trains: ({ name }) => names.has(name) };
    await using trainer = await createTrainer(buildStep(attached.model, spec), { backend, threads: 1 });
    expect(trainer.step.state.map(({ of }) => of).sort()).toEqual([...names].sort());
    const before = new Map(trainer.step.state.map(({ of, initial }) => [of, initial.numbers()]));
    for (const [step, loss] of fixture.losses.entries()) {
      expect((await trainer.run({ x, labels }, { learningRate: 0.5 })).loss).toBeCloseTo(loss, 5);
      if (step > 0) continue;
      for (const [name, value] of await trainer.constants())
        expectClose(
          value.numbers().map((after, i) => (before.get(name)![i]! - after) / 0.5),
          fixture.gradients[name]!,
        );
    }
    for (const [name, value] of await trainer.constants()) expectClose(value.numbers(), fixture.final[name]!);
  });
});

/** 12×12 images; the class is the quadrant that is bright. */
function quadrants(size: number, seed: number, turn: number): ImageDataset {
  const random = createRandom(seed);
  const places = Int32Array.from({ length: size }, () => random.int(4));
  const pixels = new Uint8Array(size * 144);
  for (let i = 0; i < size; i++)
    for (let at = 0; at < 144; at++) {
      const quadrant = (at < 72 ? 0 : 2) + (at % 12 < 6 ? 0 : 1);
      pixels[i * 144 + at] = random.int(100) + (places[i] === quadrant ? 80 : 0);
    }
  const turned = places.map((place) => (place + turn) % 4);
  return {
    name: `turn-${turn}`,
    classes: ['0', '1', '2', '3'],
    size,
    channels: 1,
    height: 12,
    width: 12,
    labels: turned,
    pixels,
  };
}

const splits = (turn: number): DataSplits => ({
  train: quadrants(256, 1, turn),
  calibration: quadrants(32, 2, turn),
  test: quadrants(96, 3, turn),
});

describe('a CNN', () => {
  const backbone = buildArchitecture('lenet-5', { classes: 4, input: [1, 12, 12], seed: 4 });
  const tune = (turn: number, rank: number) =>
    trainAdapters({
      model: backbone,
      adapters: { rank, alpha: 2 * rank },
      data: splits(turn),
      epochs: 8,
      optimizer: { kind: 'adam' },
      batchSize: 32,
      learningRate: 0.005,
      preprocessing: { mean: [0.3], std: [0.2] },
      session: { threads: 1 },
    });

  it('learns by its adapters alone, and two tasks share one loaded backbone', async () => {
    const bytes = new Map([...backbone.graph.initializers].map(([name, { bytes: own }]) => [name, [...own]]));
    const [first, second] = [await tune(0, 4), await tune(1, 2)];
    expect(first.accuracy).toBeGreaterThan(0.9);
    expect(second.accuracy).toBeGreaterThan(0.9);
    for (const [name, { bytes: own }] of backbone.graph.initializers) expect([...own], name).toEqual(bytes.get(name));
    expect(first.params).toBeLessThan(
      0.5 * [...backbone.graph.initializers.values()].reduce((sum, t) => sum + t.size, 0),
    );
    expect(first.merged.metadata.get('cuttle.preprocessing')).toContain('gray');

    const images = Tensor.floats(
      Float32Array.from({ length: 3 * 144 }, (_, i) => Math.sin(i)),
      [3, 1, 12, 12],
    );
    const input = backbone.graph.inputs[0]!.name;
    const output = backbone.graph.outputs[0]!.name;
    await using session = await openAdapted(backbone, first.adapters, { threads: 1 });
    expect(session.inputNames).toEqual([input]);
    const given = async (): Promise<readonly number[]> => (await session.run({ [input]: images }))[output]!.numbers();
    expectClose(await given(), await outputOf(first.merged, { [input]: images }, output), 2e-5);
    session.useAdapters(second.adapters);
    expectClose(await given(), await outputOf(second.merged, { [input]: images }, output), 2e-5);
    session.useAdapters(undefined);
    expectClose(await given(), await outputOf(backbone, { [input]: images }, output));
    expect(session.adapters).toBeUndefined();
    expect(() =>
      session.useAdapters({ ...first.adapters, adapters: [{ ...first.adapters.adapters[0]!, weight: 'other' }] }),
    ).toThrow(/not opened for adapters of 'other'/);
  });
});

describe('an attention network', () => {
  /** One head of self-attention and a two-layer perceptron over [batch, 5, 8]. */
  function attention(): Model {
    const lcg = new Lcg(3);
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', ['batch', 5, 8]));
    const linear = (name: string, from: string, rows: number, columns: number): string =>
      b.op('MatMul', [from, b.parameter(name, lcg.tensor([rows, columns], 0.5))]);
    const scores = b.op('MatMul', [
      linear('q', x, 8, 8),
      b.op('Transpose', [linear('k', x, 8, 8)], { perm: [0, 2, 1] }),
    ]);
    const mixed = b.op('Add', [x, b.op('MatMul', [b.op('Softmax', [scores], { axis: -1 }), linear('v', x, 8, 8)])]);
    const hidden = b.op('Relu', [linear('up', mixed, 8, 16)]);
    const mean = b.op('ReduceMean', [linear('down', hidden, 16, 8), b.int64s([1])], { keepdims: 0 });
    b.alias(b.op('Gemm', [mean, b.parameter('head', lcg.tensor([8, 3], 0.5))]), 'logits');
    return makeModel(b.graph('attention', [{ name: 'logits', type: tensorType('float32', ['batch', 3]) }]));
  }

  it('trains chosen projections; merging gives the same outputs', async () => {
    const model = attention();
    expect(adapterTargets(model.graph).map(({ weight }) => weight)).toEqual(['q', 'k', 'v', 'up', 'down', 'head']);
    const fresh = freshAdapters(model, { rank: 2, targets: ({ weight }) => ['q', 'v', 'head'].includes(weight) });
    const attached = attachAdapters(model, fresh);
    const names = new Set(attached.factors.flatMap(({ a, b }) => [a, b]));
    expect(names.size).toBe(6);
    const step = buildStep(attached.model, {
      losses: LOSS,
      optimizer: { kind: 'adam' },
      trains: ({ name }) => names.has(name),
    });
    await using trainer = await createTrainer(step, { threads: 1 });
    const x = new Lcg(9).tensor([6, 5, 8], 1);
    const losses: number[] = [];
    for (let i = 0; i < 60; i++) losses.push((await trainer.run({ x, labels }, { learningRate: 0.03 })).loss);
    expect(losses.at(-1)).toBeLessThan(0.2 * losses[0]!);
    const trained = await trainer.export();
    const set = detachAdapters(trained, fresh, attached.factors);
    const merged = mergeAdapters(model, decodeAdapters(encodeAdapters(set))).model;
    expectClose(await outputOf(merged, { x }, 'logits'), await outputOf(trained, { x }, 'logits'), 2e-5);
  });
});

describe('refusals', () => {
  const { model, set } = recorded();

  it('of other networks, shapes and requests', () => {
    const other = {
      ...model,
      graph: {
        ...model.graph,
        initializers: new Map([...model.graph.initializers, ['fc', Tensor.floats(new Float32Array(12), [3, 4])]]),
      },
    };
    expect(() => mergeAdapters(other, set)).toThrow(/trained beside another 'fc'/);
    const wide = { ...set, adapters: set.adapters.map((each) => ({ ...each, a: Tensor.floats([1, 2]) })) };
    expect(() => attachAdapters(model, wide)).toThrow(/does not fit its shape/);
    expect(() => freshAdapters(model, { rank: 0 })).toThrow(/no rank/);
    expect(() => freshAdapters(model, { rank: 1, targets: () => false })).toThrow(/no weight is a target/);
  });

  it('of damaged files: an error of ours, never a crash', () => {
    const bytes = encodeAdapters(set);
    expect(decodeAdapters(bytes)).toMatchObject({ rank: 2, alpha: 4 });
    expect(decodeAdapters(bytes).adapters[1]!.b.numbers()).toEqual(set.adapters[1]!.b.numbers());
    for (let length = 0; length < bytes.byteLength; length += 7)
      expect(() => decodeAdapters(bytes.subarray(0, length))).toThrow(CuttleError);
    const huge = new Uint8Array(16).fill(0xff);
    expect(() => decodeAdapters(huge)).toThrow(/truncated/);
    fc.assert(
      fc.property(fc.nat(bytes.byteLength - 1), fc.nat(255), (at, value) => {
        const damaged = new Uint8Array(bytes);
        damaged[at] = value;
        try {
          decodeAdapters(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(CuttleError);
        }
      }),
      { numRuns: 300 },
    );
  });
});
