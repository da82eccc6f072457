/** @file Transformers and a LeNet, exported from PyTorch or built here, train as in PyTorch and learn what they should. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Tensor, type Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { loadModel } from '../../src/onnx/node.js';
import { openSession, type Backend } from '../../src/runtime/index.js';
import { buildStep, createTrainer, type OptimizerSpec } from '../../src/train/index.js';
import { causalTransformer, transformerClassifier } from '../../src/zoo/index.js';
import { Lcg } from './reference-net.js';

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const { runs } = JSON.parse(readFileSync(fixture('network-training.json'), 'utf8')) as {
  runs: Readonly<Record<string, readonly number[]>>;
};
const STEPS = 20;
const BATCH = 8;
const optimizers: Readonly<Record<string, { readonly optimizer: OptimizerSpec; readonly learningRate: number }>> = {
  sgd: { optimizer: { kind: 'sgd', momentum: 0.9 }, learningRate: 0.05 },
  adam: { optimizer: { kind: 'adam' }, learningRate: 0.01 },
};

interface Batch {
  readonly input: Tensor;
  readonly labels: Tensor<'int64'>;
}

/** As in test/oracles/export-networks.py: batch and length differ from step to step, token 0 fills up. */
function tokenBatches(): readonly Batch[] {
  const lcg = new Lcg(5);
  const whole = (n: number): number => Math.floor(lcg.next() * n);
  return Array.from({ length: STEPS }, (_, step) => {
    const [rows, length] = [BATCH - (step % 2), 12 - (step % 3)];
    const tokens = Array.from({ length: rows * length }, () => 1 + whole(23));
    for (const [row, filling] of Array.from({ length: rows }, () => whole(5)).entries())
      tokens.fill(0, (row + 1) * length - filling, (row + 1) * length);
    const labels = Array.from({ length: rows }, () => whole(4));
    labels.forEach((label, row) => (tokens[row * length] = label + 1));
    return { input: Tensor.of('int64', [rows, length], tokens), labels: Tensor.of('int64', [rows], labels) };
  });
}

function imageBatches(): readonly Batch[] {
  const lcg = new Lcg(9);
  return Array.from({ length: STEPS }, () => {
    const pixels = Float32Array.from({ length: BATCH * 400 }, () => lcg.next() * 2 - 1);
    const labels = Array.from({ length: BATCH }, () => Math.floor(lcg.next() * 10));
    labels.forEach((label, row) => {
      for (let y = label; y < label + 4; y++) for (let x = 3; x < 9; x++) pixels[row * 400 + y * 20 + x]! += 1;
    });
    return { input: Tensor.floats(pixels, [BATCH, 1, 20, 20]), labels: Tensor.of('int64', [BATCH], labels) };
  });
}

const networks = { 'transformer-classifier': tokenBatches, lenet: imageBatches } as const;
const stepOf = (
  model: Model,
  optimizer: OptimizerSpec,
  backend: Backend,
  axis?: number,
): ReturnType<typeof buildStep> =>
  buildStep(model, {
    losses: [{ kind: 'cross-entropy', name: 'ce', logits: 'logits', ...(axis === undefined ? {} : { axis }) }],
    optimizer,
    profile: backend === 'wasm' ? 'wasm' : 'cpu',
  });

describe.each<Backend>(['native', 'wasm'])('exports of PyTorch on %s', (backend) => {
  it.each(Object.keys(runs))('%s has PyTorch’s first 20 losses', async (name) => {
    const [network, optimizer] = name.split(' ') as [keyof typeof networks, string];
    const { optimizer: spec, learningRate } = optimizers[optimizer]!;
    const model = await loadModel(fixture(`${network}.onnx`));
    await using trainer = await createTrainer(stepOf(model, spec, backend), { backend, threads: 1 });
    const expected = runs[name]!;
    for (const [index, batch] of networks[network]().entries()) {
      const { loss } = await trainer.run({ ...batch }, { learningRate });
      expect(Math.abs(loss / expected[index]! - 1), `loss ${index}: ${loss}`).toBeLessThan(1e-3);
    }
  });

  it('of a Transformer train every parameter', async () => {
    const model = await loadModel(fixture('transformer-classifier.onnx'));
    const step = stepOf(model, { kind: 'sgd' }, backend);
    // Two embeddings; per block two norms and four layers, each with two; the last norm and the head.
    const trained = step.state.filter(({ role }) => role === 'parameter');
    expect(trained).toHaveLength(2 + 2 * (2 * 2 + 4 * 2) + 2 * 2);
  });
});

const size = { width: 16, heads: 2, seed: 4 };
const lcg = new Lcg(2);
const tokens = (rows: number, length: number): number[] =>
  Array.from({ length: rows * length }, () => Math.floor(lcg.next() * 6));

describe('Transformers of the zoo', () => {
  it('of tokens learn which token stands more often, at any batch and length', async () => {
    const model = transformerClassifier({
      ...size,
      ...{ layers: 1, classes: 2, input: { kind: 'tokens', vocabulary: 6, length: 12 } },
    });
    await using trainer = await createTrainer(stepOf(model, { kind: 'adam' }, 'native'), { threads: 1 });
    const losses: number[] = [];
    for (let i = 0; i < 60; i++) {
      const [rows, length] = [12 + (i % 3), 7 + 2 * (i % 2)];
      const input = tokens(rows, length);
      const labels = Array.from({ length: rows }, (_, row) => {
        const own = input.slice(row * length, (row + 1) * length);
        return own.filter((token) => token < 3).length * 2 > length ? 1 : 0;
      });
      const { loss } = await trainer.run(
        { input: Tensor.of('int64', [rows, length], input), labels: Tensor.of('int64', [rows], labels) },
        { learningRate: 0.01 },
      );
      losses.push(loss);
    }
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
    expect(mean(losses.slice(-6))).toBeLessThan(0.6 * mean(losses.slice(0, 6)));
  });

  it('of patches learn which rows are bright', async () => {
    const model = transformerClassifier({
      ...size,
      ...{ layers: 1, classes: 4, input: { kind: 'patches', channels: 1, height: 8, width: 8, patch: 4 } },
    });
    await using trainer = await createTrainer(stepOf(model, { kind: 'adam' }, 'native'), { threads: 1 });
    const losses: number[] = [];
    for (let i = 0; i < 40; i++) {
      const labels = Array.from({ length: 8 }, () => Math.floor(lcg.next() * 4));
      const input = Float32Array.from({ length: 8 * 64 }, (_, at) => {
        const [sample, y] = [Math.floor(at / 64), Math.floor((at % 64) / 8)];
        return lcg.next() + (y % 4 === labels[sample] ? 1 : 0);
      });
      const feeds = { input: Tensor.floats(input, [8, 1, 8, 8]), labels: Tensor.of('int64', [8], labels) };
      losses.push((await trainer.run(feeds, { learningRate: 0.02 })).loss);
    }
    expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!);
  });

  it('that are causal see nothing of what comes later, and learn to copy', async () => {
    const model = causalTransformer({ ...size, layers: 1, vocabulary: 6, length: 10 });
    await using trainer = await createTrainer(stepOf(model, { kind: 'adam' }, 'native', -1), { threads: 1 });
    const losses: number[] = [];
    for (let i = 0; i < 60; i++) {
      const [rows, length] = [8, 8 + (i % 2)];
      const input = tokens(rows, length);
      // The token before each place: known to that place alone by attention.
      const labels = input.map((_, at) => (at % length === 0 ? 0 : input[at - 1]!));
      const feeds = {
        input: Tensor.of('int64', [rows, length], input),
        labels: Tensor.of('int64', [rows, length], labels),
      };
      losses.push((await trainer.run(feeds, { learningRate: 0.02 })).loss);
    }
    expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!);

    await using session = await openSession(encodeModel(await trainer.export()), { threads: 1 });
    const first = [1, 2, 3, 4, 5, 0];
    const one = await session.run({ input: Tensor.of('int64', [1, 6], first) });
    const other = await session.run({ input: Tensor.of('int64', [1, 6], first.with(5, 3)) });
    const [a, b] = [one.logits!.numbers(), other.logits!.numbers()];
    for (let i = 0; i < 5 * 6; i++) expect(b[i]).toBeCloseTo(a[i]!, 5);
    expect(b.slice(30)).not.toEqual(a.slice(30));
  });

  it('are refused in sizes that do not fit', () => {
    const patches = { kind: 'patches', channels: 1, height: 9, width: 8, patch: 4 } as const;
    expect(() => transformerClassifier({ ...size, layers: 1, classes: 2, input: patches })).toThrow(/patches/);
    expect(() => causalTransformer({ ...size, heads: 3, layers: 1, vocabulary: 6, length: 10 })).toThrow(/divide/);
    expect(() => causalTransformer({ ...size, layers: 0, vocabulary: 6, length: 10 })).toThrow(/layers/);
  });
});
