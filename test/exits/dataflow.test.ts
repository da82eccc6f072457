/** @file Cutting a graph at targets: what each part runs, what crosses, what is computed again. */
import { expect, test } from 'vitest';
import { batchAxisOf, Dataflow } from '../../src/exits/dataflow.js';
import { GraphBuilder, makeModel, tensorType, type Model } from '../../src/ir/index.js';
import { inferShapes } from '../../src/passes/index.js';

/** relu → sigmoid, both read by a sum; the batch size of relu, as a shape vector, is used before and after the cut. */
function network(): { readonly model: Model; readonly names: Readonly<Record<string, string>> } {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', ['n', 4, 2]));
  const relu = b.op('Relu', [x]);
  const size = b.op('Shape', [relu]);
  const first = b.op('Reshape', [relu, size], {}, { name: 'first' });
  const sigmoid = b.op('Sigmoid', [first]);
  const sum = b.op('Add', [sigmoid, relu]);
  const last = b.op('Reshape', [sum, size], {}, { name: 'last' });
  const model = makeModel(b.graph('g', [first, last]));
  return { model, names: { x, relu, size, first, sigmoid, sum, last } };
}

test('a part has what no earlier part computed; shape vectors are computed again, never carried', () => {
  const { model, names } = network();
  const flow = new Dataflow(model.graph, inferShapes(model).types, 'n');
  const [early, late] = flow.parts([names.first!, names.last!]);
  const ops = (part: typeof early): readonly string[] => part!.nodes.map((node) => node.op);
  expect(ops(early)).toEqual(['Relu', 'Shape', 'Reshape']);
  expect(ops(late)).toEqual(['Shape', 'Sigmoid', 'Add', 'Reshape']);
  expect(early!.inputs).toEqual(['x']);
  expect(new Set(early!.carried)).toEqual(new Set([names.relu, names.first]));
  expect(new Set(late!.inputs)).toEqual(new Set([names.relu, names.first]));
  expect(late!.carried).toEqual([]);
  const before = flow.ancestors([names.first!]);
  expect(flow.frontier(before, names.last!)).toEqual([names.relu, names.first]);
});

test('a value crosses where one axis is the batch and the others are fixed', () => {
  expect(batchAxisOf(tensorType('float32', ['n', 3, 4]), 'n')).toBe(0);
  expect(batchAxisOf(tensorType('float32', [3, 'n']), 'n')).toBe(1);
  expect(batchAxisOf(tensorType('float32', ['n', 'n']), 'n')).toBeUndefined();
  expect(batchAxisOf(tensorType('float32', ['2*n', 3]), 'n')).toBeUndefined();
  expect(batchAxisOf(tensorType('float32', ['n', null]), 'n')).toBeUndefined();
  expect(batchAxisOf(tensorType('int64', [3]), 'n')).toBeUndefined();
  expect(batchAxisOf(undefined, 'n')).toBeUndefined();
});
