/** @file Rematerialisation: same numbers, less memory, within the budget, and ONNX Runtime does not undo it. */
import { describe, expect, it } from 'vitest';
import {
  ancestorsOf,
  float,
  GraphBuilder,
  intOf,
  Tensor,
  tensorType,
  type Model,
  type Node,
} from '../../src/ir/index.js';
import {
  executionOrder,
  leastMemory,
  MemoryBudgetError,
  rematerialise,
  UnknownSizesError,
} from '../../src/passes/index.js';
import { isRepeatable } from '../../src/passes/rematerialise-rewrite.js';
import { withTemporaryFolder, joinPath } from '../../src/platform/node/files.js';
import { loadModel } from '../../src/onnx/node.js';
import { encodeModel } from '../../src/onnx/index.js';
import { openOrtSession } from '../../src/runtime/session.js';
import { buildStep, createTrainer, fitMemory, type StepGraph } from '../../src/train/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { profileModel } from '../../src/runtime/index.js';

const BATCH = 32;
const step = buildStep(buildArchitecture('resnet-8', { classes: 10, input: [3, 16, 16], seed: 1 }), {
  losses: [{ kind: 'cross-entropy', name: 'ce', logits: 'logits', labelSmoothing: 0.1 }],
  optimizer: { kind: 'sgd', momentum: 0.9 },
  dims: { batch: BATCH },
});
const forward = forwardOf(step);

function forwardOf({ outputs }: StepGraph): readonly string[] {
  return [outputs.loss, ...outputs.terms.values(), ...outputs.correct.values()];
}

function feeds(seed: number): Readonly<Record<string, Tensor>> {
  const noise = (index: number): number => Math.sin(index * 12.9898 + seed) * 2;
  return {
    input: Tensor.floats(
      Float32Array.from({ length: BATCH * 3 * 256 }, (_, i) => noise(i)),
      [BATCH, 3, 16, 16],
    ),
    labels: Tensor.of(
      'int64',
      [BATCH],
      Array.from({ length: BATCH }, (_, i) => (i * 7 + seed) % 10),
    ),
  };
}

async function lossesOf(of: StepGraph, backend: 'native' | 'wasm'): Promise<readonly number[]> {
  await using trainer = await createTrainer(of, { backend, threads: 1 });
  const losses: number[] = [];
  for (let i = 0; i < 4; i++) losses.push((await trainer.run(feeds(i), { learningRate: 0.1 })).loss);
  for (const tensor of (await trainer.constants()).values()) losses.push(...tensor.numbers());
  return losses;
}

const plain = rematerialise(step.model, { forward, budget: Infinity });
const least = leastMemory(step.model, forward);

describe('a plan', () => {
  it('changes nothing where the step fits', () => {
    expect(plain).toMatchObject({ changed: false, repeated: [], extraTime: 0 });
    expect(plain.model).toBe(step.model);
  });

  it.each([0.9, 0.7, 0.5])('keeps within the budget at %s of the way from the least', (share) => {
    const budget = least + share * (plain.before.bytes - least);
    const found = rematerialise(step.model, { forward, budget });
    expect(found.after.bytes).toBeLessThanOrEqual(budget);
    expect(found.repeated.length).toBeGreaterThan(0);
    expect(found.extraTime).toBeGreaterThan(0);
    expect(found.extraTime).toBeLessThan(0.5);
  });

  it('saves a good part of the memory at the least budget, and names it where less is asked for', () => {
    expect(least).toBeLessThan(0.85 * plain.before.bytes);
    expect(rematerialise(step.model, { forward, budget: least }).after.bytes).toBeLessThanOrEqual(least);
    const refused = (): unknown => rematerialise(step.model, { forward, budget: least - 1 });
    expect(refused).toThrow(MemoryBudgetError);
    expect(refused).toThrow(`at least ${Math.ceil(least / 1e6)} MB`);
    try {
      refused();
    } catch (error) {
      expect(error).toMatchObject({ least, kind: 'usage' });
    }
  });

  it('refuses symbolic sizes', () => {
    const symbolic = buildStep(buildArchitecture('resnet-8', { classes: 10, input: [3, 16, 16], seed: 1 }), {
      losses: [{ kind: 'cross-entropy', name: 'ce', logits: 'logits' }],
      optimizer: { kind: 'sgd' },
    });
    expect(() => rematerialise(symbolic.model, { forward: forwardOf(symbolic), budget: 1e6 })).toThrow(
      UnknownSizesError,
    );
  });
});

const tight = rematerialise(step.model, { forward, budget: least });

describe('the rewritten step', () => {
  it.each(['native', 'wasm'] as const)('gives the same losses and weights, bit for bit, on %s', async (backend) => {
    const expected = await lossesOf(step, backend);
    expect(await lossesOf({ ...step, model: tight.model }, backend)).toEqual(expected);
  });

  it('still computes twice after ONNX Runtime has optimised it', async () => {
    await withTemporaryFolder(async (folder) => {
      const file = joinPath(folder, 'optimised.onnx');
      const session = await openOrtSession(
        encodeModel(tight.model),
        { threads: 1, training: true },
        { optimizedModelFilePath: file },
      );
      await session.release();
      const kept = (await loadModel(file)).graph.nodes.filter(({ name }) => name.endsWith('.again'));
      expect(kept.map(({ name }) => name.slice(0, -'.again'.length)).sort()).toEqual([...tight.repeated].sort());
    });
  });

  it('gives every repeated normalisation scratch statistics of its own', () => {
    const norms = tight.model.graph.nodes.filter(
      (node) => node.op === 'BatchNormalization' && intOf(node, 'training_mode', 0) === 1,
    );
    const repeated = norms.filter(({ name }) => name.endsWith('.again'));
    expect(repeated.length).toBeGreaterThan(0);
    const contents = norms
      .flatMap(({ inputs }) => inputs.slice(3))
      .map((name) => `${tight.model.graph.initializers.get(name)!.numbers().join()}`);
    expect(new Set(contents).size).toBe(contents.length);
  });
});

it('random nodes are never repeated', () => {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', [64, 4096]));
  const w = b.input('w', tensorType('float32', [4096, 4096]));
  const noise = b.op('RandomUniformLike', [x], { seed: float(1) });
  b.op('MatMul', [b.op('Mul', [x, noise]), w]);
  const [random, times] = b.nodes as [Node, Node];
  expect(isRepeatable(random)).toBe(false);
  expect(isRepeatable(times)).toBe(true);
});

describe('executionOrder', () => {
  it('is the order in which ONNX Runtime runs the nodes', async () => {
    const small: Model = tight.model;
    const profile = await profileModel(small, { runs: 1, warmup: 1, threads: 1, optimization: 'disabled' });
    const order = new Map(executionOrder(small.graph).map(({ name }, index) => [name, index]));
    expect(order.size).toBe(small.graph.nodes.length);
    expect(profile.layers.length).toBeGreaterThan(0);
    const first = ancestorsOf(small.graph, [small.graph.nodes.at(-1)!.outputs[0]!]);
    // What the last node needs runs first, and the node itself right after it.
    expect(order.get(small.graph.nodes.at(-1)!.name)).toBe(first.length - 1);
  });
});

it('fitMemory states the whole need', () => {
  const state = step.state.reduce((sum, { initial }) => sum + initial.bytes.byteLength, 0);
  const fitted = fitMemory(step, 1e12);
  expect(fitted.repeated).toEqual([]);
  expect(fitted.bytes).toBeGreaterThan(plain.before.bytes + 2 * state);
  expect(() => fitMemory(step, 1e6, 5e8)).toThrow(/but may take only 501 MB/);
});
