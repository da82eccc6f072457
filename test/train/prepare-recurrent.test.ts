/** @file Recurrent layers of layout 1 (batch first) train through transpositions, with the gradients of layout 0. */
import { expect, it } from 'vitest';
import { GraphBuilder, makeModel, opsetOf, tensorType, type Model } from '../../src/ir/index.js';
import { inferShapes } from '../../src/passes/index.js';
import { buildStep, createTrainer } from '../../src/train/index.js';
import { prepareForTraining } from '../../src/train/prepare.js';
import { Lcg } from './reference-net.js';

const [batch, time, features, hidden] = [3, 4, 2, 5];

/** A bidirectional LSTM on batch-first data with initial states; read at Y, Y_h and Y_c. */
function network(layout: 0 | 1): Model {
  const lcg = new Lcg(3);
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', ['batch', 'time', features]));
  const weights = [
    b.parameter('w', lcg.tensor([2, 4 * hidden, features], 0.5)),
    b.parameter('r', lcg.tensor([2, 4 * hidden, hidden], 0.5)),
    b.parameter('bias', lcg.tensor([2, 8 * hidden], 0.5)),
  ];
  const h = b.input('h', tensorType('float32', ['batch', 2, hidden]));
  const swap = (value: string, perm: readonly number[]): string =>
    layout === 1 ? value : b.op('Transpose', [value], { perm });
  const initial = swap(h, [1, 0, 2]);
  const [y, last, cell] = b.ops(
    'LSTM',
    [swap(x, [1, 0, 2]), ...weights, undefined, initial, initial],
    { hidden_size: hidden, direction: 'bidirectional', ...(layout === 1 && { layout }) },
    { outputs: 3 },
  ) as [string, string, string];
  const sum = (value: string): string => b.op('ReduceSum', [value, b.int64s([1, 2])], { keepdims: 0 });
  const parts = [
    sum(swap(y, [2, 0, 1, 3])),
    b.op('ReduceSum', [swap(last, [1, 0, 2]), b.int64s([1])], { keepdims: 0 }),
  ];
  const cells = b.op('ReduceMax', [swap(cell, [1, 0, 2]), b.int64s([1])], { keepdims: 0 });
  const out = b.alias(b.op('Sum', [...parts, cells]), 'out');
  return makeModel(b.graph('net', [{ name: out, type: tensorType('float32', ['batch', hidden]) }]), {
    opsets: new Map([['', 18]]),
  });
}

it('gives the losses of layout 0', async () => {
  const feeds = {
    x: new Lcg(5).tensor([batch, time, features], 1),
    h: new Lcg(6).tensor([batch, 2, hidden], 1),
    target: new Lcg(7).tensor([batch, hidden], 1),
  };
  const losses = async (layout: 0 | 1): Promise<readonly number[]> => {
    const step = buildStep(network(layout), {
      losses: [{ kind: 'mse', name: 'fit', prediction: 'out' }],
      optimizer: { kind: 'sgd' },
    });
    await using trainer = await createTrainer(step, { threads: 1 });
    const found: number[] = [];
    for (let i = 0; i < 5; i++) found.push((await trainer.run(feeds, { learningRate: 0.02 })).loss);
    return found;
  };
  const [first, second] = [await losses(0), await losses(1)];
  expect(first.at(-1)!).toBeLessThan(first[0]!);
  second.forEach((loss, i) => expect(loss).toBeCloseTo(first[i]!, 5));
});

it('keeps names and types, and leaves other layers alone', () => {
  const model = network(1);
  const prepared = prepareForTraining(model);
  expect(opsetOf(prepared)).toBe(18);
  expect(prepared.graph.nodes.find(({ op }) => op === 'LSTM')!.attributes.has('layout')).toBe(false);
  for (const name of ['LSTM_out', 'LSTM_out1', 'LSTM_out2'])
    expect(inferShapes(prepared).types.get(name)).toEqual(inferShapes(model).types.get(name));
  expect(prepareForTraining(network(0)).graph.nodes.filter(({ op }) => op === 'Transpose')).toHaveLength(
    network(0).graph.nodes.filter(({ op }) => op === 'Transpose').length,
  );
});
