/** @file Gradients of pooling against central differences. */
import { describe, expect, it } from 'vitest';
import { buildCase, checkCase, distinct, f, gradientsOf, values, type OpCase } from './harness.js';

const max = (name: string, dims: number[], attributes: OpCase['attributes']): OpCase => ({
  name,
  op: 'MaxPool',
  inputs: [distinct(...dims)],
  attributes,
});
// AveragePool and the ConvTranspose of its gradient are float32 alone; both are linear, so a large step is exact.
const average = (name: string, dims: number[], attributes: OpCase['attributes'], opset = 19): OpCase => ({
  name,
  op: 'AveragePool',
  inputs: [f(...dims)],
  attributes,
  opset,
  dtype: 'float32',
  step: 0.5,
  tolerance: 2e-4,
});

const maxPools: readonly OpCase[] = [
  max('2×2 stride 2', [2, 3, 4, 6], { kernel_shape: [2, 2], strides: [2, 2] }),
  max('overlapping 3×3 stride 2 padded', [2, 2, 7, 8], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  max('stride 1 overlapping', [1, 1, 5, 5], { kernel_shape: [3, 2] }),
  max('ceil_mode', [2, 2, 6, 7], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }),
  max('dilated', [2, 2, 7, 8], { kernel_shape: [2, 3], dilations: [2, 3] }),
  max('SAME_UPPER', [2, 2, 5, 5], { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'SAME_UPPER' }),
  max('stride above kernel', [2, 2, 8, 8], { kernel_shape: [2, 2], strides: [3, 3] }),
  max('one dimension', [2, 2, 9], { kernel_shape: [3], strides: [2] }),
  max('three dimensions', [1, 2, 4, 4, 4], { kernel_shape: [2, 2, 2], strides: [2, 1, 2] }),
  { ...max('with its indices', [2, 2, 6, 6], { kernel_shape: [3, 3], strides: [2, 2] }), outputs: 2, lossOutputs: [0] },
];

const averagePools: readonly OpCase[] = [
  average('2×2 stride 2', [2, 3, 4, 6], { kernel_shape: [2, 2], strides: [2, 2] }),
  average('overlapping', [2, 2, 7, 7], { kernel_shape: [3, 3], strides: [2, 2] }),
  average('padding not counted', [2, 2, 6, 7], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  average('padding counted', [2, 2, 6, 7], {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    count_include_pad: 1,
  }),
  average('ceil_mode', [2, 2, 6, 8], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }),
  average('ceil_mode, padding counted', [1, 2, 6, 8], {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 0, 0],
    ceil_mode: 1,
    count_include_pad: 1,
  }),
  average('dilated', [1, 2, 7, 8], { kernel_shape: [2, 3], dilations: [2, 2] }),
  average('SAME_LOWER', [2, 2, 5, 5], { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'SAME_LOWER' }),
  average('stride above kernel', [2, 2, 8, 8], { kernel_shape: [2, 2], strides: [3, 3] }),
  average('one dimension', [2, 2, 9], { kernel_shape: [4], strides: [2], pads: [1, 2] }),
  average('three dimensions', [1, 2, 4, 4, 4], { kernel_shape: [2, 2, 2], strides: [2, 1, 2] }),
];

const globals: readonly OpCase[] = ['GlobalAveragePool', 'GlobalMaxPool'].flatMap((op) =>
  [
    [2, 3, 4, 5],
    [1, 1, 3],
    [2, 2, 2, 2, 2],
  ].map((dims): OpCase => ({
    name: `${op} [${dims.join()}]`,
    op,
    inputs: [distinct(...dims)],
    dtype: 'float32',
    tolerance: 2e-3,
  })),
);

const lpPools: readonly OpCase[] = [1, 2, 3].flatMap((p): OpCase[] => [
  {
    name: `LpPool p ${p}`,
    op: 'LpPool',
    inputs: [distinct(2, 2, 4, 6)],
    attributes: { p, kernel_shape: [2, 2], strides: [2, 2] },
    dtype: 'float32',
  },
  {
    name: `LpPool p ${p}, overlapping, padded`,
    op: 'LpPool',
    inputs: [distinct(1, 2, 5, 5)],
    attributes: { p, kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    dtype: 'float32',
  },
  {
    name: `GlobalLpPool p ${p}`,
    op: 'GlobalLpPool',
    inputs: [distinct(2, 2, 3, 3)],
    attributes: { p },
    dtype: 'float32',
  },
]);

describe('gradient of Lp pooling', () => {
  it.each(lpPools)('$name', (test) => checkCase(test));
});

describe('gradient of MaxPool', () => {
  it.each(maxPools)('$name', (test) => checkCase(test));

  it('goes to the first of equal values', async () => {
    const test: OpCase = {
      name: 'ties',
      op: 'MaxPool',
      inputs: [values([1, 1, 2, 4], [3, 3, 1, 1, 3, 0, 1, 1])],
      attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    };
    const gradient = (await gradientsOf(await buildCase(test, 'float32'))).get('in0')!.numbers();
    expect(gradient.map((value) => value !== 0)).toEqual([true, false, true, false, false, false, false, false]);
  });
});

describe('gradient of AveragePool', () => {
  it.each(averagePools)('$name', (test) => checkCase(test));
});

describe('gradient of global pooling', () => {
  it.each(globals)('$name', (test) => checkCase(test));
});
