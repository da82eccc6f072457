/** @file ncnn's layers: names by the number that binary files use, the weights each reads in order, and the shapes it makes. */
import { broadcast, concatenated, elementsOf, paddedCount, reshaped, windowCount, type Shape } from './shape-rules.js';

/** Layer types by their index in ncnn's registry. */
export const ncnnTypes: readonly string[] = (
  'AbsVal ArgMax BatchNorm Bias BNLL Concat Convolution Crop Deconvolution Dropout Eltwise ELU Embed Exp Flatten InnerProduct Input Log LRN ' +
  'MemoryData MVN Pooling Power PReLU Proposal Reduction ReLU Reshape ROIPooling Scale Sigmoid Slice Softmax Split SPP TanH Threshold Tile RNN ' +
  'LSTM BinaryOp UnaryOp ConvolutionDepthWise Padding Squeeze ExpandDims Normalize Permute PriorBox DetectionOutput Interp ' +
  'DeconvolutionDepthWise ShuffleChannel InstanceNorm Clip Reorg YoloDetectionOutput Quantize Dequantize Yolov3DetectionOutput PSROIPooling ' +
  'ROIAlign Packing Requantize Cast HardSigmoid SELU HardSwish Noop PixelShuffle DeepCopy Mish StatisticsPooling Swish Gemm GroupNorm ' +
  'LayerNorm Softplus GRU MultiHeadAttention GELU Convolution1D Pooling1D ConvolutionDepthWise1D Convolution3D ConvolutionDepthWise3D ' +
  'Pooling3D MatMul Deconvolution1D DeconvolutionDepthWise1D Deconvolution3D DeconvolutionDepthWise3D Einsum DeformableConv2D GLU Fold ' +
  'Unfold GridSample CumSum CopyTo Erf Diag CELU Shrink RMSNorm Spectrogram InverseSpectrogram'
).split(' ');

/** A layer's numbered settings. */
export interface NcnnSettings {
  number(id: number, fallback?: number): number;
  list(id: number): readonly number[] | undefined;
}

/** One stored weight: how many numbers, and whether a flag in front says how they are stored. */
export interface NcnnWeight {
  readonly name: string;
  readonly size: number;
  readonly flagged: boolean;
  readonly shape?: readonly number[];
  readonly learned?: false;
}

const kernel = (size: number, shape?: readonly number[]): NcnnWeight => ({
  name: 'weight',
  size,
  flagged: true,
  ...(shape && elementsOf(shape) === size ? { shape } : {}),
});
const plain = (name: string, size: number): NcnnWeight => ({ name, size, flagged: false });
const setting = (name: string, size: number): NcnnWeight => ({ name, size, flagged: false, learned: false });

function convolution(s: NcnnSettings): NcnnWeight[] {
  if (s.number(19) !== 0) return [];
  const [outputs, size] = [s.number(0), s.number(6)];
  const [width, height] = [s.number(1), s.number(11, s.number(1))];
  const inputs = size / Math.max(1, outputs * width * height);
  const found = [kernel(size, [outputs, inputs, height, width])];
  if (s.number(5) !== 0) found.push(plain('bias', outputs));
  const int8 = s.number(8);
  if (int8 !== 0) {
    const groups = s.number(7);
    const scales = groups > 0 ? (int8 === 1 || int8 === 101 ? groups : 1) : outputs;
    found.push(setting('weight scales', scales), setting('input scale', 1));
    if (int8 > 100) found.push(setting('output scale', 1));
  }
  return found;
}

function innerProduct(s: NcnnSettings): NcnnWeight[] {
  const [outputs, size] = [s.number(0), s.number(2)];
  const found = [kernel(size, [outputs, size / Math.max(1, outputs)])];
  if (s.number(1) !== 0) found.push(plain('bias', outputs));
  if (s.number(8) !== 0) found.push(setting('weight scales', outputs), setting('input scale', 1));
  return found;
}

function recurrent(gates: number, biases: number) {
  return (s: NcnnSettings): NcnnWeight[] => {
    const directions = s.number(2) === 2 ? 2 : 1;
    const outputs = s.number(0);
    return [
      kernel(s.number(1)),
      { ...kernel(outputs * biases * directions), name: 'bias' },
      { ...kernel(outputs * outputs * gates * directions), name: 'recurrent weight' },
    ];
  };
}

/** Two vectors where the layer has a scale and a shift of its own. */
const affine = (channels: number, on: number): NcnnWeight[] =>
  on === 0 ? [] : [plain('gamma', channels), plain('beta', channels)];

/** The weights of a layer, in the order of the file; layers that are not named here have none. */
export const ncnnWeights: Readonly<Record<string, (s: NcnnSettings) => readonly NcnnWeight[]>> = {
  Convolution: convolution,
  ConvolutionDepthWise: convolution,
  Convolution1D: convolution,
  ConvolutionDepthWise1D: convolution,
  Convolution3D: convolution,
  ConvolutionDepthWise3D: convolution,
  Deconvolution: convolution,
  DeconvolutionDepthWise: convolution,
  Deconvolution1D: convolution,
  DeconvolutionDepthWise1D: convolution,
  InnerProduct: innerProduct,
  BatchNorm: (s) => ['slope', 'mean', 'variance', 'bias'].map((name) => plain(name, s.number(0))),
  Scale: (s) =>
    s.number(0) === -233
      ? []
      : [plain('scale', s.number(0)), ...(s.number(1) !== 0 ? [plain('bias', s.number(0))] : [])],
  Bias: (s) => [plain('bias', s.number(0))],
  PReLU: (s) => [plain('slope', s.number(0))],
  InstanceNorm: (s) => affine(s.number(0), s.number(2, 1)),
  GroupNorm: (s) => affine(s.number(1), s.number(3, 1)),
  LayerNorm: (s) => affine(s.number(0), s.number(2, 1)),
  RMSNorm: (s) => affine(s.number(0), s.number(2, 1)).slice(0, 1),
  Normalize: (s) => [plain('scale', s.number(3))],
  Embed: (s) => [kernel(s.number(3)), ...(s.number(2) !== 0 ? [plain('bias', s.number(0))] : [])],
  MemoryData: (s) => [
    setting(
      'data',
      [0, 1, 11, 2].reduce((size, id) => size * Math.max(1, s.number(id)), 1),
    ),
  ],
  LSTM: recurrent(4, 4),
  GRU: recurrent(3, 4),
  RNN: recurrent(1, 1),
  Gemm: (s) => [
    ...(s.number(4) !== 0 ? [kernel(s.number(7) * s.number(9))] : []),
    ...(s.number(5) !== 0 ? [kernel(s.number(8) * s.number(9))] : []),
  ],
  MultiHeadAttention: (s) =>
    ['query', 'key', 'value', 'output'].flatMap((name) => [
      { ...kernel(s.number(2)), name: `${name} weight` },
      plain(`${name} bias`, s.number(0)),
    ]),
};

/** Positions of a window over height and width; negative padding asks for TensorFlow's SAME. */
function spatial(s: NcnnSettings, height: number, width: number): readonly [number, number] {
  const [kw, dw, sw, left] = [s.number(1), s.number(2, 1), s.number(3, 1), s.number(4)];
  const [kh, dh, sh, top] = [s.number(11, kw), s.number(12, dw), s.number(13, sw), s.number(14, left)];
  const [right, bottom] = [s.number(15, left), s.number(16, top)];
  if (left === -233 || left === -234)
    return [paddedCount(height, kh, sh, dh, 'SAME'), paddedCount(width, kw, sw, dw, 'SAME')];
  return [
    windowCount(height, { kernel: kh, stride: sh, dilation: dh, pad: top + bottom }),
    windowCount(width, { kernel: kw, stride: sw, dilation: dw, pad: left + right }),
  ];
}

function deconvolved(s: NcnnSettings, [, height = 1, width = 1]: Shape): Shape {
  const [kw, dw, sw, left] = [s.number(1), s.number(2, 1), s.number(3, 1), s.number(4)];
  const [kh, dh, sh, top] = [s.number(11, kw), s.number(12, dw), s.number(13, sw), s.number(14, left)];
  if (s.number(20) > 0) return [s.number(0), s.number(21, s.number(20)), s.number(20)];
  return [
    s.number(0),
    (height - 1) * sh + dh * (kh - 1) + 1 + s.number(19, s.number(18)) - (left < 0 ? 0 : top + s.number(16, top)),
    (width - 1) * sw + dw * (kw - 1) + 1 + s.number(18) - (left < 0 ? 0 : left + s.number(15, left)),
  ];
}

function pooled(s: NcnnSettings, [channels = 1, height = 1, width = 1]: Shape): Shape {
  if (s.number(4) !== 0) return [channels];
  if (s.number(7) !== 0) return [channels, s.number(18, s.number(8)), s.number(8)];
  const [kw, sw, left] = [s.number(1), s.number(2, 1), s.number(3)];
  const [kh, sh, top] = [s.number(11, kw), s.number(12, sw), s.number(13, left)];
  const mode = s.number(5);
  if (mode >= 2) return [channels, paddedCount(height, kh, sh, 1, 'SAME'), paddedCount(width, kw, sw, 1, 'SAME')];
  return [
    channels,
    windowCount(height, { kernel: kh, stride: sh, pad: top + s.number(15, top) }, mode === 0),
    windowCount(width, { kernel: kw, stride: sw, pad: left + s.number(14, left) }, mode === 0),
  ];
}

/** Orders of Permute for three axes, from channel, height, width. */
const ORDERS: readonly (readonly number[])[] = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

type ShapeRule = (s: NcnnSettings, inputs: readonly Shape[], outputs: number) => readonly (Shape | undefined)[];
const one =
  (rule: (s: NcnnSettings, input: Shape, inputs: readonly Shape[]) => Shape | undefined): ShapeRule =>
  (s, inputs) => [inputs[0] && rule(s, inputs[0], inputs)];

const convolved = one((s, [, height = 1, width = 1]) => [s.number(0), ...spatial(s, height, width)]);
const joined = one((_, input, inputs) =>
  inputs.reduce<Shape | undefined>((shape, next) => shape && broadcast(shape, next), input),
);

/** Shapes of results, as channel, height, width, without a batch; a layer that is not named here keeps its input's. */
export const ncnnShapes: Readonly<Record<string, ShapeRule>> = {
  Input: (s) => {
    const shape = [s.number(2), s.number(1), s.number(0)].filter((dim) => dim > 0);
    return [shape.length > 0 ? shape : undefined];
  },
  MemoryData: (s) => [[s.number(2), s.number(1), s.number(0)].filter((dim) => dim > 0)],
  Convolution: convolved,
  ConvolutionDepthWise: convolved,
  Convolution1D: one((s, [, width = 1]) => [s.number(0), spatial(s, 1, width)[1]]),
  ConvolutionDepthWise1D: one((s, [, width = 1]) => [s.number(0), spatial(s, 1, width)[1]]),
  Deconvolution: one(deconvolved),
  DeconvolutionDepthWise: one(deconvolved),
  Pooling: one(pooled),
  InnerProduct: one((s, input) => (input.length === 2 ? [input[0]!, s.number(0)] : [s.number(0)])),
  Flatten: one((_, input) => [elementsOf(input)]),
  Reshape: one((s, input) => {
    const dims = [s.number(2, -233), s.number(11, -233), s.number(1, -233), s.number(0, -233)].filter(
      (dim) => dim !== -233,
    );
    return reshaped(input, dims, true);
  }),
  Permute: one((s, input) => {
    if (input.length === 2) return s.number(0) === 1 ? [input[1]!, input[0]!] : input;
    const order = ORDERS[s.number(0)];
    return input.length === 3 && order ? order.map((axis) => input[axis]!) : undefined;
  }),
  Concat: one((s, _, inputs) => concatenated(inputs, s.number(0))),
  Slice: (s, inputs, outputs) => {
    const input = inputs[0];
    const given = s.list(0) ?? [];
    const axis = s.number(1) < 0 ? s.number(1) + (input?.length ?? 0) : s.number(1);
    if (input?.[axis] === undefined) return [];
    let left = input[axis];
    return Array.from({ length: outputs }, (_, i) => {
      const share = given[i] === undefined || given[i] === -233 ? Math.floor(left / (outputs - i)) : given[i];
      left -= share;
      return input.with(axis, share);
    });
  },
  Split: (_, inputs, outputs) => Array.from({ length: outputs }, () => inputs[0]),
  Interp: one((s, [channels = 1, height = 1, width = 1]) => {
    const [toHeight, toWidth] = [s.number(3), s.number(4)];
    if (toHeight > 0 && toWidth > 0) return [channels, toHeight, toWidth];
    const [byHeight, byWidth] = [s.number(1, 1), s.number(2, 1)];
    return [channels, Math.floor(height * byHeight), Math.floor(width * byWidth)];
  }),
  PixelShuffle: one((s, [channels = 1, height = 1, width = 1]) => {
    const by = Math.max(1, s.number(0, 1));
    return [Math.floor(channels / (by * by)), height * by, width * by];
  }),
  Padding: one((s, [channels = 1, height = 1, width = 1]) => [
    channels,
    height + s.number(0) + s.number(1),
    width + s.number(2) + s.number(3),
  ]),
  BinaryOp: joined,
  Eltwise: joined,
  Crop: () => [],
  Squeeze: () => [],
  ExpandDims: () => [],
  Reduction: () => [],
  MatMul: () => [],
  Gemm: () => [],
  DetectionOutput: () => [],
  YoloDetectionOutput: () => [],
  Yolov3DetectionOutput: () => [],
  PriorBox: () => [],
  Proposal: () => [],
  ROIPooling: () => [],
  ROIAlign: () => [],
  PSROIPooling: () => [],
  LSTM: one((s, [steps = 1]) => [steps, s.number(0) * (s.number(2) === 2 ? 2 : 1)]),
  GRU: one((s, [steps = 1]) => [steps, s.number(0) * (s.number(2) === 2 ? 2 : 1)]),
  RNN: one((s, [steps = 1]) => [steps, s.number(0) * (s.number(2) === 2 ? 2 : 1)]),
  Embed: one((s, [steps = 1]) => [steps, s.number(0)]),
  Tile: () => [],
  Reorg: one((s, [channels = 1, height = 1, width = 1]) => {
    const by = Math.max(1, s.number(0, 1));
    return [channels * by * by, Math.floor(height / by), Math.floor(width / by)];
  }),
};
