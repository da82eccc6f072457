/** @file Recurrent networks of others train as they are: Loop and If from TorchScript, and Silero VAD, whose layers stand inside If. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { subgraphsOf, Tensor, type Graph, type Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { loadModel } from '../../src/onnx/node.js';
import { bindDims } from '../../src/passes/index.js';
import { openSession, type Backend } from '../../src/runtime/index.js';
import { buildStep, createTrainer, parametersOf, type StepSpec } from '../../src/train/index.js';
import { Lcg } from './reference-net.js';

const fixtures = resolve(import.meta.dirname, '../fixtures/recurrent');
const recorded = JSON.parse(readFileSync(join(fixtures, 'losses.json'), 'utf8')) as Readonly<
  Record<'gated' | 'stopping' | 'silero', readonly number[]>
>;
const cache = process.env.CUTTLE_SILERO ?? resolve(import.meta.dirname, '../../node_modules/.cache/cuttle');
const silero = (name: string): string => join(cache, name);
const hasSilero = existsSync(silero('silero_vad_legacy.onnx'));
if (!hasSilero)
  console.warn(`skipped: ${silero('silero_vad_legacy.onnx')} is not there; node scripts/fetch-silero.mjs gets it`);

const floats = (lcg: Lcg, dims: readonly number[], scale: number): Tensor =>
  Tensor.floats(
    Float32Array.from({ length: dims.reduce((size, dim) => size * dim, 1) }, () => (lcg.next() * 2 - 1) * scale),
    dims,
  );

/** Operators of a graph and of all its sub-graphs. */
function operatorsIn(graph: Graph): Set<string> {
  const found = new Set<string>();
  for (const node of graph.nodes) {
    found.add(node.op);
    for (const [, inner] of subgraphsOf(node)) for (const op of operatorsIn(inner)) found.add(op);
  }
  return found;
}

async function expectLosses(
  model: Model,
  spec: StepSpec,
  learningRate: number,
  batches: Iterable<Record<string, Tensor>>,
  expected: readonly number[],
  backend: Backend,
): Promise<Model> {
  const profile = backend === 'wasm' ? 'wasm' : 'cpu';
  await using trainer = await createTrainer(buildStep(model, { ...spec, profile }), { backend, threads: 1 });
  const losses: number[] = [];
  for (const batch of batches) losses.push((await trainer.run(batch, { learningRate })).loss);
  expect(losses).toHaveLength(expected.length);
  losses.forEach((loss, i) => expect(Math.abs(loss / expected[i]! - 1), `loss ${i}`).toBeLessThan(1e-3));
  return trainer.export();
}

const SPEC: StepSpec = {
  losses: [{ kind: 'cross-entropy', name: 'ce', logits: 'logits' }],
  optimizer: { kind: 'sgd', momentum: 0.9 },
};

function* classified(name: 'gated' | 'stopping'): Iterable<Record<string, Tensor>> {
  const lcg = new Lcg(5);
  for (let step = 0; step < 20; step++) {
    const dims = name === 'gated' ? [3 + (step % 4), 3, 3] : [4, 5];
    const input = floats(lcg, dims, 1);
    const batch = name === 'gated' ? 3 : 4;
    const labels = Tensor.of(
      'int64',
      [batch],
      Array.from({ length: batch }, () => Math.floor(lcg.next() * 4)),
    );
    yield { input, labels };
  }
}

/** Loops start their bodies anew at every step: slow on a machine with much else to do. */
const PATIENCE = 240_000;

describe.each<Backend>(['native', 'wasm'])('networks exported from TorchScript, on %s', (backend) => {
  it.each([
    ['gated', ['Loop', 'If'], 10],
    ['stopping', ['Loop'], 4],
  ] as const)(
    '%s: PyTorch’s first 20 losses',
    async (name, control, parameters) => {
      const model = await loadModel(join(fixtures, `scripted-${name}.onnx`));
      for (const op of control) expect(operatorsIn(model.graph)).toContain(op);
      const step = buildStep(model, SPEC);
      expect(step.state.filter(({ role }) => role === 'parameter')).toHaveLength(parameters);
      const trained = await expectLosses(model, SPEC, 0.2, classified(name), recorded[name], backend);
      for (const op of control) expect(operatorsIn(trained.graph)).toContain(op);
      const [first] = classified(name);
      await using session = await openSession(encodeModel(trained), { backend, threads: 1 });
      const { logits } = await session.run({ input: first!.input! });
      expect(logits!.numbers().every(Number.isFinite)).toBe(true);
    },
    PATIENCE,
  );
});

describe.skipIf(!hasSilero)('Silero VAD', () => {
  const spec: StepSpec = {
    losses: [{ kind: 'binary-cross-entropy', name: 'bce', prediction: 'output' }],
    optimizer: { kind: 'sgd' },
    // The Fourier basis and the smoothing window are no weights.
    trains: ({ name }) => !/forward_basis|filter_/.test(name),
  };
  const rate = Tensor.scalar('int64', 16000);

  function* windows(): Iterable<Record<string, Tensor>> {
    const lcg = new Lcg(9);
    for (let step = 0; step < 20; step++) {
      const [input, h, c] = [floats(lcg, [4, 1536], 0.4), floats(lcg, [2, 4, 64], 0.2), floats(lcg, [2, 4, 64], 0.2)];
      const target = Tensor.floats(
        Array.from({ length: 4 }, () => (lcg.next() < 0.5 ? 1 : 0)),
        [4, 1],
      );
      yield { input, h, c, sr: rate, target };
    }
  }

  it.each<Backend>(['native', 'wasm'])(
    'version 4 is fine-tuned with PyTorch’s first 20 losses, on %s',
    async (backend) => {
      const model = await loadModel(silero('silero_vad_legacy.onnx'));
      expect(parametersOf(model.graph).length).toBeGreaterThan(70);
      const bound = bindDims(model, { sequence: 1536 }).model;
      const trained = await expectLosses(bound, spec, 1e-3, windows(), recorded.silero, backend);
      expect(operatorsIn(trained.graph)).toContain('If');
    },
    PATIENCE,
  );
});
