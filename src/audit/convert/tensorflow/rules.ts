/** @file TensorFlow operators as ONNX: the table, by family. */
import { dataTypes, Tensor, type DataType, type Node } from '../../../ir/index.js';
import { binary, mapped, select, unary } from '../emit/elementwise.js';
import { clip, fakeQuantised, oneHot, plainRules, type PlainRule } from '../emit/operands.js';
import {
  batchToSpace,
  concat,
  depthToSpace,
  gather,
  pad,
  rearranged,
  reshape,
  reshapeAsStated,
  shapeOf,
  slice,
  spaceToBatch,
  spaceToDepth,
  split,
  transpose,
} from '../emit/shaping.js';
import { stridedSlice } from '../emit/strided-slice.js';
import { dense, localResponse, matmul, reduce, softmax } from '../emit/summaries.js';
import { convolution, pool, resize, spatialPadding, transposedConvolution } from '../emit/windows.js';
import { CannotConvert, rankOf, type Emitter } from '../emitter.js';
import type { Flow } from '../flow.js';
import { activationOf, inOrder, pictureOf, type TfCall, type TfRule } from './call.js';

const same: TfRule = (_, call) => [call.input(0)];

const two =
  (op: string): TfRule =>
  (e, call) => [binary(e, call.out, op, call.input(0), call.input(1))];

const pairs = (numbers: readonly number[]): readonly (readonly [number, number])[] =>
  Array.from({ length: numbers.length / 2 }, (_, i) => [numbers[2 * i]!, numbers[2 * i + 1]!] as const);

/** Fused operators after a convolution or product: BiasAdd, then an activation. */
function fused(call: TfCall, first: number): { bias: Flow | undefined; activation: ReturnType<typeof activationOf> } {
  const names = call.attributes.texts('fused_ops');
  if (names.length === 0) return { bias: undefined, activation: 'none' };
  if (names[0] !== 'BiasAdd' || names.length > 2) throw new CannotConvert(`fused ${names.join(', ')}`);
  return { bias: call.input(first), activation: activationOf(names[1]) };
}

const conv =
  (depthwise: boolean): TfRule =>
  (e, call) =>
    inOrder(e, call, (out) =>
      convolution(e, out, pictureOf(e, call, call.input(0)), {
        kernel: call.input(1),
        order: depthwise ? [2, 3, 0, 1] : [3, 2, 0, 1],
        depthwise,
        strides: call.spatial('strides'),
        dilations: call.spatial('dilations'),
        padding: call.padding(),
        ...fused(call, 2),
      }),
    );

/** A bias joins the convolution before it where nobody else reads that. */
function biasAdd(e: Emitter, call: TfCall): readonly Flow[] {
  const [x, bias] = [call.input(0), call.input(1)];
  const made = x.stored.channelsFirst ?? x.stored.stated;
  const { nodes } = e.builder;
  const at = nodes.findLastIndex((node) => node.outputs[0] === made);
  const node = nodes[at];
  if (call.soleReader && node?.op === 'Conv' && node.inputs.length === 2 && bias.constant) {
    nodes.push({ ...node, inputs: [...node.inputs, e.stored(bias)] } satisfies Node);
    nodes.splice(at, 1);
    return [{ ...x, name: call.out.name }];
  }
  if (!call.channelsSecond) return two('Add')(e, call);
  if (bias.constant === undefined) throw new CannotConvert('its bias is computed at run time');
  const dims = [bias.constant.size, ...new Array<number>(rankOf(x) - 2).fill(1)];
  const shaped = e.constant({ name: bias.name }, bias.constant.reshape(dims));
  return [binary(e, call.out, 'Add', x, shaped)];
}

/** Normalisation with stored statistics: what inference does. */
function batchNormalisation(e: Emitter, call: TfCall): readonly Flow[] {
  if (call.attributes.number('is_training', 1) !== 0) throw new CannotConvert('in training form');
  const [x, ...parameters] = [0, 1, 2, 3, 4].map((i) => call.input(i));
  const epsilon = e.float(call.attributes.number('epsilon', 1e-4));
  return inOrder(e, call, (out) => {
    const picture = pictureOf(e, call, x!);
    const name = e.op(
      'BatchNormalization',
      [e.real(picture, 'channelsFirst'), ...parameters.map((each) => e.stored(each))],
      { epsilon },
    );
    return e.result(out, name, 'channelsFirst');
  });
}

function matrixProduct(e: Emitter, call: TfCall): readonly Flow[] {
  const [a, b] = [call.input(0), call.input(1)];
  const swapB = call.flag('transpose_b');
  if (call.flag('transpose_a') || b.shape?.length !== 2)
    return [matmul(e, call.out, a, b, call.flag('transpose_a'), swapB)];
  return [dense(e, call.out, a, { weights: b, order: swapB ? [0, 1] : [1, 0], ...fused(call, 2) })];
}

const pooling =
  (kind: 'average' | 'max'): TfRule =>
  (e, call) =>
    inOrder(e, call, (out) =>
      pool(e, out, pictureOf(e, call, call.input(0)), kind, call.spatial('ksize'), {
        strides: call.spatial('strides'),
        padding: call.padding(),
      }),
    );

const reducing =
  (op: string): TfRule =>
  (e, call) => {
    const axes = e.numbers(call.input(1), 'its axes');
    return [reduce(e, call.out, op, call.input(0), axes, call.flag('keep_dims'))];
  };

const resizing =
  (mode: 'linear' | 'nearest'): TfRule =>
  (e, call) => [
    resize(e, call.out, call.input(0), call.input(1), {
      mode,
      alignCorners: call.flag('align_corners'),
      halfPixel: call.flag('half_pixel_centers'),
    }),
  ];

function padded(e: Emitter, call: TfCall): readonly Flow[] {
  const x = call.input(0);
  const pads = pairs(e.numbers(call.input(1), 'its padding'));
  const value = call.inputs[2] && e.numbers(call.inputs[2], 'its value')[0];
  const kept = value === undefined || value === 0 ? spatialPadding(call.out, x, pads) : undefined;
  if (kept) return [kept];
  const fill = value === undefined ? undefined : e.builder.constant(Tensor.scalar(x.type as 'float32', value));
  return [pad(e, call.out, x, pads, 'constant', fill)];
}

function mirrorPadded(e: Emitter, call: TfCall): readonly Flow[] {
  const pads = pairs(e.numbers(call.input(1), 'its padding'));
  const reflect = call.attributes.text('mode') === 'REFLECT';
  if (!reflect && pads.flat().some((amount) => amount > 1)) throw new CannotConvert('symmetric padding of more than 1');
  return [pad(e, call.out, call.input(0), pads, reflect ? 'reflect' : 'edge')];
}

function packed(e: Emitter, call: TfCall): readonly Flow[] {
  const axis = call.attributes.number('axis');
  const constants = call.inputs.map((flow) => flow.constant);
  // Shapes are put together from numbers that are known.
  if (axis === 0 && constants.every((tensor) => tensor !== undefined && tensor.dims.length === 0)) {
    const { dtype } = constants[0]!;
    const values = constants.flatMap((tensor) => tensor!.numbers());
    return [e.constant({ name: call.out.name }, Tensor.of(dtype as 'int32', [values.length], values))];
  }
  const parts = call.inputs.map((flow): Flow => {
    const rank = rankOf(flow) + 1;
    const at = axis < 0 ? axis + rank : axis;
    const shape = [...flow.shape!.slice(0, at), 1, ...flow.shape!.slice(at)];
    return {
      ...call.out,
      shape,
      stored: { stated: e.op('Unsqueeze', [e.stored(flow), e.builder.int64s([at])]) },
      real: {},
    };
  });
  const shape = parts[0]!.shape!.map((dim, i, all) =>
    i === (axis < 0 ? axis + all.length : axis) ? parts.length : dim,
  );
  return [concat(e, { ...call.out, shape }, parts, axis)];
}

const toInt = (e: Emitter, call: TfCall, name: string): readonly Flow[] => [
  e.result(
    call.out,
    call.out.type === 'int64' ? name : e.op('Cast', [name], { to: dataTypes[call.out.type].code }),
    'stated',
  ),
];

const arg =
  (op: string): TfRule =>
  (e, call) =>
    toInt(e, call, e.op(op, [e.real(call.input(0))], { axis: e.numbers(call.input(1), 'its axis')[0]!, keepdims: 0 }));

const activation =
  (op: string): PlainRule =>
  (e, call) => [unary(e, call.out, op, call.input(0))];

/** A slice by begins and sizes. */
function sliced(e: Emitter, call: TfCall): readonly Flow[] {
  const begins = e.numbers(call.input(1), 'where it begins');
  const sizes = e.numbers(call.input(2), 'its sizes');
  const slices = begins.map((begin, axis) => ({
    axis,
    begin: begin === 0 ? undefined : begin,
    end: sizes[axis]! < 0 ? undefined : begin + sizes[axis]!,
    step: 1,
  }));
  return [slice(e, call.out, call.input(0), slices)];
}

/** Every node that is converted, by its operator. */
export const tensorflowRules: ReadonlyMap<string, TfRule> = new Map<string, TfRule>([
  ...Object.entries(plainRules),
  ...'Identity ReadVariableOp StopGradient PreventGradient CheckNumerics Snapshot PlaceholderWithDefault Enter DisableCopyOnRead'
    .split(' ')
    .map((op): [string, TfRule] => [op, same]),
  ...Object.entries({ Add: 'Add', AddV2: 'Add', Sub: 'Sub', Mul: 'Mul', Div: 'Div', RealDiv: 'Div' }).map(
    ([op, name]): [string, TfRule] => [op, two(name)],
  ),
  ...Object.entries({
    Selu: 'Selu',
    Softplus: 'Softplus',
    Softsign: 'Softsign',
    Erf: 'Erf',
    Reciprocal: 'Reciprocal',
    Inv: 'Reciprocal',
  }).map(([op, name]): [string, TfRule] => [op, activation(name)]),
  ...Object.entries({
    Mean: 'ReduceMean',
    Sum: 'ReduceSum',
    Max: 'ReduceMax',
    Min: 'ReduceMin',
    Prod: 'ReduceProd',
  }).map(([op, name]): [string, TfRule] => [op, reducing(name)]),
  ...['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'].map((op): [string, TfRule] => [op, batchNormalisation]),
  ...['MatMul', '_FusedMatMul'].map((op): [string, TfRule] => [op, matrixProduct]),
  ...['BatchMatMul', 'BatchMatMulV2', 'BatchMatMulV3'].map((op): [string, TfRule] => [
    op,
    (e, call) => [matmul(e, call.out, call.input(0), call.input(1), call.flag('adj_x'), call.flag('adj_y'))],
  ]),
  ...['Conv2D', '_FusedConv2D'].map((op): [string, TfRule] => [op, conv(false)]),
  ...['DepthwiseConv2dNative', 'FusedDepthwiseConv2dNative'].map((op): [string, TfRule] => [op, conv(true)]),
  [
    'Conv2DBackpropInput',
    (e, call) => {
      const size = e.numbers(call.input(0), 'its output shape');
      const spatial = call.channelsSecond ? size.slice(2) : size.slice(1, -1);
      return inOrder(e, call, (out) =>
        transposedConvolution(
          e,
          out,
          pictureOf(e, call, call.input(2)),
          {
            kernel: call.input(1),
            order: [3, 2, 0, 1],
            bias: undefined,
            strides: call.spatial('strides'),
            padding: call.padding(),
            activation: 'none',
          },
          spatial,
        ),
      );
    },
  ],
  ['BiasAdd', biasAdd],
  ['AvgPool', pooling('average')],
  ['MaxPool', pooling('max')],
  ['ResizeBilinear', resizing('linear')],
  ['ResizeNearestNeighbor', resizing('nearest')],
  ['Softmax', (e, call) => [softmax(e, call.out, 'Softmax', call.input(0))]],
  ['LogSoftmax', (e, call) => [softmax(e, call.out, 'LogSoftmax', call.input(0))]],
  [
    'LRN',
    (e, call) => {
      const { attributes: a } = call;
      const radius = a.number('depth_radius', 5);
      return [
        localResponse(
          e,
          call.out,
          call.input(0),
          radius,
          a.number('bias', 1),
          a.number('alpha', 1),
          a.number('beta', 0.5),
        ),
      ];
    },
  ],
  [
    'LeakyRelu',
    (e, call) => [
      unary(e, call.out, 'LeakyRelu', call.input(0), { alpha: e.float(call.attributes.number('alpha', 0.2)) }),
    ],
  ],
  [
    'OnesLike',
    (e, call) => [mapped(e, call.out, call.input(0), (x) => e.op('Exp', [e.op('Mul', [x, e.builder.scalar(0)])]))],
  ],
  [
    'Cast',
    (e, call) => {
      const x = call.input(0);
      const layout = e.layoutOf(x);
      return [e.result(call.out, e.op('Cast', [e.stored(x, layout)], { to: dataTypes[call.out.type].code }), layout)];
    },
  ],
  ...['Select', 'SelectV2'].map((op): [string, TfRule] => [
    op,
    (e, call) => [select(e, call.out, [call.input(0), call.input(1), call.input(2)])],
  ]),
  [
    'Reshape',
    (e, call) => {
      const target = call.input(1);
      return [reshape(e, call.out, call.input(0), target.constant ? target.constant.numbers() : target)];
    },
  ],
  [
    'Squeeze',
    (e, call) => [reshapeAsStated(e, call.out, call.input(0), 'Squeeze', call.attributes.numbers('squeeze_dims'))],
  ],
  [
    'ExpandDims',
    (e, call) => [reshapeAsStated(e, call.out, call.input(0), 'Unsqueeze', e.numbers(call.input(1), 'its axis'))],
  ],
  ['Transpose', (e, call) => [transpose(e, call.out, call.input(0), e.numbers(call.input(1), 'its order'))]],
  [
    'ConcatV2',
    (e, call) => {
      const parts = call.inputs.slice(0, -1);
      const axis = e.numbers(call.inputs.at(-1), 'its axis')[0]!;
      const out = call.out.shape ? call.out : { ...call.out, shape: parts[0]?.shape?.map(() => null) };
      return [concat(e, out, parts, axis)];
    },
  ],
  ['Pad', padded],
  ['PadV2', padded],
  ['MirrorPad', mirrorPadded],
  ['Slice', sliced],
  [
    'StridedSlice',
    (e, call) => {
      const { attributes: a } = call;
      return [
        stridedSlice(
          e,
          call.out,
          [0, 1, 2, 3].map((i) => call.input(i)),
          {
            begin: a.number('begin_mask'),
            end: a.number('end_mask'),
            ellipsis: a.number('ellipsis_mask'),
            newAxis: a.number('new_axis_mask'),
            shrink: a.number('shrink_axis_mask'),
          },
        ),
      ];
    },
  ],
  ['Split', (e, call) => split(e, call.outputs, call.input(1), e.numbers(call.input(0), 'its axis')[0]!, undefined)],
  [
    'SplitV',
    (e, call) => {
      const sizes = e.numbers(call.input(1), 'its sizes');
      if (sizes.includes(-1)) throw new CannotConvert('a size is left open');
      return split(e, call.outputs, call.input(0), e.numbers(call.input(2), 'its axis')[0]!, sizes);
    },
  ],
  ['Pack', packed],
  [
    'Unpack',
    (e, call) => {
      const axis = call.attributes.number('axis');
      return call.outputs.map((out, i) =>
        rearranged(e, out, call.input(0), (name) =>
          e.op('Gather', [name, e.builder.constant(Tensor.scalar('int64', i))], { axis }),
        ),
      );
    },
  ],
  ['Gather', (e, call) => [gather(e, call.out, call.input(0), call.input(1), 0, 0)]],
  ['ResourceGather', (e, call) => [gather(e, call.out, call.input(0), call.input(1), 0, 0)]],
  [
    'GatherV2',
    (e, call) => {
      const axis = e.numbers(call.input(2), 'its axis')[0]!;
      const x = call.input(0);
      return [
        gather(e, call.out, x, call.input(1), axis < 0 ? axis + rankOf(x) : axis, call.attributes.number('batch_dims')),
      ];
    },
  ],
  [
    'GatherNd',
    (e, call) => [rearranged(e, call.out, call.input(0), (name) => e.op('GatherND', [name, e.int64(call.input(1))]))],
  ],
  [
    'Tile',
    (e, call) => [rearranged(e, call.out, call.input(0), (name) => e.op('Tile', [name, e.int64(call.input(1))]))],
  ],
  [
    'BroadcastTo',
    (e, call) => [rearranged(e, call.out, call.input(0), (name) => e.op('Expand', [name, e.int64(call.input(1))]))],
  ],
  ['DepthToSpace', (e, call) => [depthToSpace(e, call.out, call.input(0), call.attributes.number('block_size'))]],
  ['SpaceToDepth', (e, call) => [spaceToDepth(e, call.out, call.input(0), call.attributes.number('block_size'))]],
  [
    'SpaceToBatchND',
    (e, call) => [
      spaceToBatch(
        e,
        call.out,
        call.input(0),
        e.numbers(call.input(1), 'its block'),
        pairs(e.numbers(call.input(2), 'its padding')),
      ),
    ],
  ],
  [
    'BatchToSpaceND',
    (e, call) => [
      batchToSpace(
        e,
        call.out,
        call.input(0),
        e.numbers(call.input(1), 'its block'),
        pairs(e.numbers(call.input(2), 'its crops')),
      ),
    ],
  ],
  ['Shape', (e, call) => toInt(e, call, shapeOf(e, call.input(0)))],
  ['Size', (e, call) => toInt(e, call, e.op('Size', [e.stored(call.input(0), e.layoutOf(call.input(0)))]))],
  ['Rank', (e, call) => [e.constant({ name: call.out.name }, Tensor.scalar('int32', rankOf(call.input(0))))]],
  [
    'Fill',
    (e, call) => [e.result(call.out, e.op('Expand', [e.stored(call.input(1)), e.int64(call.input(0))]), 'stated')],
  ],
  [
    'Range',
    (e, call) => [
      e.result(
        call.out,
        e.op(
          'Range',
          [0, 1, 2].map((i) => e.stored(call.input(i))),
        ),
        'stated',
      ),
    ],
  ],
  ['ArgMax', arg('ArgMax')],
  ['ArgMin', arg('ArgMin')],
  [
    'TopKV2',
    (e, call) => {
      const k = e.op('Reshape', [e.int64(call.input(1)), e.builder.int64s([1])]);
      const [values, places] = e.ops('TopK', [e.real(call.input(0)), k], 2, { axis: -1 });
      const place = { ...call.out, type: 'int32' as DataType };
      return [e.result(call.out, values!, 'stated'), e.result(place, e.op('Cast', [places!], { to: 6 }), 'stated')];
    },
  ],
  [
    'Cumsum',
    (e, call) => [
      e.result(
        call.out,
        e.op('CumSum', [e.real(call.input(0)), e.int64(call.input(1))], {
          exclusive: call.flag('exclusive') ? 1 : 0,
          reverse: call.flag('reverse') ? 1 : 0,
        }),
        'stated',
      ),
    ],
  ],
  [
    'ReverseV2',
    (e, call) => {
      const axes = e.numbers(call.input(1), 'its axes');
      return [
        slice(
          e,
          call.out,
          call.input(0),
          axes.map((axis) => ({ axis, begin: undefined, end: undefined, step: -1 })),
        ),
      ];
    },
  ],
  [
    'OneHot',
    (e, call) => {
      const parts = [0, 1, 2, 3].map((i) => call.input(i));
      return [oneHot(e, call.out, parts, call.attributes.number('axis', -1))];
    },
  ],
  [
    'Einsum',
    (e, call) => [
      e.result(
        call.out,
        e.op(
          'Einsum',
          call.inputs.map((flow) => e.real(flow)),
          { equation: call.attributes.text('equation') },
        ),
        'stated',
      ),
    ],
  ],
  [
    'FakeQuantWithMinMaxVars',
    (e, call) => {
      const [min, max] = [1, 2].map((i) => e.numbers(call.input(i), 'its range')[0]!);
      const { attributes: a } = call;
      return [
        mapped(e, call.out, call.input(0), (x) =>
          fakeQuantised(e, x, min!, max!, a.number('num_bits', 8), call.flag('narrow_range')),
        ),
      ];
    },
  ],
  [
    'ClipByValue',
    (e, call) => {
      const [low, high] = [1, 2].map((i) => e.numbers(call.input(i), 'its bound')[0]!);
      return clip(low!, high)(e, call);
    },
  ],
]);
