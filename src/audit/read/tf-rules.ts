/** @file Shapes and small integer values of TensorFlow's operators, as far as layers with weights need them. */
import type { TfNode } from './tf-attributes.js';
import {
  broadcast,
  concatenated,
  elementsOf,
  matrixProduct,
  paddedCount,
  reshaped,
  transposed,
  windowCount,
  type Shape,
} from './shape-rules.js';

/** What is known of a value while a graph is walked. */
export interface TfValue {
  readonly shape?: Shape | undefined;
  readonly dtype?: string | undefined;
  /** Values, where it is a small integer tensor that can be computed. */
  readonly numbers?: readonly number[] | undefined;
  /** Where it comes from, if it is a constant or a variable. */
  readonly weight?: { readonly name: string; readonly bytes?: Uint8Array } | undefined;
}

type Rule = (node: TfNode, inputs: readonly TfValue[]) => readonly TfValue[];
type One = (node: TfNode, input: Shape, inputs: readonly TfValue[]) => Shape | undefined;

const keep: Rule = (_, [input]) => [input ? { shape: input.shape, dtype: input.dtype } : {}];
/** The same value under another name. */
const pass: Rule = (_, [input]) => [input ?? {}];
const shaped =
  (rule: One): Rule =>
  (node, inputs) => [{ shape: inputs[0]?.shape && rule(node, inputs[0].shape, inputs), dtype: inputs[0]?.dtype }];

/** Whether a node's data has its channels second. */
export function isChannelsFirst(node: TfNode): boolean {
  return node.attributes.text('data_format').startsWith('NC');
}

/** A window over two spatial axes, in the data format of the node. */
function windowed(node: TfNode, input: Shape, kernel: readonly [number, number], channels: number): Shape | undefined {
  if (input.length !== 4) return undefined;
  const first = isChannelsFirst(node);
  const axes: readonly [number, number] = first ? [2, 3] : [1, 2];
  const [strides, dilations] = [node.attributes.numbers('strides'), node.attributes.numbers('dilations')];
  const padding = node.attributes.text('padding');
  const explicit = node.attributes.numbers('explicit_paddings');
  const [height, width] = axes.map((axis, i) => {
    const [stride, dilation] = [strides[axis] ?? 1, dilations[axis] ?? 1];
    if (padding === 'EXPLICIT')
      return windowCount(input[axis]!, {
        kernel: kernel[i]!,
        stride,
        dilation,
        pad: (explicit[2 * axis] ?? 0) + (explicit[2 * axis + 1] ?? 0),
      });
    return paddedCount(input[axis]!, kernel[i]!, stride, dilation, padding === 'SAME' ? 'SAME' : 'VALID');
  });
  return first ? [input[0]!, channels, height!, width!] : [input[0]!, height!, width!, channels];
}

const convolved: One = (node, input, [, filter]) => {
  const kernel = filter?.shape;
  return kernel?.length === 4 ? windowed(node, input, [kernel[0]!, kernel[1]!], kernel[3]!) : undefined;
};
const depthwise: One = (node, input, [, filter]) => {
  const kernel = filter?.shape;
  return kernel?.length === 4 ? windowed(node, input, [kernel[0]!, kernel[1]!], kernel[2]! * kernel[3]!) : undefined;
};
const pooled: One = (node, input) => {
  const size = node.attributes.numbers('ksize');
  const first = isChannelsFirst(node);
  return windowed(
    node,
    input,
    first ? [size[2] ?? 1, size[3] ?? 1] : [size[1] ?? 1, size[2] ?? 1],
    input[first ? 1 : 3] ?? 0,
  );
};

const joined: Rule = (_, [a, b]) => [
  { shape: a?.shape && b?.shape && broadcast(a.shape, b.shape), dtype: a?.dtype, ...arithmetic(_, a, b) },
];

/** Arithmetic on sizes, as shapes are computed in graphs. */
function arithmetic({ op }: TfNode, a: TfValue | undefined, b: TfValue | undefined): { numbers?: readonly number[] } {
  const [x, y] = [a?.numbers, b?.numbers];
  if (x === undefined || y === undefined) return {};
  const compute = {
    Mul: (p: number, q: number) => p * q,
    Add: (p: number, q: number) => p + q,
    AddV2: (p: number, q: number) => p + q,
    Sub: (p: number, q: number) => p - q,
    FloorDiv: (p: number, q: number) => Math.floor(p / q),
  }[op];
  if (compute === undefined) return {};
  const count = Math.max(x.length, y.length);
  return {
    numbers: Array.from({ length: count }, (_, i) =>
      compute(x[x.length === 1 ? 0 : i] ?? 0, y[y.length === 1 ? 0 : i] ?? 0),
    ),
  };
}

const reduced: One = (node, input, [, axes]) => {
  if (axes?.numbers === undefined) return undefined;
  const at = axes.numbers.map((axis) => (axis < 0 ? axis + input.length : axis));
  if (node.attributes.number('keep_dims') !== 0) return input.map((dim, i) => (at.includes(i) ? 1 : dim));
  return input.filter((_, i) => !at.includes(i));
};

const same =
  'Relu Relu6 LeakyRelu Elu Selu Sigmoid Tanh Softmax LogSoftmax Softplus BiasAdd Abs Neg Exp Log Sqrt Rsqrt Square Round Floor Ceil Erf LRN L2Normalize FakeQuantWithMinMaxVars Dropout Cast Sign Reciprocal OnesLike ZerosLike FakeQuantWithMinMaxArgs';
const alias =
  'Identity ReadVariableOp StopGradient PreventGradient CheckNumerics Enter IdentityN NoOp Snapshot Dequantize';
const two =
  'Add AddV2 Sub Mul Div RealDiv Maximum Minimum Pow SquaredDifference FloorDiv FloorMod Greater GreaterEqual Less LessEqual Equal NotEqual LogicalAnd LogicalOr';

/** What operators make; those that are not named make something unknown. */
export const tfRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...same.split(' ').map((op): [string, Rule] => [op, keep]),
  ...alias.split(' ').map((op): [string, Rule] => [op, pass]),
  ...two.split(' ').map((op): [string, Rule] => [op, joined]),
  ...['Mean', 'Sum', 'Max', 'Min', 'Prod', 'All', 'Any'].map((op): [string, Rule] => [op, shaped(reduced)]),
  ...['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'].map((op): [string, Rule] => [op, keep]),
  ...['MaxPool', 'AvgPool', 'MaxPoolV2'].map((op): [string, Rule] => [op, shaped(pooled)]),
  ...['Conv2D', '_FusedConv2D'].map((op): [string, Rule] => [op, shaped(convolved)]),
  ...['DepthwiseConv2dNative', 'FusedDepthwiseConv2dNative'].map((op): [string, Rule] => [op, shaped(depthwise)]),
  ['Conv2DBackpropInput', (_, [sizes, , input]) => [{ shape: sizes?.numbers, dtype: input?.dtype }]],
  ...['MatMul', '_FusedMatMul'].map((op): [string, Rule] => [
    op,
    shaped(
      (n, a, [, b]) =>
        b?.shape &&
        matrixProduct(a, b.shape, n.attributes.number('transpose_a') !== 0, n.attributes.number('transpose_b') !== 0),
    ),
  ]),
  ...['BatchMatMul', 'BatchMatMulV2', 'BatchMatMulV3'].map((op): [string, Rule] => [
    op,
    shaped(
      (n, a, [, b]) =>
        b?.shape && matrixProduct(a, b.shape, n.attributes.number('adj_x') !== 0, n.attributes.number('adj_y') !== 0),
    ),
  ]),
  ['Reshape', shaped((_, input, [, to]) => to?.numbers && reshaped(input, to.numbers, false))],
  [
    'Squeeze',
    shaped((n, input) => {
      const axes = n.attributes.numbers('squeeze_dims').map((axis) => (axis < 0 ? axis + input.length : axis));
      return input.filter((dim, i) => (axes.length > 0 ? !axes.includes(i) : dim !== 1));
    }),
  ],
  [
    'ExpandDims',
    (_, [input, axis]) => {
      const at = axis?.numbers?.[0];
      const shape = input?.shape;
      if (shape === undefined || at === undefined) return [{ numbers: input?.numbers }];
      return [
        {
          shape: shape.toSpliced(at < 0 ? at + shape.length + 1 : at, 0, 1),
          dtype: input?.dtype,
          numbers: input?.numbers,
        },
      ];
    },
  ],
  ['Transpose', shaped((_, input, [, order]) => order?.numbers && transposed(input, order.numbers))],
  [
    'ConcatV2',
    (_, inputs) => {
      const axis = inputs.at(-1)?.numbers?.[0];
      const parts = inputs.slice(0, -1);
      const shapes = parts.flatMap(({ shape }) => (shape ? [shape] : []));
      const numbers = parts.every((part) => part.numbers) ? parts.flatMap((part) => part.numbers!) : undefined;
      return [
        {
          shape: axis !== undefined && shapes.length === parts.length ? concatenated(shapes, axis) : undefined,
          dtype: parts[0]?.dtype,
          numbers,
        },
      ];
    },
  ],
  [
    'Pack',
    (_, inputs) => [
      {
        shape: inputs.every(({ shape }) => shape?.length === 0) ? [inputs.length] : undefined,
        dtype: inputs[0]?.dtype,
        numbers: inputs.every(({ numbers }) => numbers?.length === 1)
          ? inputs.map(({ numbers }) => numbers![0]!)
          : undefined,
      },
    ],
  ],
  ['Shape', (_, [input]) => [{ shape: input?.shape && [input.shape.length], dtype: 'int32', numbers: input?.shape }]],
  [
    'StridedSlice',
    (n, [input, begin, end, strides]) => {
      const [numbers, from, to] = [input?.numbers, begin?.numbers?.[0], end?.numbers?.[0]];
      if (
        numbers === undefined ||
        from === undefined ||
        to === undefined ||
        (strides?.numbers?.[0] ?? 1) !== 1 ||
        (begin?.numbers?.length ?? 0) > 1
      )
        return [{}];
      if (n.attributes.number('shrink_axis_mask') === 1)
        return [{ shape: [], dtype: 'int32', numbers: numbers.slice(from).slice(0, 1) }];
      const cut = numbers.slice(
        n.attributes.number('begin_mask') === 1 ? 0 : from,
        n.attributes.number('end_mask') === 1 ? undefined : to,
      );
      return [{ shape: [cut.length], dtype: 'int32', numbers: cut }];
    },
  ],
  ...['Pad', 'PadV2', 'MirrorPad'].map((op): [string, Rule] => [
    op,
    shaped(
      (_, input, [, pads]) =>
        pads?.numbers && input.map((dim, i) => dim + (pads.numbers![2 * i] ?? 0) + (pads.numbers![2 * i + 1] ?? 0)),
    ),
  ]),
  ...['ResizeBilinear', 'ResizeNearestNeighbor'].map((op): [string, Rule] => [
    op,
    shaped((_, input, [, size]) => size?.numbers && [input[0]!, ...size.numbers, input[3]!]),
  ]),
  [
    'SpaceToBatchND',
    shaped((_, input, [, block, pads]) => {
      if (block?.numbers === undefined || pads?.numbers === undefined) return undefined;
      const size = elementsOf(block.numbers);
      return input.map((dim, i) =>
        i === 0
          ? dim * size
          : i <= block.numbers!.length
            ? (dim + pads.numbers![2 * i - 2]! + pads.numbers![2 * i - 1]!) / block.numbers![i - 1]!
            : dim,
      );
    }),
  ],
  [
    'BatchToSpaceND',
    shaped((_, input, [, block, crops]) => {
      if (block?.numbers === undefined || crops?.numbers === undefined) return undefined;
      const size = elementsOf(block.numbers);
      return input.map((dim, i) =>
        i === 0
          ? dim / size
          : i <= block.numbers!.length
            ? dim * block.numbers![i - 1]! - crops.numbers![2 * i - 2]! - crops.numbers![2 * i - 1]!
            : dim,
      );
    }),
  ],
  [
    'Split',
    (n, [axis, input]) => {
      const [at, count] = [axis?.numbers?.[0], n.attributes.number('num_split', 1)];
      const shape = input?.shape;
      if (at === undefined || shape === undefined) return [];
      const i = at < 0 ? at + shape.length : at;
      return Array.from({ length: Math.min(count, 1024) }, () => ({
        shape: shape.with(i, (shape[i] ?? 0) / count),
        dtype: input?.dtype,
      }));
    },
  ],
  [
    'GatherV2',
    (_, [table, indices, axis]) => {
      if (table?.numbers && indices?.numbers)
        return [{ shape: indices.shape, dtype: 'int32', numbers: indices.numbers.map((i) => table.numbers![i] ?? 0) }];
      return [
        {
          shape:
            table?.shape && indices?.shape && (axis?.numbers?.[0] ?? 0) === 0
              ? [...indices.shape, ...table.shape.slice(1)]
              : undefined,
          dtype: table?.dtype,
        },
      ];
    },
  ],
]);
