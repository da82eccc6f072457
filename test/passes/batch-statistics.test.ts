/** @file BatchNormalization written out gives what ONNX Runtime's own training form gives. */
import { describe, expect, test } from 'vitest';
import { float, GraphBuilder, int, makeModel, makeNode, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { writeOutBatchStatistics } from '../../src/passes/index.js';
import { openSession } from '../../src/runtime/index.js';

const channels = 3;

/** A node in training form with its statistics as outputs; each constant has contents of its own, for ORT writes over them. */
function model(dims: readonly number[], momentum: number, opset: number): Model {
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', dims));
  const vector = (name: string, from: number): string =>
    b.parameter(name, Tensor.floats([from, from + 0.5, from + 1.5], [channels]));
  b.add(
    makeNode({
      name: 'norm',
      op: 'BatchNormalization',
      inputs: ['x', vector('scale', 1), vector('bias', -1), vector('mean', 0.25), vector('variance', 0.75)],
      outputs: ['y', 'mean_out', 'variance_out'],
      attributes: new Map([
        ['momentum', float(momentum)],
        ['epsilon', float(1e-3)],
        ['training_mode', int(1)],
      ]),
    }),
  );
  const type = tensorType('float32', [channels]);
  const outputs = [
    { name: 'y', type: tensorType('float32', dims) },
    { name: 'mean_out', type },
    { name: 'variance_out', type },
  ];
  return makeModel(b.graph('norm', outputs), { opsets: new Map([['', opset]]) });
}

async function run(given: Model, x: Tensor): Promise<Record<string, number[]>> {
  await using session = await openSession(given, { backend: 'native', threads: 1 });
  const outputs = await session.run({ x });
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { data }]) => [name, Array.from(data as Float32Array)]),
  );
}

describe.each([
  [[5, channels], 0, 18],
  [[2, channels, 7], 0.9, 18],
  [[4, channels, 3, 5], 0, 17],
  [[4, channels, 3, 5], 0.25, 18],
  [[2, channels, 2, 3, 2], 0.9, 15],
] as const)('an input of shape %j, momentum %d, opset %d', (dims, momentum, opset) => {
  test('has the same outputs', async () => {
    const size = dims.reduce((product, dim) => product * dim, 1);
    const x = Tensor.floats(
      Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7) * 3 + (i % 4)),
      dims,
    );
    const given = model(dims, momentum, opset);
    const { model: written, changed } = writeOutBatchStatistics(given);
    expect(changed).toBe(true);
    expect(written.graph.nodes.some(({ attributes }) => attributes.has('training_mode'))).toBe(false);
    const [expected, found] = [await run(given, x), await run(written, x)];
    for (const [name, values] of Object.entries(expected))
      values.forEach((value, i) => expect(found[name]![i], `${name}[${i}]`).toBeCloseTo(value, 4));
  });
});

test('a model without such a node is the same object', () => {
  const given = model([2, channels], 0, 18);
  const plain = { ...given, graph: { ...given.graph, nodes: [] } };
  expect(writeOutBatchStatistics(plain)).toEqual({ model: plain, changed: false });
});
