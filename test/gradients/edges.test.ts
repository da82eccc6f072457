/** @file Edge shapes and odd indices of every family: nothing in a tensor, broadcasting both ways, repeats, ties, bounds at run time. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, makeModel, Tensor, tensorType, type AttributeInput, type Shape } from '../../src/ir/index.js';
import { appendGradients } from '../../src/passes/index.js';
import { buildCase, checkCase, distinct, f, gradientsOf, i64, runModel, values, type OpCase } from './harness.js';

const long = (dims: readonly number[], given: readonly number[]): Tensor => Tensor.of('int64', dims, given);
const bool = (dims: readonly number[], given: readonly number[]): Tensor => Tensor.of('bool', dims, given);
const END = Number.MAX_SAFE_INTEGER;

const broadcasts: readonly OpCase[] = [
  ...[
    [[2, 3], [3]],
    [
      [3, 1],
      [1, 4],
    ],
    [
      [2, 1, 4],
      [3, 1],
    ],
    [[], [2, 3]],
    [[1], []],
  ].map(([a, b]): OpCase => ({ name: `Mul [${a!.join()}]·[${b!.join()}]`, op: 'Mul', inputs: [f(...a!), f(...b!)] })),
  { name: 'Where, all three broadcast', op: 'Where', inputs: [bool([3, 1], [1, 0, 1]), f(2, 1, 4), f(4)] },
  {
    name: 'Where with a scalar',
    op: 'Where',
    inputs: [bool([2, 3], [1, 0, 1, 0, 0, 1]), f(), f(2, 3)],
    batched: [1, 2],
  },
  { name: 'Where of one condition', op: 'Where', inputs: [bool([], [0]), f(2, 3), f(2, 3)] },
  { name: 'Expand of a scalar', op: 'Expand', inputs: [f(), i64(2, 3)] },
  { name: 'Expand both ways', op: 'Expand', inputs: [f(2, 1, 3), i64(4, 1, 5, 1)], batched: [] },
  {
    name: 'Max of three, broadcast',
    op: 'Max',
    inputs: [distinct(2, 3), values([3], [0.03, 0.14, -0.37]), f(2, 1)],
    step: 1e-7,
  },
];
const picks: readonly OpCase[] = [
  { name: 'Gather negative and repeated', op: 'Gather', inputs: [f(3, 4), i64(-1, 2, -3, -1)], batched: [] },
  { name: 'Gather one by scalar', op: 'Gather', inputs: [f(3, 4), long([], [-1])], attributes: { axis: 1 } },
  {
    name: 'Gather by a matrix along the middle',
    op: 'Gather',
    inputs: [f(2, 3, 2), long([2, 2], [0, -1, 2, 2])],
    attributes: { axis: 1 },
  },
  {
    name: 'GatherElements negative and repeated',
    op: 'GatherElements',
    inputs: [f(3, 3), long([2, 3], [-1, 2, 2, 0, -1, -3])],
  },
  { name: 'GatherND negative', op: 'GatherND', inputs: [f(3, 3), long([2, 1], [-1, -1])], batched: [] },
  {
    name: 'GatherND with one batch dim',
    op: 'GatherND',
    inputs: [f(2, 3, 4), long([2, 2, 1], [1, 0, -1, 2])],
    attributes: { batch_dims: 1 },
  },
  {
    name: 'GatherND with two batch dims',
    op: 'GatherND',
    inputs: [f(2, 3, 4), long([2, 3, 1], [1, 0, 3, 2, 2, -4])],
    attributes: { batch_dims: 2 },
  },
  ...['add', 'mul', 'max', 'min'].flatMap((reduction): OpCase[] => [
    {
      name: `ScatterElements ${reduction}, negative and repeated`,
      op: 'ScatterElements',
      inputs: [
        distinct(3, 4),
        long([2, 4], [-1, 2, 0, 0, 2, 2, 0, 1]),
        values([2, 4], [0.13, -0.22, 0.37, -0.48, 0.56, 0.64, -0.77, 0.88]),
      ],
      attributes: { reduction },
      dtype: 'float32',
      step: 1e-3,
    },
    {
      name: `ScatterND ${reduction}, repeated`,
      op: 'ScatterND',
      inputs: [
        distinct(3, 4),
        long([3, 1], [2, 0, 2]),
        values([3, 4], [0.13, -0.22, 0.37, -0.48, 0.56, 0.64, -0.77, 0.88, 0.91, -0.34, 0.25, 0.71]),
      ],
      attributes: { reduction },
      dtype: 'float32',
      step: 1e-3,
      batched: [],
    },
  ]),
  {
    name: 'ScatterElements along axis 1, negative',
    op: 'ScatterElements',
    inputs: [f(2, 4), long([2, 2], [-1, 0, 2, -3]), f(2, 2)],
    attributes: { axis: 1 },
    batched: [0, 2],
  },
  {
    name: 'ScatterND of single elements',
    op: 'ScatterND',
    inputs: [f(2, 3), long([2, 2], [0, -1, 1, 0]), f(2)],
    batched: [],
  },
  { name: 'Slice backwards by two', op: 'Slice', inputs: [f(2, 7), i64(-2), i64(-END), i64(1), i64(-2)] },
  { name: 'Slice of nothing', op: 'Slice', inputs: [f(2, 4), i64(3), i64(1), i64(1)] },
  { name: 'Slice past both ends', op: 'Slice', inputs: [f(2, 4), i64(-9), i64(9), i64(1)] },
  { name: 'Split unevenly', op: 'Split', inputs: [f(2, 7)], attributes: { axis: 1, num_outputs: 3 }, outputs: 3 },
  { name: 'Split with an empty part', op: 'Split', inputs: [f(2, 3), i64(0, 3)], attributes: { axis: 1 }, outputs: 2 },
  { name: 'Concat with an empty part', op: 'Concat', inputs: [f(2, 0), f(2, 3)], attributes: { axis: 1 } },
  {
    name: 'TopK smallest, unsorted, along axis 0',
    op: 'TopK',
    inputs: [distinct(5, 3), i64(2)],
    attributes: { axis: 0, largest: 0, sorted: 0 },
    outputs: 2,
    lossOutputs: [0],
    batched: [],
  },
  {
    name: 'Compress along the last axis, short condition',
    op: 'Compress',
    inputs: [f(3, 4), bool([2], [0, 1])],
    attributes: { axis: -1 },
  },
  {
    name: 'Compress everything away',
    op: 'Compress',
    inputs: [f(3, 4), bool([3], [0, 0, 0])],
    attributes: { axis: 0 },
  },
  {
    name: 'TensorScatter circular',
    op: 'TensorScatter',
    inputs: [f(2, 3, 5, 4), f(2, 3, 3, 4), i64(4, 3)],
    attributes: { mode: 'circular' },
    opset: 24,
    batched: [0, 1],
  },
  {
    name: 'TensorScatter without starts, of axis 1',
    op: 'TensorScatter',
    inputs: [f(2, 5, 4), f(2, 3, 4)],
    attributes: { axis: 1 },
    opset: 24,
    batched: [0, 1],
  },
  {
    name: 'OneHot along axis 0, outside included',
    op: 'OneHot',
    inputs: [i64(1, -1, 9), Tensor.scalar('int64', 4), f(2)],
    attributes: { axis: 0 },
    dtype: 'float32',
    batched: [],
  },
  {
    name: 'Range downwards',
    op: 'Range',
    inputs: [values([], [2.1]), { ...values([], [-1]), constant: true }, values([], [-0.7])],
  },
  { name: 'OptionalGetElement of a tensor', op: 'OptionalGetElement', inputs: [f(2, 3)] },
];
const runs: readonly OpCase[] = [
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].flatMap((reverse): OpCase[] => {
      const attributes = { exclusive, reverse };
      return [
        {
          name: `CumSum from the back axis, ${exclusive}${reverse}`,
          op: 'CumSum',
          inputs: [f(2, 4), long([], [-1])],
          attributes,
        },
        {
          name: `CumProd ${exclusive}${reverse}`,
          op: 'CumProd',
          inputs: [f(2, 4), long([], [1])],
          attributes,
          opset: 26,
        },
        {
          name: `CumProd with zeros ${exclusive}${reverse}`,
          op: 'CumProd',
          inputs: [values([2, 5], [0, 2, 3, 0, 1, 2, -1, 0, 4, 3]), long([], [-1])],
          attributes,
          opset: 26,
        },
      ];
    }),
  ),
  { name: 'Tile threefold of rank 3', op: 'Tile', inputs: [f(2, 1, 3), i64(3, 2, 1)], batched: [] },
  { name: 'Tile to nothing', op: 'Tile', inputs: [f(2, 3), i64(1, 0)] },
  ...[-3, -1, 0, 2, 9].flatMap((k) =>
    [0, 1].map((upper): OpCase => ({
      name: `Trilu k ${k} upper ${upper}`,
      op: 'Trilu',
      inputs: [f(2, 3, 4), long([], [k])],
      attributes: { upper },
    })),
  ),
  ...['reflect', 'edge', 'wrap'].map((mode): OpCase => ({
    name: `Pad ${mode}, cut on one side`,
    op: 'Pad',
    inputs: [f(2, 5), i64(0, -1, 0, 2)],
    attributes: { mode },
    opset: 19,
  })),
  { name: 'Pad of a chosen axis, negative', op: 'Pad', inputs: [f(2, 5), i64(-1, 2), undefined, i64(-1)] },
  ...[
    'ii->i',
    'ii',
    'iij->j',
    'bii,bi->b',
    'iij,k->k',
    'ij,ij,j->i',
    '...ij,jk->...ik',
    'i...,i...->...',
    'bij,bkj->bik',
    'i,j->',
    'ij->',
    ',i->i',
  ].map((equation): OpCase => {
    const sizes: Readonly<Record<string, number>> = { b: 2, i: 3, j: 4, k: 2 };
    const inputs = equation
      .split('->')[0]!
      .split(',')
      .map((term) => {
        const dims = [...term.replace('...', '.')].flatMap((letter) => (letter === '.' ? [2, 2] : [sizes[letter]!]));
        return f(...dims);
      });
    return { name: `Einsum ${equation}`, op: 'Einsum', inputs, attributes: { equation }, batched: [] };
  }),
  {
    name: 'Einsum of a broadcast ellipsis',
    op: 'Einsum',
    inputs: [f(1, 3, 4), f(2, 4, 2)],
    attributes: { equation: '...ij,...jk->...ik' },
    batched: [],
  },
  ...['LayerNormalization', 'RMSNormalization', 'SimplifiedLayerNormalization'].flatMap((op): OpCase[] => [
    {
      name: `${op} from axis 1`,
      op,
      inputs: [f(2, 3, 4), f(3, 4)],
      attributes: { axis: 1 },
      opset: op === 'RMSNormalization' ? 23 : 18,
    },
    { name: `${op} of one element`, op, inputs: [f(3, 1), f(1)], opset: op === 'RMSNormalization' ? 23 : 18 },
  ]),
  {
    name: 'LayerNormalization read by its mean and deviation',
    op: 'LayerNormalization',
    inputs: [f(2, 3, 4), f(4), f(4)],
    outputs: 3,
    dtype: 'float32',
  },
  {
    name: 'LayerNormalization read by its deviation alone',
    op: 'LayerNormalization',
    inputs: [f(2, 3, 4), f(4)],
    outputs: 3,
    lossOutputs: [2],
    dtype: 'float32',
  },
  {
    name: 'MeanVarianceNormalization along chosen axes',
    op: 'MeanVarianceNormalization',
    inputs: [f(2, 3, 4)],
    attributes: { axes: [1, -1] },
    dtype: 'float32',
  },
  {
    name: 'GroupNormalization of one group',
    op: 'GroupNormalization',
    inputs: [f(2, 4, 3), f(4), f(4)],
    attributes: { num_groups: 1 },
    opset: 21,
    dtype: 'float32',
  },
  {
    name: 'GroupNormalization of single channels',
    op: 'GroupNormalization',
    inputs: [f(2, 4, 3, 2), f(4), f(4)],
    attributes: { num_groups: 4 },
    opset: 21,
    dtype: 'float32',
  },
  {
    name: 'Mod of floats',
    op: 'Mod',
    inputs: [values([4], [5.3, -5.3, 5.3, -5.3]), values([4], [3, 3, -3, -3])],
    attributes: { fmod: 1 },
    batched: [],
  },
  ...[1, 2, 3].map((p): OpCase => ({
    name: `GlobalLpPool ${p}`,
    op: 'GlobalLpPool',
    inputs: [f(2, 3, 4, 2)],
    attributes: { p },
    dtype: 'float32',
  })),
  ...[1, 2, 3].map((p): OpCase => ({
    name: `LpPool ${p} overlapping`,
    op: 'LpPool',
    inputs: [f(2, 3, 5, 4)],
    attributes: { p, kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 0] },
    dtype: 'float32',
  })),
  { name: 'ReduceProd with two zeros', op: 'ReduceProd', inputs: [values([2, 3], [0, 2, 0, 0, 2, 3]), i64(1)] },
  { name: 'Swish', op: 'Swish', inputs: [f(3, 4)], opset: 24 },
  {
    name: 'Swish, α −1.5',
    op: 'Swish',
    inputs: [f(3, 4)],
    attributes: { alpha: { type: 'float', value: -1.5 } },
    opset: 24,
  },
];
const signals: readonly OpCase[] = [
  ...[5, 6].flatMap((n): OpCase[] => [
    ...[1, 2].flatMap((parts) =>
      [0, 1].map((inverse): OpCase => ({
        name: `DFT of ${n}, ${parts} parts, inverse ${inverse}`,
        op: 'DFT',
        inputs: [f(2, n, parts)],
        attributes: { axis: 1, inverse },
      })),
    ),
    { name: `DFT of ${n}, one-sided`, op: 'DFT', inputs: [f(2, n, 1)], attributes: { axis: 1, onesided: 1 } },
    {
      name: `DFT one-sided back to ${n}`,
      op: 'DFT',
      inputs: [f(2, Math.floor(n / 2) + 1, 2), Tensor.scalar('int64', n)],
      attributes: { axis: 1, onesided: 1, inverse: 1 },
    },
    {
      name: `DFT of 5 at length ${n}`,
      op: 'DFT',
      inputs: [f(2, 5, 2), Tensor.scalar('int64', n)],
      attributes: { axis: 1 },
    },
  ]),
  { name: 'DFT of opset 20 along the default axis', op: 'DFT', inputs: [f(2, 3, 4, 2)], opset: 20 },
  { name: 'STFT with a trained window', op: 'STFT', inputs: [f(2, 14, 1), Tensor.scalar('int64', 3), f(8)] },
  {
    name: 'STFT without window, whole',
    op: 'STFT',
    inputs: [f(2, 14, 1), Tensor.scalar('int64', 3), undefined, Tensor.scalar('int64', 8)],
    attributes: { onesided: 0 },
  },
  { name: 'STFT of opset 20', op: 'STFT', inputs: [f(2, 14, 1), Tensor.scalar('int64', 4), f(8)], opset: 20 },
  ...[1, 2, 3, 4].map((n): OpCase => ({
    name: `Det of ${n}×${n}`,
    op: 'Det',
    inputs: [f(2, n, n)],
    dtype: 'float32',
    step: 1e-2,
  })),
  {
    name: 'Det of a singular matrix',
    op: 'Det',
    inputs: [values([2, 2], [1, 2, 2, 4])],
    dtype: 'float32',
    batched: [],
  },
];

describe('gradients at the edges', () => {
  it.each([...broadcasts, ...picks, ...runs, ...signals])('$name', (test) => checkCase(test));
});

/** Operators by family, with a tensor that holds nothing along its first axis. */
const empties: readonly (Omit<OpCase, 'name'> & { readonly name?: string })[] = [
  { op: 'Mul', inputs: [f(0, 3), f(3)] },
  { op: 'Where', inputs: [bool([0, 3], []), f(0, 3), f(3)] },
  { op: 'MatMul', inputs: [f(0, 3), f(3, 2)] },
  { op: 'Gemm', inputs: [f(0, 3), f(3, 2), f(2)] },
  { op: 'ReduceSum', inputs: [f(0, 3), i64(0)] },
  { op: 'Softmax', inputs: [f(0, 3)] },
  { op: 'LayerNormalization', inputs: [f(0, 3), f(3), f(3)] },
  { op: 'Gather', inputs: [f(4, 3), long([0], [])] },
  { op: 'GatherElements', inputs: [f(4, 3), long([0, 3], [])] },
  { op: 'ScatterND', inputs: [f(4, 3), long([0, 1], []), f(0, 3)] },
  { op: 'Concat', inputs: [f(0, 3), f(2, 3)], attributes: { axis: 0 } },
  { op: 'Transpose', inputs: [f(0, 3)] },
  { op: 'Reshape', inputs: [f(0, 3), i64(3, 0)], attributes: { allowzero: 1 } },
  { op: 'Slice', inputs: [f(0, 3), i64(0), i64(2), i64(1)] },
  { op: 'Expand', inputs: [f(0, 1), i64(0, 3)] },
  { op: 'Relu', inputs: [f(0, 3)], dtype: 'float32' },
];
describe('gradients of nothing have the shape of nothing', () => {
  it.each(empties.map((test) => ({ name: test.op, ...test })))('$name', async (test) => {
    const built = await buildCase(test, test.dtype ?? 'float64');
    for (const [name, gradient] of await gradientsOf(built)) {
      expect(gradient.dims, name).toEqual(built.feeds[name]!.dims);
      expect(
        gradient.numbers().every((value) => Number.isFinite(value)),
        name,
      ).toBe(true);
    }
  });
});

/** One graph differentiated once with symbols, run at two sizes; the gradients must be those of the graph with that size fixed. */
async function checkSizes(
  build: (b: GraphBuilder, x: string) => string,
  shape: Shape,
  sizes: readonly Readonly<Record<string, number>>[],
): Promise<void> {
  const modelAt = (dims: Shape): ReturnType<typeof makeModel> => {
    const b = new GraphBuilder();
    const y = build(b, b.input('x', tensorType('float32', dims)));
    const loss = b.op('ReduceSum', [b.op('Mul', [y, b.op('Sin', [y])])], { keepdims: 0 });
    const model = makeModel(b.graph('sizes', [{ name: loss, type: tensorType('float32', []) }]), {
      opsets: new Map([['', 20]]),
    });
    const { graph, gradients } = appendGradients(model, loss, ['x']);
    return { ...model, graph: { ...graph, outputs: [{ name: gradients.get('x')!, type: undefined }] } };
  };
  const symbolic = modelAt(shape);
  for (const size of sizes) {
    const dims = shape.map((dim) => (typeof dim === 'string' ? size[dim]! : dim!));
    const data = Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7) + 0.1);
    const x = Tensor.floats(data, dims);
    const [found] = Object.values(await runModel(symbolic, { x }));
    const [expected] = Object.values(await runModel(modelAt(dims), { x }));
    expect(found!.dims).toEqual(dims);
    found!.numbers().forEach((value, i) => expect(value).toBeCloseTo(expected!.numbers()[i]!, 4));
  }
}
const op =
  (
    name: string,
    attributes: Readonly<Record<string, AttributeInput>> = {},
    ...more: ((b: GraphBuilder, x: string) => string)[]
  ) =>
  (b: GraphBuilder, x: string): string =>
    b.op(name, [x, ...more.map((make) => make(b, x))], attributes);
const length =
  (axis: number) =>
  (b: GraphBuilder, x: string): string =>
    b.op('Shape', [x], { start: axis, end: axis + 1 });
const half =
  (axis: number) =>
  (b: GraphBuilder, x: string): string =>
    b.op('Div', [length(axis)(b, x), b.int64s([2])]);
const ints =
  (...given: number[]) =>
  (b: GraphBuilder): string =>
    b.int64s(given);
const families: Readonly<Record<string, (b: GraphBuilder, x: string) => string>> = {
  'matrix products': (b, x) => b.op('MatMul', [x, b.op('Transpose', [x], { perm: [0, 2, 1] })]),
  'a product with a shared matrix': op('MatMul', {}, (b) =>
    b.constant(Tensor.floats([1, 2, 3, 4, 5, 6, 7, 8], [4, 2])),
  ),
  Softmax: op('Softmax', { axis: 1 }),
  LayerNormalization: op('LayerNormalization', {}, (b) => b.constant(Tensor.floats([1, 2, 3, 4]))),
  'reductions over a symbolic axis': op('ReduceMean', { keepdims: 0 }, ints(1)),
  ReduceMax: op('ReduceMax', { keepdims: 1 }, ints(1)),
  'Slice with bounds from a shape': op('Slice', {}, half(1), length(1), ints(1)),
  'Slice to a bound from a shape': op('Slice', {}, ints(0), half(1), ints(1)),
  'Slice backwards by two along a symbolic axis': op('Slice', {}, ints(-1), ints(-END), ints(1), ints(-2)),
  'Slice by two from a bound of a shape': op('Slice', {}, half(1), length(1), ints(1), ints(2)),
  'Tile by a shape': op('Tile', {}, (b, x) =>
    b.op('Concat', [b.int64s([1]), half(1)(b, x), b.int64s([2])], { axis: 0 }),
  ),
  'Pad by a shape': op('Pad', {}, (b, x) =>
    b.op('Concat', [b.int64s([0]), half(1)(b, x), b.int64s([0, 0]), length(0)(b, x), b.int64s([1])], { axis: 0 }),
  ),
  'Expand to a shape': (b, x) =>
    b.op('Expand', [
      b.op('Unsqueeze', [x, b.int64s([1])]),
      b.op('Concat', [b.int64s([1]), length(0)(b, x), b.int64s([1, 1])], { axis: 0 }),
    ]),
  'Gather by a range': op('Gather', { axis: 1 }, (b, x) => {
    const zero = b.constant(Tensor.scalar('int64', 0));
    return b.op('Range', [zero, b.op('Squeeze', [half(1)(b, x)]), b.constant(Tensor.scalar('int64', 1))]);
  }),
  'Reshape through a product of symbols': (b, x) =>
    b.op('Reshape', [b.op('Reshape', [x, b.int64s([-1, 4])]), b.op('Shape', [x])]),
  'Concat and Split': (b, x) => b.op('Concat', [x, b.op('Neg', [x])], { axis: 1 }),
  CumSum: op('CumSum', {}, (b) => b.constant(Tensor.scalar('int64', 1))),
  Trilu: op('Trilu', {}),
  Einsum: (b, x) => b.op('Einsum', [x, x], { equation: 'bid,bjd->bij' }),
  Where: (b, x) => b.op('Where', [b.op('Greater', [x, b.scalar(0)]), x, b.op('Mul', [x, b.scalar(3)])]),
  TopK: (b, x) => b.ops('TopK', [x, b.int64s([2])], { axis: 1 }, { outputs: 2 })[0]!,
  CenterCropPad: op('CenterCropPad', { axes: [1] }, half(1)),
  'causal attention': (b, x) => {
    const n = b.op('Squeeze', [length(1)(b, x)]);
    const places = b.op('Range', [b.constant(Tensor.scalar('int64', 0)), n, b.constant(Tensor.scalar('int64', 1))]);
    const allowed = b.op('GreaterOrEqual', [b.op('Unsqueeze', [places, b.int64s([1])]), places]);
    const scores = b.op('MatMul', [x, b.op('Transpose', [x], { perm: [0, 2, 1] })]);
    return b.op('MatMul', [b.op('Softmax', [b.op('Where', [allowed, scores, b.scalar(-1e9)])]), x]);
  },
};
describe('batch and sequence length stay symbolic', () => {
  it.each(Object.entries(families))('%s', async (_, build) => {
    await checkSizes(
      build,
      ['batch', 'length', 4],
      [
        { batch: 2, length: 6 },
        { batch: 3, length: 4 },
      ],
    );
  });
});
