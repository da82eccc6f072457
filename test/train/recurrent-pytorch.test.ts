/** @file Recurrent networks train as in PyTorch: the first 20 losses of a zoo model and of a network that PyTorch exported. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Tensor, type Model } from '../../src/ir/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import { buildStep, createTrainer, type OptimizerSpec } from '../../src/train/index.js';
import { characterModel, type RecurrentCell } from '../../src/zoo/recurrent.js';
import { Lcg } from './reference-net.js';

const fixtureAt = (name: string): URL => new URL(`../fixtures/${name}`, import.meta.url);
const { shape, runs } = JSON.parse(readFileSync(fixtureAt('recurrent.json'), 'utf8')) as {
  readonly shape: Readonly<Record<'vocabulary' | 'hidden' | 'layers' | 'batch' | 'time' | 'steps', number>>;
  readonly runs: Readonly<Record<string, readonly number[]>>;
};
const GATES = { RNN: 1, GRU: 3, LSTM: 4 } as const;

/** The zoo's model with the recording's weights. */
function zooModel(cell: RecurrentCell): Model {
  const { vocabulary, hidden, layers } = shape;
  const model = characterModel('reference', { vocabulary, seed: 0 }, { cell, hidden, layers });
  const lcg = new Lcg(21);
  const weights = new Map(model.graph.initializers);
  weights.set('embedding.weight', lcg.tensor([vocabulary, 64], 1));
  for (let layer = 1; layer <= layers; layer++) {
    const name = `${cell.toLowerCase()}${layer}`;
    const rows = GATES[cell] * hidden;
    weights.set(`${name}.weight_ih`, lcg.tensor([1, rows, layer === 1 ? 64 : hidden], 0.3));
    weights.set(`${name}.weight_hh`, lcg.tensor([1, rows, hidden], 0.3));
    weights.set(`${name}.bias`, lcg.tensor([1, 2 * rows], 0.3));
  }
  weights.set('fc.weight', lcg.tensor([vocabulary, hidden], 0.3));
  weights.set('fc.bias', lcg.tensor([vocabulary], 0.3));
  return { ...model, graph: { ...model.graph, initializers: weights } };
}

/** The recording's batches: every second character repeats the one before, moved by one. */
function* batches(): Generator<{ readonly tokens: Tensor; readonly labels: Tensor }> {
  const { vocabulary, batch, time, steps } = shape;
  const lcg = new Lcg(31);
  for (let step = 0; step < steps; step++) {
    const drawn = Array.from({ length: batch * (time + 1) }, () => Math.floor(lcg.next() * vocabulary));
    const rows = Array.from({ length: batch }, (_, row) => {
      const values = drawn.slice(row * (time + 1), (row + 1) * (time + 1));
      for (let t = 1; t <= time; t += 2) values[t] = (values[t - 1]! + 1) % vocabulary;
      return values;
    });
    const tensor = (from: number): Tensor =>
      Tensor.of(
        'int64',
        [batch, time],
        rows.flatMap((row) => row.slice(from, from + time)),
      );
    yield { tokens: tensor(0), labels: tensor(1) };
  }
}

const adam = { optimizer: { kind: 'adam' }, learningRate: 0.03 } as const;
const cases: readonly {
  readonly name: string;
  readonly model: () => Model;
  readonly output: string;
  readonly optimizer: OptimizerSpec;
  readonly learningRate: number;
}[] = [
  { name: 'LSTM', model: () => zooModel('LSTM'), output: 'logits', ...adam },
  {
    name: 'RNN',
    model: () => zooModel('RNN'),
    output: 'logits',
    optimizer: { kind: 'sgd', momentum: 0.9 },
    learningRate: 0.5,
  },
  {
    name: 'exported',
    model: () => decodeModel(new Uint8Array(readFileSync(fixtureAt('recurrent-export.onnx')))),
    output: 'scores',
    ...adam,
  },
];

describe.each(['native', 'wasm'] as const)('on %s', (backend) => {
  it.each(cases)('$name trains as in PyTorch', async ({ name, model, output, optimizer, learningRate }) => {
    const step = buildStep(model(), {
      losses: [{ kind: 'cross-entropy', name: 'next', logits: output, axis: -1 }],
      optimizer,
      profile: backend === 'wasm' ? 'wasm' : 'cpu',
    });
    await using trainer = await createTrainer(step, { backend, threads: 1 });
    const input = step.feeds.find(({ name: feed }) => feed !== 'labels')!.name;
    const losses: number[] = [];
    for (const { tokens, labels } of batches())
      losses.push((await trainer.run({ [input]: tokens, labels }, { learningRate })).loss);
    expect(losses).toHaveLength(20);
    losses.forEach((loss, index) => expect(Math.abs(loss / runs[name]![index]! - 1)).toBeLessThan(1e-3));
    expect(losses.at(-1)!).toBeLessThan(0.95 * losses[0]!);
  });
});
