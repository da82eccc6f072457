/** @file Keras layers: the weights that each makes for its input, and the shape of its result. Channels last, batch of one in front. */
import { list, text, type Json } from './json.js';
import { broadcast, concatenated, elementsOf, paddedCount, reshaped, transposed, type Shape } from './shape-rules.js';

/** A layer's configuration. */
export type KerasSettings = Readonly<Record<string, Json>>;

/** A weight by the name Keras gives it. */
export interface KerasWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly layout?: 'HWIO' | 'HWCM' | 'IO';
}

interface KerasRule {
  readonly weights?: (s: KerasSettings, input: Shape) => readonly KerasWeight[];
  /** The input's shape where omitted. */
  readonly shape?: (s: KerasSettings, input: Shape, inputs: readonly Shape[]) => Shape | undefined;
}

const count = (value: Json, fallback = 1): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : fallback;
/** A size for both axes, or one for each. */
const pair = (value: Json, fallback = 1): readonly [number, number] => {
  const [first, second] = list(value);
  return Array.isArray(value)
    ? [count(first, fallback), count(second, count(first, fallback))]
    : [count(value, fallback), count(value, fallback)];
};
const padding = (s: KerasSettings): 'SAME' | 'VALID' => (text(s['padding']) === 'same' ? 'SAME' : 'VALID');
const bias = (s: KerasSettings, size: number): readonly KerasWeight[] =>
  s['use_bias'] === false ? [] : [{ name: 'bias', shape: [size] }];
const channels = (input: Shape): number => input.at(-1) ?? 1;

function windowed(s: KerasSettings, input: Shape, size: Json, depth: number): Shape {
  const axes = input.length - 2;
  const [kernel, stride, dilation] = [
    pair(size),
    pair(s['strides'] ?? (s['pool_size'] === undefined ? 1 : s['pool_size'])),
    pair(s['dilation_rate']),
  ];
  const spatial = input
    .slice(1, 1 + axes)
    .map((dim, i) => paddedCount(dim, kernel[i] ?? 1, stride[i] ?? 1, dilation[i] ?? 1, padding(s)));
  return [input[0] ?? 1, ...spatial, depth];
}

const kernel = (s: KerasSettings, input: Shape): readonly [number, number] | readonly [number] =>
  input.length === 3 ? [pair(s['kernel_size'])[0]] : pair(s['kernel_size']);

const convolution: KerasRule = {
  weights: (s, input) => [
    {
      name: 'kernel',
      shape: [...kernel(s, input), Math.floor(channels(input) / Math.max(1, count(s['groups']))), count(s['filters'])],
      layout: 'HWIO',
    },
    ...bias(s, count(s['filters'])),
  ],
  shape: (s, input) => windowed(s, input, s['kernel_size'], count(s['filters'])),
};
const pooling: KerasRule = { shape: (s, input) => windowed(s, input, s['pool_size'] ?? 2, channels(input)) };
const globalPooling: KerasRule = {
  shape: (s, input) =>
    s['keepdims'] === true
      ? [input[0] ?? 1, ...input.slice(1, -1).map(() => 1), channels(input)]
      : [input[0] ?? 1, channels(input)],
};
const merge: KerasRule = {
  shape: (_, input, inputs) =>
    inputs.reduce<Shape | undefined>((shape, next) => shape && broadcast(shape, next), input),
};
const recurrent = (gates: number, biases: (s: KerasSettings) => readonly number[]): KerasRule => ({
  weights: (s, input) => {
    const units = count(s['units']);
    return [
      { name: 'kernel', shape: [channels(input), gates * units], layout: 'IO' },
      { name: 'recurrent_kernel', shape: [units, gates * units], layout: 'IO' },
      ...(s['use_bias'] === false ? [] : [{ name: 'bias', shape: [...biases(s), gates * units] }]),
    ];
  },
  shape: (s, input) =>
    s['return_sequences'] === true ? [...input.slice(0, -1), count(s['units'])] : [input[0] ?? 1, count(s['units'])],
});
const padded = (s: KerasSettings): readonly (readonly [number, number])[] => {
  const given = list(s['padding']);
  const axes = Array.isArray(s['padding']) ? given : [s['padding'], s['padding']];
  return axes.map((axis) => (Array.isArray(axis) ? pair(axis, 0) : [count(axis, 0), count(axis, 0)]));
};

/** Layers by class name; one that is not named here has no weights and keeps its input's shape if it is of a family that does. */
export const kerasLayers: Readonly<Record<string, KerasRule>> = {
  Conv1D: convolution,
  Conv2D: convolution,
  Convolution2D: convolution,
  DepthwiseConv2D: {
    weights: (s, input) => {
      const multiplier = count(s['depth_multiplier']);
      return [
        { name: 'depthwise_kernel', shape: [...kernel(s, input), channels(input), multiplier], layout: 'HWCM' },
        ...bias(s, channels(input) * multiplier),
      ];
    },
    shape: (s, input) => windowed(s, input, s['kernel_size'], channels(input) * count(s['depth_multiplier'])),
  },
  SeparableConv2D: {
    weights: (s, input) => {
      const between = channels(input) * count(s['depth_multiplier']);
      return [
        {
          name: 'depthwise_kernel',
          shape: [...kernel(s, input), channels(input), count(s['depth_multiplier'])],
          layout: 'HWCM',
        },
        { name: 'pointwise_kernel', shape: [1, 1, between, count(s['filters'])], layout: 'HWIO' },
        ...bias(s, count(s['filters'])),
      ];
    },
    shape: (s, input) => windowed(s, input, s['kernel_size'], count(s['filters'])),
  },
  Conv2DTranspose: {
    weights: (s, input) => [
      { name: 'kernel', shape: [...kernel(s, input), count(s['filters']), channels(input)] },
      ...bias(s, count(s['filters'])),
    ],
    shape: (s, [batch = 1, height = 1, width = 1]) => {
      const [size, stride] = [pair(s['kernel_size']), pair(s['strides'])];
      const grown = [height, width].map(
        (dim, i) => dim * stride[i]! + (padding(s) === 'SAME' ? 0 : Math.max(size[i]! - stride[i]!, 0)),
      );
      return [batch, ...grown, count(s['filters'])];
    },
  },
  Dense: {
    weights: (s, input) => [
      { name: 'kernel', shape: [channels(input), count(s['units'])], layout: 'IO' },
      ...bias(s, count(s['units'])),
    ],
    shape: (s, input) => [...input.slice(0, -1), count(s['units'])],
  },
  BatchNormalization: {
    weights: (s, input) => [
      ...(s['scale'] === false ? [] : [{ name: 'gamma', shape: [channels(input)] }]),
      ...(s['center'] === false ? [] : [{ name: 'beta', shape: [channels(input)] }]),
      { name: 'moving_mean', shape: [channels(input)] },
      { name: 'moving_variance', shape: [channels(input)] },
    ],
  },
  LayerNormalization: {
    weights: (s, input) => [
      ...(s['scale'] === false ? [] : [{ name: 'gamma', shape: [channels(input)] }]),
      ...(s['center'] === false ? [] : [{ name: 'beta', shape: [channels(input)] }]),
    ],
  },
  PReLU: {
    weights: (s, input) => {
      const shared = list(s['shared_axes']);
      return [{ name: 'alpha', shape: input.slice(1).map((dim, i) => (shared.includes(i + 1) ? 1 : dim)) }];
    },
  },
  Embedding: {
    weights: (s) => [{ name: 'embeddings', shape: [count(s['input_dim']), count(s['output_dim'])] }],
    shape: (s, input) => [...input, count(s['output_dim'])],
  },
  LSTM: recurrent(4, () => []),
  GRU: recurrent(3, (s) => (s['reset_after'] === false ? [] : [2])),
  SimpleRNN: recurrent(1, () => []),
  MaxPooling2D: pooling,
  AveragePooling2D: pooling,
  MaxPooling1D: pooling,
  AveragePooling1D: pooling,
  GlobalAveragePooling2D: globalPooling,
  GlobalMaxPooling2D: globalPooling,
  GlobalAveragePooling1D: globalPooling,
  GlobalMaxPooling1D: globalPooling,
  Flatten: { shape: (_, input) => [input[0] ?? 1, elementsOf(input.slice(1))] },
  Reshape: {
    shape: (s, input) =>
      reshaped(input, [input[0] ?? 1, ...list(s['target_shape']).map((dim) => count(dim, -1))], false),
  },
  Permute: { shape: (s, input) => transposed(input, [0, ...list(s['dims']).map((dim) => count(dim))]) },
  RepeatVector: { shape: (s, input) => [input[0] ?? 1, count(s['n']), channels(input)] },
  ZeroPadding2D: {
    shape: (s, [batch = 1, height = 1, width = 1, depth = 1]) => {
      const [rows, columns] = padded(s);
      return [
        batch,
        height + (rows?.[0] ?? 0) + (rows?.[1] ?? 0),
        width + (columns?.[0] ?? 0) + (columns?.[1] ?? 0),
        depth,
      ];
    },
  },
  UpSampling2D: {
    shape: (s, [batch = 1, height = 1, width = 1, depth = 1]) => {
      const by = pair(s['size'], 2);
      return [batch, height * by[0], width * by[1], depth];
    },
  },
  Concatenate: { shape: (s, _, inputs) => concatenated(inputs, count(s['axis'], -1)) },
  Add: merge,
  Subtract: merge,
  Multiply: merge,
  Average: merge,
  Maximum: merge,
  Minimum: merge,
};
