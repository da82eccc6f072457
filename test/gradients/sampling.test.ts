/** @file Gradients of operators that read between pixels, along regions or by windows, against central differences. */
import { describe, it } from 'vitest';
import { float, Tensor } from '../../src/ir/index.js';
import {
  between,
  checkCase,
  checkSpelledOut,
  distinct,
  f,
  i64,
  values,
  type FloatInput,
  type OpCase,
} from './harness.js';

const fixed = (input: FloatInput): FloatInput => ({ ...input, constant: true });
const long = (dims: readonly number[], given: readonly number[]): Tensor => Tensor.of('int64', dims, given);

/** Grid points that keep away from where a neighbour changes, a few of them outside the image. */
const GRID = values(
  [2, 3, 2, 2],
  [
    ...[-0.62, 0.31, 0.13, -0.41, 0.77, 0.55, -0.21, -0.83, 1.21, 0.12, -1.33, 0.44],
    ...[0.37, -0.18, -0.53, 0.66, 0.09, 0.91, -0.71, -0.32, 0.28, 1.41, 0.58, -1.17],
  ],
);
const VOLUME_GRID = values(
  [1, 2, 2, 1, 3],
  [-0.62, 0.31, 0.13, -0.41, 0.77, 0.55, -0.21, -0.83, 0.33, 1.21, 0.12, -1.33],
);
const gridSamples: readonly OpCase[] = ['zeros', 'border', 'reflection'].flatMap((padding_mode) =>
  [0, 1].flatMap((align_corners): OpCase[] => {
    const attributes = { padding_mode, align_corners };
    return [
      ...['linear', 'nearest', 'cubic'].map((mode) => ({
        name: `GridSample ${mode} ${padding_mode} ${align_corners}`,
        op: 'GridSample',
        inputs: [f(2, 3, 4, 5), GRID],
        attributes: { ...attributes, mode },
        opset: 20,
        batched: [0, 1],
      })),
      {
        name: `GridSample of a volume ${padding_mode} ${align_corners}`,
        op: 'GridSample',
        inputs: [f(1, 2, 3, 4, 3), VOLUME_GRID],
        attributes: { ...attributes, mode: 'linear' },
        opset: 20,
      },
    ];
  }),
);
const ROIS = [0.35, 0.6, 4.7, 4.2, 1.1, 0.2, 5.9, 3.3, -0.7, 1.3, 2.4, 6.4];
const roiAligns: readonly OpCase[] = [
  ...['half_pixel', 'output_half_pixel'].flatMap((coordinate_transformation_mode) =>
    [2, 0].map((sampling_ratio): OpCase => ({
      name: `RoiAlign ${coordinate_transformation_mode}, ratio ${sampling_ratio}`,
      op: 'RoiAlign',
      inputs: [f(2, 2, 6, 5), values([3, 4], ROIS), i64(0, 1, 0)],
      attributes: {
        ...{ coordinate_transformation_mode, sampling_ratio, output_height: 2, output_width: 3 },
        spatial_scale: float(0.9),
      },
    })),
  ),
  {
    name: 'RoiAlign of maxima',
    op: 'RoiAlign',
    inputs: [distinct(2, 2, 6, 5), fixed(values([3, 4], ROIS)), i64(0, 1, 0)],
    attributes: { mode: 'max', sampling_ratio: 2, output_height: 2, output_width: 3 },
    step: 1e-6,
  },
];
const maxRois: OpCase = {
  name: 'MaxRoiPool',
  op: 'MaxRoiPool',
  inputs: [distinct(2, 2, 6, 5), fixed(values([3, 5], [0, 0, 0, 4, 4, 1, 1, 0, 3, 5, 0, 2, 3, 9, 8]))],
  attributes: { pooled_shape: [2, 3], spatial_scale: float(0.8) },
  dtype: 'float32',
};
const deformed = (name: string, x: FloatInput, w: FloatInput, more: OpCase['inputs'], attributes = {}): OpCase => ({
  name: `DeformConv ${name}`,
  op: 'DeformConv',
  inputs: [x, w, ...more],
  attributes,
  opset: 19,
});
const deformConvs: readonly OpCase[] = [
  deformed('plain', f(2, 2, 5, 4), f(3, 2, 3, 3), [between(-0.4, 0.4, 2, 18, 3, 2)]),
  deformed('with bias and mask', f(1, 2, 4, 4), f(3, 2, 2, 2), [between(-0.9, 0.9, 1, 8, 5, 5), f(3), f(1, 4, 5, 5)], {
    pads: [1, 1, 1, 1],
  }),
  deformed('in groups, strided and dilated', f(2, 4, 6, 7), f(4, 2, 2, 2), [between(-1.3, 1.3, 2, 16, 3, 3)], {
    ...{ group: 2, offset_group: 2, strides: [2, 2], dilations: [2, 1], pads: [1, 0, 0, 0] },
  }),
];

const col2im = (name: string, dims: readonly number[], image: Tensor, block: Tensor, attributes = {}): OpCase => ({
  name: `Col2Im ${name}`,
  op: 'Col2Im',
  inputs: [f(...dims), image, block],
  attributes,
  dtype: 'float32',
});
const windows: readonly OpCase[] = [
  col2im('of distinct blocks', [2, 12, 4], i64(4, 4), i64(2, 2), { strides: [2, 2] }),
  col2im('of overlapping blocks', [2, 12, 9], i64(4, 4), i64(2, 2)),
  col2im('dilated and padded', [1, 8, 9], i64(4, 5), i64(2, 2), {
    ...{ dilations: [2, 1], pads: [1, 0, 0, 1], strides: [1, 2] },
  }),
  {
    name: 'MaxUnpool',
    op: 'MaxUnpool',
    inputs: [f(1, 1, 2, 2), long([1, 1, 2, 2], [5, 7, 13, 15])],
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    dtype: 'float32',
  },
  {
    name: 'MaxUnpool of two images with an output shape',
    op: 'MaxUnpool',
    inputs: [f(2, 1, 2, 2), long([2, 1, 2, 2], [5, 7, 13, 15, 30, 32, 41, 44]), i64(2, 1, 5, 5)],
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    dtype: 'float32',
  },
  ...[
    { dims: [4, 5, 3], sizes: [6, 2], axes: [0, 1] },
    { dims: [4, 5, 3], sizes: [3, 8], axes: [0, 1] },
    { dims: [5, 4, 3], sizes: [2, 7, 3], axes: [0, 1, 2] },
    { dims: [2, 5, 7], sizes: [2, 4], axes: [-2, -1] },
  ].map(({ dims, sizes, axes }): OpCase => ({
    name: `CenterCropPad [${dims.join()}] to ${sizes.join('×')} along ${axes.join()}`,
    op: 'CenterCropPad',
    inputs: [f(...dims), i64(...sizes)],
    attributes: { axes },
    batched: axes.includes(0) ? [] : [0],
  })),
  ...[0, 1].flatMap((align_corners): OpCase[] => [
    {
      name: `AffineGrid of images, aligned ${align_corners}`,
      op: 'AffineGrid',
      inputs: [f(2, 2, 3), i64(2, 3, 4, 5)],
      attributes: { align_corners },
      opset: 20,
      batched: [],
    },
    {
      name: `AffineGrid of volumes, aligned ${align_corners}`,
      op: 'AffineGrid',
      inputs: [f(2, 3, 4), i64(2, 1, 2, 3, 4)],
      attributes: { align_corners },
      opset: 20,
      batched: [],
    },
  ]),
];

const resize = (name: string, test: Partial<OpCase> & Pick<OpCase, 'inputs'>): OpCase => ({
  ...{ name: `Resize ${name}`, op: 'Resize', opset: 19, dtype: 'float32', step: 0.5, tolerance: 2e-4 },
  ...test,
});
const sizes = (...given: number[]): OpCase['inputs'] => [f(2, 2, 5, 6), undefined, undefined, i64(...given)];
const cubics: readonly OpCase[] = ['half_pixel', 'align_corners', 'asymmetric', 'pytorch_half_pixel'].flatMap(
  (coordinate_transformation_mode) =>
    [sizes(7, 9), sizes(3, 4), sizes(10, 1)].flatMap((inputs) =>
      [0, 1].map((exclude_outside) =>
        resize(
          `cubic ${coordinate_transformation_mode} ${(inputs[3] as Tensor).numbers().join('×')} ${exclude_outside}`,
          {
            inputs,
            attributes: { mode: 'cubic', coordinate_transformation_mode, exclude_outside, axes: [2, 3] },
          },
        ),
      ),
    ),
);
const smooth: readonly OpCase[] = ['linear', 'cubic'].flatMap((mode) => [
  ...[sizes(3, 4), sizes(2, 6), sizes(8, 3)].map((inputs) =>
    resize(`${mode} antialiased to ${(inputs[3] as Tensor).numbers().join('×')}`, {
      inputs,
      attributes: { mode, antialias: 1, axes: [2, 3] },
      opset: 18,
    }),
  ),
  resize(`${mode} by odd scales`, {
    inputs: [f(2, 2, 5, 6), undefined, Tensor.floats([1, 1, 1.7, 0.6])],
    attributes: { mode },
  }),
]);
const crops: readonly OpCase[] = ['linear', 'nearest', 'cubic'].flatMap((mode) =>
  [
    [0.2, 0.1, 0.8, 0.7],
    [-0.3, 0.1, 0.8, 1.4],
  ].map((region, i) =>
    resize(`${mode} cropped ${i === 0 ? 'inside' : 'beyond the edge'}`, {
      inputs: [f(2, 2, 5, 6), Tensor.floats(region), undefined, i64(4, 3)],
      attributes: {
        ...{ mode, coordinate_transformation_mode: 'tf_crop_and_resize', axes: [2, 3] },
        extrapolation_value: float(2.5),
      },
    }),
  ),
);
const policies: readonly OpCase[] = ['not_larger', 'not_smaller'].map((keep_aspect_ratio_policy) =>
  resize(`linear ${keep_aspect_ratio_policy}`, {
    inputs: [f(2, 2, 5, 6), undefined, undefined, i64(7, 7)],
    attributes: { mode: 'linear', keep_aspect_ratio_policy, axes: [2, 3] },
  }),
);

const spelled = [...gridSamples, ...roiAligns, maxRois, ...deformConvs];
describe('gradient of sampling', () => {
  it.each([...spelled, ...windows])('$name', (test) => checkCase(test));
});

describe('gradient of Resize', () => {
  it.each([...cubics, ...smooth, ...crops, ...policies])('$name', (test) => checkCase(test));
});

describe('sampling operators spelled out give the same values', () => {
  it.each(spelled)('$name', (test) => checkSpelledOut(test));
});
