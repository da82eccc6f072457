/** @file TensorFlow Lite: convolutions, dense layers, pooling, resizing. */
import { dense, l2Normalise, localResponse, matmul, softmax } from '../emit/summaries.js';
import { convolution, pool, resize, transposedConvolution } from '../emit/windows.js';
import { activated } from '../emit/activation.js';
import { reshape } from '../emit/shaping.js';
import { CannotConvert, rankOf, type Emitter } from '../emitter.js';
import type { Flow } from '../flow.js';
import type { Call, TfliteRule } from './call.js';

const strides = (call: Call, height: number, width: number): readonly number[] => [
  call.int(height, 1),
  call.int(width, 1),
];

const pooling =
  (kind: 'average' | 'max'): TfliteRule =>
  (e, call) => [
    pool(
      e,
      call.out,
      call.input(0),
      kind,
      [call.int(4), call.int(3)],
      { strides: strides(call, 2, 1), padding: call.padding(0) },
      call.activation(5),
    ),
  ];

/** FULLY_CONNECTED flattens its input to rows of the weights' width, unless it keeps dims. */
function fullyConnected(e: Emitter, call: Call): readonly Flow[] {
  if (call.byte(1) !== 0) throw new CannotConvert('shuffled weights');
  const [x, weights] = [call.input(0), call.input(1)];
  const parts = { weights, order: [0, 1] as const, bias: call.inputs[2], activation: call.activation(0) };
  if (call.flag(2) && x.shape?.length !== 2) return [dense(e, call.out, x, parts)];
  const width = weights.shape?.[1];
  if (typeof width !== 'number') throw new CannotConvert('the width of its weights is not known');
  if (x.shape?.length === 2 && x.shape[1] === width) return [dense(e, call.out, x, parts)];
  const rows = call.out.shape?.length === 2 ? call.out.shape[0]! : null;
  const target = [typeof rows === 'number' ? rows : -1, width];
  const flat = reshape(e, { ...x, shape: [rows, width] }, x, target);
  return [dense(e, call.out, flat, parts)];
}

const resizing =
  (mode: 'linear' | 'nearest', align: number, half: number): TfliteRule =>
  (e, call) => [
    resize(e, call.out, call.input(0), call.input(1), {
      mode,
      alignCorners: call.flag(align),
      halfPixel: call.flag(half),
    }),
  ];

/** Square root of the mean of squares under the window. */
function l2Pool(e: Emitter, call: Call): readonly Flow[] {
  const x = call.input(0);
  const square = e.op('Mul', [e.real(x, 'channelsFirst'), e.real(x, 'channelsFirst')]);
  const between = { ...call.out, quantisation: undefined, type: 'float32' as const };
  const squared: Flow = { ...between, shape: x.shape, stored: { channelsFirst: square }, real: {} };
  const mean = pool(e, between, squared, 'average', [call.int(4), call.int(3)], {
    strides: strides(call, 2, 1),
    padding: call.padding(0),
  });
  return [activated(e, call.out, e.op('Sqrt', [e.real(mean, 'channelsFirst')]), 'channelsFirst', call.activation(5))];
}

/**
 * MediaPipe's own operator: a transposed convolution with a bias, whose size follows from its input. Its settings are three
 * integers: padding (1 SAME, 2 VALID), stride across, stride down. SAME takes from each axis what the last stride does not need.
 */
function transposedWithBias(e: Emitter, call: Call): readonly Flow[] {
  const { custom } = call;
  if (custom === undefined || custom.length < 12) throw new CannotConvert('its settings are missing');
  const view = new DataView(custom.buffer, custom.byteOffset, custom.byteLength);
  const [padding, across, down] = [0, 4, 8].map((at) => view.getInt32(at, true)) as [number, number, number];
  const [x, kernel] = [call.input(0), call.input(1)];
  const [given, window] = [x.shape?.slice(1, 3) ?? [], kernel.shape?.slice(1, 3) ?? []];
  const axes = [down, across].map((stride, i) => {
    const [from, reach] = [given[i], window[i]];
    if (typeof from !== 'number' || typeof reach !== 'number' || stride < 1)
      throw new CannotConvert('sizes are not known');
    const cut = padding === 1 ? Math.max(0, reach - ((from - 1) % stride) - 1) : 0;
    return { stride, size: stride * (from - 1) + reach - cut, begin: Math.floor(cut / 2), cut };
  });
  const parts = {
    kernel,
    order: [3, 0, 1, 2] as const,
    bias: call.input(2),
    strides: axes.map(({ stride }) => stride),
    padding: axes.map(({ begin, cut }): readonly [number, number] => [begin, cut - begin]),
    activation: 'none' as const,
  };
  const sizes = axes.map(({ size }) => size);
  return [transposedConvolution(e, call.out, x, parts, sizes)];
}

/** Rules of this family. */
export const windowRules: Readonly<Record<string, TfliteRule>> = {
  CONV_2D: (e, call) => [
    convolution(e, call.out, call.input(0), {
      kernel: call.input(1),
      order: [0, 3, 1, 2],
      bias: call.inputs[2],
      strides: strides(call, 2, 1),
      dilations: [call.int(5, 1), call.int(4, 1)],
      padding: call.padding(0),
      activation: call.activation(3),
    }),
  ],
  DEPTHWISE_CONV_2D: (e, call) => [
    convolution(e, call.out, call.input(0), {
      kernel: call.input(1),
      order: [3, 0, 1, 2],
      depthwise: true,
      bias: call.inputs[2],
      strides: strides(call, 2, 1),
      dilations: [call.int(6, 1), call.int(5, 1)],
      padding: call.padding(0),
      activation: call.activation(4),
    }),
  ],
  CONV_3D: (e, call) => [
    convolution(e, call.out, call.input(0), {
      kernel: call.input(1),
      order: [4, 3, 0, 1, 2],
      bias: call.inputs[2],
      strides: [call.int(1, 1), call.int(3, 1), call.int(2, 1)],
      dilations: [call.int(5, 1), call.int(7, 1), call.int(6, 1)],
      padding: call.padding(0),
      activation: call.activation(4),
    }),
  ],
  TRANSPOSE_CONV: (e, call) => [
    transposedConvolution(
      e,
      call.out,
      call.input(2),
      {
        kernel: call.input(1),
        order: [3, 0, 1, 2],
        bias: call.inputs[3],
        strides: strides(call, 2, 1),
        padding: call.padding(0),
        activation: call.activation(3),
      },
      e.numbers(call.input(0), 'its output shape').slice(1, 3),
    ),
  ],
  Convolution2DTransposeBias: transposedWithBias,
  FULLY_CONNECTED: fullyConnected,
  BATCH_MATMUL: (e, call) => [matmul(e, call.out, call.input(0), call.input(1), call.flag(0), call.flag(1))],
  AVERAGE_POOL_2D: pooling('average'),
  MAX_POOL_2D: pooling('max'),
  L2_POOL_2D: l2Pool,
  RESIZE_BILINEAR: resizing('linear', 2, 3),
  RESIZE_NEAREST_NEIGHBOR: resizing('nearest', 0, 1),
  SOFTMAX: (e, call) => [softmax(e, call.out, 'Softmax', call.input(0), call.number(0, 1))],
  LOG_SOFTMAX: (e, call) => [softmax(e, call.out, 'LogSoftmax', call.input(0))],
  L2_NORMALIZATION: (e, call) => {
    if (call.activation(0) !== 'none') throw new CannotConvert('a fused activation');
    return [l2Normalise(e, call.out, call.input(0))];
  },
  LOCAL_RESPONSE_NORMALIZATION: (e, call) => {
    if (rankOf(call.input(0)) !== 4) throw new CannotConvert('not a picture');
    return [localResponse(e, call.out, call.input(0), call.int(0), call.number(1), call.number(2), call.number(3))];
  },
};
