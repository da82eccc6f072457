/** @file Gradients of operators that move, repeat, pick or join elements, against central differences. */
import { describe, expect, it } from 'vitest';
import { Tensor } from '../../src/ir/index.js';
import { buildCase, checkCase, distinct, f, i64, runModel, type OpCase } from './harness.js';

const END = Number.MAX_SAFE_INTEGER;
const bools = (...given: number[]): Tensor => Tensor.of('bool', [], given);

const shapes: readonly OpCase[] = [
  { name: 'Reshape', op: 'Reshape', inputs: [f(2, 3, 4), i64(0, -1)] },
  { name: 'Flatten', op: 'Flatten', inputs: [f(2, 3, 4)] },
  { name: 'Flatten axis 0', op: 'Flatten', inputs: [f(2, 3, 4)], attributes: { axis: 0 } },
  { name: 'Squeeze', op: 'Squeeze', inputs: [f(2, 1, 3, 1), i64(1, -1)] },
  { name: 'Unsqueeze', op: 'Unsqueeze', inputs: [f(2, 3), i64(0, -1)] },
  { name: 'Transpose', op: 'Transpose', inputs: [f(2, 3, 4)], attributes: { perm: [2, 0, 1] } },
  { name: 'Transpose default', op: 'Transpose', inputs: [f(2, 3, 4)] },
  { name: 'Expand', op: 'Expand', inputs: [f(3, 1), i64(2, 1, 4)] },
  { name: 'Expand nothing', op: 'Expand', inputs: [f(2, 3), i64(1, 1)] },
  { name: 'Tile', op: 'Tile', inputs: [f(2, 3, 1), i64(2, 1, 4)] },
  { name: 'Tile once', op: 'Tile', inputs: [f(2, 3), i64(1, 1)] },
  { name: 'Identity', op: 'Identity', inputs: [f(2, 3)] },
  { name: 'Cast to float32', op: 'Cast', inputs: [f(2, 3)], attributes: { to: 1 }, dtype: 'float32', step: 0.5 },
];
const joins: readonly OpCase[] = [
  { name: 'Concat axis 1', op: 'Concat', inputs: [f(2, 3), f(2, 1), f(2, 2)], attributes: { axis: 1 } },
  { name: 'Concat axis −2', op: 'Concat', inputs: [f(3, 2), f(1, 2)], attributes: { axis: -2 }, batched: [0, 1] },
  { name: 'Concat of one', op: 'Concat', inputs: [f(2, 3)], attributes: { axis: 0 } },
  { name: 'Split equally', op: 'Split', inputs: [f(2, 6)], attributes: { axis: 1, num_outputs: 3 }, outputs: 3 },
  {
    name: 'Split by sizes, one part unused',
    op: 'Split',
    inputs: [f(2, 6), i64(1, 2, 3)],
    attributes: { axis: -1 },
    outputs: 3,
    lossOutputs: [0, 2],
  },
];
const picks: readonly OpCase[] = [
  { name: 'Slice', op: 'Slice', inputs: [f(4, 5), i64(1, 0), i64(3, 4), i64(0, 1)], batched: [] },
  { name: 'Slice behind a symbolic batch', op: 'Slice', inputs: [f(2, 5), i64(-4), i64(-1), i64(1)] },
  { name: 'Slice of a symbolic batch', op: 'Slice', inputs: [f(4, 3), i64(1), i64(END), i64(0)] },
  { name: 'Slice of a symbolic batch from its end', op: 'Slice', inputs: [f(4, 3), i64(-3), i64(-1), i64(0)] },
  { name: 'Slice with steps', op: 'Slice', inputs: [f(2, 7, 6), i64(1, 5), i64(END, 0), i64(1, 2), i64(2, -2)] },
  { name: 'Slice reversed', op: 'Slice', inputs: [f(2, 4), i64(-1), i64(-END), i64(1), i64(-1)] },
  { name: 'Slice without axes', op: 'Slice', inputs: [f(4, 3), i64(1, 1), i64(END, 3)], batched: [] },
  { name: 'Gather rows, repeated', op: 'Gather', inputs: [f(4, 3), i64(1, 3, 1)], batched: [] },
  {
    name: 'Gather axis 1, repeated, negative',
    op: 'Gather',
    inputs: [f(2, 4, 3), i64(1, -1, 1)],
    attributes: { axis: 1 },
  },
  { name: 'Gather axis 1, distinct', op: 'Gather', inputs: [f(2, 4, 3), i64(3, 0)], attributes: { axis: 1 } },
  { name: 'Gather scalar', op: 'Gather', inputs: [f(2, 4, 3), Tensor.scalar('int64', -2)], attributes: { axis: 1 } },
  {
    name: 'Gather matrix of indices',
    op: 'Gather',
    inputs: [f(2, 4, 3), Tensor.of('int64', [2, 2], [0, 2, 2, 1])],
    attributes: { axis: 2 },
  },
  { name: 'Gather int32 indices', op: 'Gather', inputs: [f(4, 3), Tensor.of('int32', [2, 2], [0, 2, 2, 1])] },
  {
    name: 'GatherElements',
    op: 'GatherElements',
    inputs: [f(3, 3), Tensor.of('int64', [3, 2], [0, 0, 2, 1, -1, 1])],
    attributes: { axis: 1 },
  },
  { name: 'GatherND', op: 'GatherND', inputs: [f(3, 3, 2), Tensor.of('int64', [3, 2], [0, 1, 2, 2, 0, 1])] },
  { name: 'ScatterElements', op: 'ScatterElements', inputs: [f(3, 3), Tensor.of('int64', [1, 2], [2, 0]), f(1, 2)] },
  {
    name: 'ScatterElements add',
    op: 'ScatterElements',
    inputs: [f(3, 3), Tensor.of('int64', [2, 2], [2, 0, 2, 1]), f(2, 2)],
    attributes: { reduction: 'add' },
  },
  { name: 'ScatterND', op: 'ScatterND', inputs: [f(4, 3), Tensor.of('int64', [2, 1], [2, 0]), f(2, 3)] },
  { name: 'TopK', op: 'TopK', inputs: [distinct(2, 5), i64(2)], outputs: 2, lossOutputs: [0] },
];
const pads: readonly OpCase[] = [
  { name: 'Pad constant', op: 'Pad', inputs: [f(2, 3, 4), i64(0, 1, 2, 0, 0, 1)] },
  { name: 'Pad constant, trained value', op: 'Pad', inputs: [f(2, 3), i64(0, 1, 1, 2), f()] },
  { name: 'Pad negative', op: 'Pad', inputs: [f(2, 5), i64(0, -1, 0, 2)] },
  { name: 'Pad chosen axes', op: 'Pad', inputs: [f(2, 3, 4), i64(1, 2, 0, 1), undefined, i64(-1, 1)] },
  ...['reflect', 'edge', 'wrap'].map((mode): OpCase => ({
    name: `Pad ${mode}`,
    op: 'Pad',
    inputs: [f(2, 3, 4, 4), i64(0, 1, 2, 0, 0, 2, 1, 3)],
    attributes: { mode },
    opset: 19,
  })),
];
const resized: readonly OpCase[] = [
  'half_pixel',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
  'half_pixel_symmetric',
].flatMap((coordinates): OpCase[] =>
  ['nearest', 'linear'].flatMap((mode): OpCase[] =>
    [i64(7, 5), i64(2, 1), i64(6, 8)].map((sizes): OpCase => ({
      name: `Resize ${mode} ${coordinates} to ${sizes.numbers().join('×')}`,
      op: 'Resize',
      inputs: [f(2, 2, 3, 4), undefined, undefined, sizes],
      attributes: { mode, coordinate_transformation_mode: coordinates, axes: [2, 3] },
      opset: 19,
      dtype: 'float32',
      step: 0.5,
      tolerance: 1e-4,
    })),
  ),
);
const scaled: readonly OpCase[] = ['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'].map((nearest) => ({
  name: `Resize nearest ${nearest} by scales`,
  op: 'Resize',
  inputs: [f(2, 2, 3, 4), undefined, Tensor.floats([1, 1, 2, 1.6])],
  attributes: { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: nearest },
  dtype: 'float32',
  step: 0.5,
  tolerance: 1e-4,
}));
const others: readonly OpCase[] = [
  { name: 'DepthToSpace DCR', op: 'DepthToSpace', inputs: [f(2, 8, 2, 3)], attributes: { blocksize: 2 } },
  { name: 'DepthToSpace CRD', op: 'DepthToSpace', inputs: [f(2, 8, 2, 3)], attributes: { blocksize: 2, mode: 'CRD' } },
  { name: 'SpaceToDepth', op: 'SpaceToDepth', inputs: [f(2, 2, 4, 6)], attributes: { blocksize: 2 } },
  { name: 'Trilu', op: 'Trilu', inputs: [f(2, 3, 4), Tensor.scalar('int64', 1)], attributes: { upper: 0 } },
  { name: 'ReverseSequence', op: 'ReverseSequence', inputs: [f(4, 3), i64(2, 4, 1)] },
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].map((reverse): OpCase => ({
      name: `CumSum exclusive ${exclusive} reverse ${reverse}`,
      op: 'CumSum',
      inputs: [f(2, 4), Tensor.scalar('int64', 1)],
      attributes: { exclusive, reverse },
    })),
  ),
  { name: 'Dropout inference', op: 'Dropout', inputs: [f(2, 3)] },
  {
    name: 'Dropout not training',
    op: 'Dropout',
    inputs: [f(2, 3), Tensor.scalar('float32', 0.4), bools(0)],
    outputs: 2,
    lossOutputs: [0],
  },
  ...['ij,jk->ik', 'bij,bjk->bik', 'ij,ij->', 'ij->ji', 'ij,kj->ik', 'ij->i', 'ij,jk'].map((equation): OpCase => {
    const sizes: Readonly<Record<string, number>> = { b: 2, i: 3, j: 4, k: 2 };
    const inputs = equation
      .split('->')[0]!
      .split(',')
      .map((term) => f(...[...term].map((letter) => sizes[letter]!)));
    return { name: `Einsum ${equation}`, op: 'Einsum', inputs, attributes: { equation }, batched: [] };
  }),
];

// Each of these is linear in its inputs, so that central differences are exact up to rounding.
describe('gradient of movement', () => {
  it.each([...shapes, ...joins, ...picks, ...pads, ...resized, ...scaled, ...others])('$name', (test) =>
    checkCase(test),
  );
});

describe('gradient of Dropout in training', () => {
  it('passes through the mask that was drawn', async () => {
    const test: OpCase = {
      name: 'Dropout',
      op: 'Dropout',
      inputs: [f(6, 7), Tensor.scalar('float32', 0.4), bools(1)],
      outputs: 2,
      lossOutputs: [0],
    };
    const seed = Tensor.floats(
      Array.from({ length: 42 }, (_, i) => i + 1),
      [6, 7],
    );
    const built = await buildCase(test, 'float32', { seeds: [seed] });
    const [gradient] = built.gradients.values();
    const mask = built.backward.graph.nodes.find((node) => node.op === 'Dropout')!.outputs[1]!;
    const graph = { ...built.backward.graph, outputs: [gradient!, mask].map((name) => ({ name, type: undefined })) };
    const result = await runModel({ ...built.backward, graph }, built.feeds);
    const kept = [...result[mask]!.bytes];
    expect(new Set(kept)).toEqual(new Set([0, 1]));
    result[gradient!]!.numbers().forEach((value, i) => expect(value).toBeCloseTo((kept[i]! * (i + 1)) / 0.6, 4));
  });
});
