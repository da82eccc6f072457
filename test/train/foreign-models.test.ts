/** @file Networks that other frameworks exported train as well: PyTorch exports with and without BatchNormalization. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { float, GraphBuilder, makeModel, Tensor, tensorType } from '../../src/ir/index.js';
import { loadModel } from '../../src/onnx/node.js';
import { createRandom } from '../../src/platform/index.js';
import { openSession } from '../../src/runtime/index.js';
import { buildStep, classifierOutput, createTrainer } from '../../src/train/index.js';
import { encodeModel } from '../../src/onnx/index.js';

const folder = resolve(import.meta.dirname, '../../../shared/models/cifar10');
const available = existsSync(folder);
if (!available) console.warn(`skipped: ${folder} is not there`);

const random = createRandom(2);
const input = Tensor.floats(
  Float32Array.from({ length: 8 * 3 * 32 * 32 }, () => random.normal()),
  [8, 3, 32, 32],
);
const labels = Tensor.of('int64', [8], [0, 1, 2, 3, 4, 5, 6, 7]);

describe.skipIf(!available)('PyTorch exports at opset 13', () => {
  it.each([
    ['resnet20-cifar10-bn.onnx', 42, 42],
    ['resnet20-cifar10.onnx', 0, 0],
  ])('%s trains: %d normalisation parameters, %d running averages', async (file, norms, averages) => {
    const model = await loadModel(join(folder, file));
    const step = buildStep(model, {
      losses: [{ kind: 'cross-entropy', name: 'ce', logits: classifierOutput(model).logits }],
      optimizer: { kind: 'sgd', momentum: 0.9 },
    });
    expect(step.state.filter(({ role }) => role === 'running')).toHaveLength(averages);
    expect(step.state.filter(({ role, initial }) => role === 'parameter' && initial.dims.length === 1).length).toBe(
      norms + (norms > 0 ? 1 : 22),
    );
    await using trainer = await createTrainer(step, { threads: 1 });
    const losses: number[] = [];
    for (let i = 0; i < 6; i++)
      losses.push((await trainer.run({ input, labels }, { learningRate: file.includes('-bn') ? 0.005 : 1e-4 })).loss);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! * 0.8);
    await using session = await openSession(encodeModel(await trainer.export()), { threads: 1 });
    const { logits } = await session.run({ input });
    expect(logits!.dims).toEqual([8, 10]);
  });
});

describe('constants that an exporter has merged', () => {
  it('are untied again: each normalisation layer trains and averages on its own', async () => {
    const b = new GraphBuilder();
    const ones = b.parameter('ones', Tensor.floats([1, 1]));
    const zeros = b.parameter('zeros', Tensor.floats([0, 0]));
    const copy = b.op('Identity', [ones]);
    const x = b.input('input', tensorType('float32', ['batch', 2, 3, 3]));
    const norm = (value: string, scale: string): string =>
      b.op('BatchNormalization', [value, scale, zeros, zeros, ones], { epsilon: float(1e-5) });
    const inner = b.op('Conv', [norm(x, ones), b.parameter('w', Tensor.floats([1, 2, 3, 4], [2, 2, 1, 1]))]);
    const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [b.op('Relu', [norm(inner, copy)])])]);
    const type = tensorType('float32', ['batch', 2]);
    const model = makeModel(b.graph('merged', [{ name: b.alias(pooled, 'logits'), type }]));
    const step = buildStep(model, {
      losses: [{ kind: 'cross-entropy', name: 'ce', logits: 'logits' }],
      optimizer: { kind: 'sgd' },
    });
    const images = Tensor.floats(
      Float32Array.from({ length: 72 }, () => random.normal() + 3),
      [4, 2, 3, 3],
    );
    await using trainer = await createTrainer(step, { threads: 1 });
    await trainer.run({ input: images, labels: Tensor.of('int64', [4], [0, 1, 0, 1]) }, { learningRate: 0.1 });
    const constants = await trainer.constants();
    expect(step.state.filter(({ role }) => role === 'running')).toHaveLength(4);
    expect(new Set(step.state.map(({ of }) => of)).size).toBe(step.state.length);
    expect(constants.get(copy)!.data).not.toEqual(constants.get('ones')!.data);
  });
});
