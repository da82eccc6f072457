/** @file Caffe's layers: field numbers of its messages (caffe.proto, with the additions of SSD), and the shapes that layers make. */
import type { FieldTable, Settings } from './settings.js';
import { broadcast, concatenated, elementsOf, reshaped, transposed, windowCount, type Shape } from './shape-rules.js';

const shape: FieldTable = { dim: 1 };
const convolution: FieldTable = {
  num_output: 1,
  bias_term: 2,
  pad: 3,
  kernel_size: 4,
  group: 5,
  stride: 6,
  pad_h: 9,
  pad_w: 10,
  kernel_h: 11,
  kernel_w: 12,
  stride_h: 13,
  stride_w: 14,
  axis: 16,
  dilation: 18,
};
const pooling: FieldTable = {
  pool: 1,
  kernel_size: 2,
  stride: 3,
  pad: 4,
  kernel_h: 5,
  kernel_w: 6,
  stride_h: 7,
  stride_w: 8,
  pad_h: 9,
  pad_w: 10,
  global_pooling: 12,
  round_mode: 13,
};
const innerProduct: FieldTable = { num_output: 1, bias_term: 2, axis: 5 };
const concat: FieldTable = { concat_dim: 1, axis: 2 };
const slice: FieldTable = { slice_dim: 1, slice_point: 2, axis: 3 };
const rule: FieldTable = { phase: 1 };

/** Numbers, shapes: the message of a stored weight. */
export const blobFields = { num: 1, channels: 2, height: 3, width: 4, data: 5, shape: 7, doubles: 8 } as const;

const layer: FieldTable = {
  name: 1,
  type: 2,
  bottom: 3,
  top: 4,
  phase: 10,
  include: [8, rule],
  exclude: [9, rule],
  concat_param: [104, concat],
  convolution_param: [106, convolution],
  eltwise_param: [110, { operation: 1 }],
  inner_product_param: [117, innerProduct],
  pooling_param: [121, pooling],
  slice_param: [126, slice],
  softmax_param: [125, { axis: 2 }],
  reshape_param: [133, { shape: [1, shape] }],
  flatten_param: [135, { axis: 1, end_axis: 2 }],
  embed_param: [137, { num_output: 1, input_dim: 2, bias_term: 3 }],
  scale_param: [142, { axis: 1, bias_term: 4 }],
  input_param: [143, { shape: [1, shape] }],
  recurrent_param: [146, { num_output: 1 }],
  permute_param: [202, { order: 1 }],
};

const oldLayer: FieldTable = {
  name: 4,
  type: 5,
  bottom: 2,
  top: 3,
  include: [32, rule],
  exclude: [33, rule],
  concat_param: [9, concat],
  convolution_param: [10, convolution],
  inner_product_param: [17, innerProduct],
  pooling_param: [19, pooling],
  eltwise_param: [24, { operation: 1 }],
  slice_param: [31, slice],
  softmax_param: [39, { axis: 2 }],
};

/** Field numbers of a network. */
export const networkFields: FieldTable = {
  name: 1,
  layers: [2, oldLayer],
  input: 3,
  input_dim: 4,
  input_shape: [8, shape],
  layer: [100, layer],
};

/** Where a layer's stored weights stand: in `layer`, and in the old `layers`. */
export const BLOBS = 7;
export const OLD_BLOBS = 6;

/** Types of old layers by number and by the word that text files use. */
export const oldTypes: readonly (readonly [code: number, word: string, type: string])[] = [
  [35, 'ABSVAL', 'AbsVal'],
  [1, 'ACCURACY', 'Accuracy'],
  [2, 'BNLL', 'BNLL'],
  [3, 'CONCAT', 'Concat'],
  [4, 'CONVOLUTION', 'Convolution'],
  [5, 'DATA', 'Data'],
  [39, 'DECONVOLUTION', 'Deconvolution'],
  [6, 'DROPOUT', 'Dropout'],
  [25, 'ELTWISE', 'Eltwise'],
  [38, 'EXP', 'Exp'],
  [8, 'FLATTEN', 'Flatten'],
  [11, 'IM2COL', 'Im2col'],
  [12, 'IMAGE_DATA', 'ImageData'],
  [14, 'INNER_PRODUCT', 'InnerProduct'],
  [15, 'LRN', 'LRN'],
  [34, 'MVN', 'MVN'],
  [17, 'POOLING', 'Pooling'],
  [26, 'POWER', 'Power'],
  [18, 'RELU', 'ReLU'],
  [19, 'SIGMOID', 'Sigmoid'],
  [36, 'SILENCE', 'Silence'],
  [33, 'SLICE', 'Slice'],
  [20, 'SOFTMAX', 'Softmax'],
  [21, 'SOFTMAX_LOSS', 'SoftmaxWithLoss'],
  [22, 'SPLIT', 'Split'],
  [23, 'TANH', 'TanH'],
  [31, 'THRESHOLD', 'Threshold'],
];

/** A setting that may be given for both axes at once, per axis in a list, or by name. */
function perAxis(settings: Settings, stem: string, axis: 'h' | 'w', listed: string, fallback: number): number {
  if (settings.has(`${stem}_${axis}`)) return settings.number(`${stem}_${axis}`);
  const list = settings.numbers(listed);
  return list[axis === 'w' ? list.length - 1 : 0] ?? fallback;
}

/** Window of a convolution or pooling on one axis. */
export function windowOf(
  settings: Settings,
  axis: 'h' | 'w',
): { readonly kernel: number; readonly stride: number; readonly pad: number; readonly dilation: number } {
  const dilation = settings.numbers('dilation');
  return {
    kernel: perAxis(settings, 'kernel', axis, 'kernel_size', 1),
    stride: perAxis(settings, 'stride', axis, 'stride', 1),
    pad: 2 * perAxis(settings, 'pad', axis, 'pad', 0),
    dilation: dilation[axis === 'w' ? dilation.length - 1 : 0] ?? 1,
  };
}

type ShapeRule = (
  settings: Settings | undefined,
  inputs: readonly Shape[],
  outputs: number,
) => readonly (Shape | undefined)[];

const convolved: ShapeRule = (s, [[batch = 1, , height = 1, width = 1] = []]) => [
  s && [batch, s.number('num_output'), windowCount(height, windowOf(s, 'h')), windowCount(width, windowOf(s, 'w'))],
];

const deconvolved: ShapeRule = (s, [[batch = 1, , height = 1, width = 1] = []]) => {
  if (s === undefined) return [];
  const grown = (size: number, axis: 'h' | 'w'): number => {
    const { kernel, stride, pad, dilation } = windowOf(s, axis);
    return (size - 1) * stride + dilation * (kernel - 1) + 1 - pad;
  };
  return [[batch, s.number('num_output'), grown(height, 'h'), grown(width, 'w')]];
};

const pooled: ShapeRule = (s, [[batch = 1, channels = 1, height = 1, width = 1] = []]) => {
  if (s === undefined) return [];
  if (s.number('global_pooling') !== 0) return [[batch, channels, 1, 1]];
  const floor = s.enumWord('round_mode') === 'FLOOR' || s.number('round_mode') === 1;
  const counted = (size: number, axis: 'h' | 'w'): number => {
    const window = windowOf(s, axis);
    const count = windowCount(size, { ...window, dilation: 1 }, !floor);
    // Caffe drops a last window that would start in the padding.
    return window.pad > 0 && (count - 1) * window.stride >= size + window.pad / 2 ? count - 1 : count;
  };
  return [[batch, channels, counted(height, 'h'), counted(width, 'w')]];
};

/** Shapes of results by layer type; a layer that is not named here keeps its input's. `settings` is the layer's own part. */
export const caffeShapes: Readonly<Record<string, ShapeRule>> = {
  Convolution: convolved,
  ConvolutionDepthwise: convolved,
  DepthwiseConvolution: convolved,
  Deconvolution: deconvolved,
  Pooling: pooled,
  InnerProduct: (s, [input = []]) => {
    const axis = s?.number('axis', 1) ?? 1;
    return [[...input.slice(0, axis), s?.number('num_output') ?? 0]];
  },
  Embed: (s, [input = []]) => [[...input, s?.number('num_output') ?? 0]],
  Concat: (s, inputs) => [concatenated(inputs, s?.number('axis', s.number('concat_dim', 1)) ?? 1)],
  Eltwise: (_, [first, second]) => [first && (second ? broadcast(first, second) : first)],
  Slice: (s, [input = []], outputs) => {
    const axis = s?.number('axis', s.number('slice_dim', 1)) ?? 1;
    const size = input[axis];
    if (size === undefined) return [];
    const points = s?.numbers('slice_point') ?? [];
    const ends =
      points.length > 0 ? [...points, size] : Array.from({ length: outputs }, (_, i) => ((i + 1) * size) / outputs);
    return ends.map((end, i) => input.with(axis, end - (ends[i - 1] ?? 0)));
  },
  Split: (_, [input], outputs) => Array.from({ length: outputs }, () => input),
  Reshape: (s, [input]) => [input && reshaped(input, s?.part('shape')?.numbers('dim') ?? [])],
  Permute: (s, [input]) => {
    const order = s?.numbers('order') ?? [];
    return [input && transposed(input, [...order, ...input.map((_, i) => i).filter((i) => !order.includes(i))])];
  },
  Flatten: (s, [input]) => {
    const axis = s?.number('axis', 1) ?? 1;
    return [input && [...input.slice(0, axis), elementsOf(input.slice(axis))]];
  },
  LSTM: (s, [input = []]) => [[...input.slice(0, 2), s?.number('num_output') ?? 0]],
  RNN: (s, [input = []]) => [[...input.slice(0, 2), s?.number('num_output') ?? 0]],
  Crop: (_, [first, second]) => [first && second && [...first.slice(0, 2), ...second.slice(2)]],
  PriorBox: () => [],
  DetectionOutput: () => [],
  Proposal: () => [],
  Python: () => [],
  Interp: () => [],
  Upsample: () => [],
  ROIPooling: () => [],
  Reduction: () => [],
  ArgMax: () => [],
  Tile: () => [],
};

/** The part of a layer that holds its settings. */
export const partNames: Readonly<Record<string, string>> = {
  Convolution: 'convolution_param',
  ConvolutionDepthwise: 'convolution_param',
  DepthwiseConvolution: 'convolution_param',
  Deconvolution: 'convolution_param',
  Pooling: 'pooling_param',
  InnerProduct: 'inner_product_param',
  Embed: 'embed_param',
  Concat: 'concat_param',
  Slice: 'slice_param',
  Reshape: 'reshape_param',
  Permute: 'permute_param',
  Flatten: 'flatten_param',
  Scale: 'scale_param',
  Input: 'input_param',
  LSTM: 'recurrent_param',
  RNN: 'recurrent_param',
  Eltwise: 'eltwise_param',
  Softmax: 'softmax_param',
};
