/** @file Gradients of convolutions against central differences. */
import { describe, it } from 'vitest';
import { checkCase, f, type OpCase } from './harness.js';

// ONNX Runtime's CPU convolution is float32 alone; the loss is linear in each input, so a large step is exact.
const conv = (name: string, inputs: OpCase['inputs'], attributes: OpCase['attributes'] = {}): OpCase => ({
  name,
  op: 'Conv',
  inputs,
  attributes,
  dtype: 'float32',
  step: 0.5,
  tolerance: 2e-4,
});
const transpose = (name: string, inputs: OpCase['inputs'], attributes: OpCase['attributes'] = {}): OpCase => ({
  ...conv(name, inputs, attributes),
  op: 'ConvTranspose',
});

const convolutions: readonly OpCase[] = [
  conv('3×3 padded', [f(2, 3, 5, 6), f(4, 3, 3, 3), f(4)], { pads: [1, 1, 1, 1] }),
  conv('batch 1, channel 1, no padding', [f(1, 1, 4, 4), f(1, 1, 3, 3)]),
  conv('1×1', [f(2, 3, 4, 5), f(5, 3, 1, 1), f(5)]),
  conv('1×1 stride 2', [f(2, 3, 5, 6), f(4, 3, 1, 1)], { strides: [2, 2] }),
  conv('3×3 stride 2 padded', [f(2, 3, 8, 8), f(4, 3, 3, 3), f(4)], { pads: [1, 1, 1, 1], strides: [2, 2] }),
  conv('stride 3 over a kernel of 2, rest unused', [f(2, 2, 10, 9), f(3, 2, 2, 2)], { strides: [3, 3] }),
  conv('dilated', [f(2, 2, 9, 8), f(3, 2, 3, 3)], { dilations: [2, 3], pads: [2, 3, 1, 0] }),
  conv('dilated and strided', [f(2, 2, 9, 11), f(3, 2, 3, 2)], {
    dilations: [2, 3],
    strides: [2, 2],
    pads: [1, 0, 2, 1],
  }),
  conv('padding beyond the kernel', [f(2, 2, 4, 4), f(3, 2, 1, 2)], { pads: [2, 2, 1, 3] }),
  conv('uneven stride and kernel', [f(2, 2, 7, 8), f(3, 2, 3, 2)], { strides: [1, 2], pads: [0, 1, 1, 0] }),
  conv('two groups', [f(2, 4, 5, 5), f(6, 2, 3, 3), f(6)], { group: 2, pads: [1, 1, 1, 1] }),
  conv('two groups, stride 2', [f(2, 4, 6, 5), f(6, 2, 3, 3)], { group: 2, pads: [1, 1, 1, 1], strides: [2, 2] }),
  conv('depthwise', [f(2, 4, 5, 5), f(4, 1, 3, 3), f(4)], { group: 4, pads: [1, 1, 1, 1] }),
  conv('depthwise stride 2', [f(2, 3, 7, 6), f(3, 1, 3, 3)], { group: 3, pads: [1, 1, 1, 1], strides: [2, 2] }),
  conv('depthwise with multiplier', [f(2, 2, 5, 5), f(6, 1, 3, 3)], { group: 2 }),
  conv('auto_pad SAME_UPPER', [f(2, 2, 6, 5), f(3, 2, 2, 4)], { auto_pad: 'SAME_UPPER', strides: [2, 1] }),
  conv('auto_pad SAME_LOWER', [f(2, 2, 6, 5), f(3, 2, 2, 4)], { auto_pad: 'SAME_LOWER', strides: [1, 2] }),
  conv('auto_pad VALID', [f(2, 2, 6, 5), f(3, 2, 3, 3)], { auto_pad: 'VALID' }),
  conv('one dimension', [f(2, 3, 9), f(4, 3, 3), f(4)], { pads: [1, 2], strides: [2] }),
  conv('three dimensions', [f(2, 2, 4, 5, 3), f(3, 2, 2, 3, 2), f(3)], {
    pads: [1, 1, 0, 0, 1, 1],
    strides: [1, 2, 1],
  }),
  conv('many channels over a small map', [f(2, 8, 2, 2), f(9, 8, 3, 3)], { pads: [1, 1, 1, 1] }),
  conv('dilated over a wide map', [f(2, 2, 9, 10), f(2, 2, 3, 2)], { dilations: [2, 3], pads: [2, 0, 1, 3] }),
  conv('wide map in one dimension', [f(2, 2, 12), f(3, 2, 3)], { pads: [1, 1] }),
  conv('wide map in three dimensions', [f(1, 2, 5, 5, 5), f(2, 2, 2, 3, 2)], { pads: [1, 0, 1, 0, 1, 0] }),
  conv('wide map, cropped at the end', [f(2, 1, 9, 9), f(2, 1, 2, 2)]),
  conv('whole-map kernel', [f(3, 2, 4, 4), f(5, 2, 4, 4)]),
];

const transposes: readonly OpCase[] = [
  transpose('plain', [f(2, 3, 4, 5), f(3, 2, 3, 3), f(2)]),
  transpose('stride 2 padded, output padding', [f(2, 3, 4, 4), f(3, 2, 3, 3), f(2)], {
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    output_padding: [1, 1],
  }),
  transpose('output padding without padding', [f(2, 2, 3, 3), f(2, 2, 2, 2)], {
    strides: [2, 2],
    output_padding: [1, 0],
  }),
  transpose('groups', [f(2, 4, 3, 4), f(4, 3, 3, 3)], { group: 2, strides: [2, 1], pads: [1, 0, 0, 1] }),
  transpose('dilated', [f(2, 2, 4, 4), f(2, 3, 2, 3)], { dilations: [2, 2] }),
  transpose('dilated, strided, output padding', [f(2, 2, 4, 4), f(2, 3, 2, 2)], {
    dilations: [3, 2],
    strides: [3, 2],
    output_padding: [2, 1],
    pads: [1, 0, 1, 2],
  }),
  transpose('stride above kernel', [f(2, 2, 3, 3), f(2, 2, 2, 2)], { strides: [3, 3] }),
  transpose('auto_pad SAME_UPPER', [f(2, 2, 3, 3), f(2, 2, 3, 3)], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
  transpose('auto_pad SAME_LOWER', [f(2, 2, 3, 3), f(2, 2, 3, 4)], { auto_pad: 'SAME_LOWER', strides: [2, 2] }),
  transpose('output_shape', [f(2, 2, 3, 3), f(2, 2, 3, 3)], { output_shape: [6, 5], strides: [2, 2] }),
  transpose('one dimension', [f(2, 3, 5), f(3, 2, 4)], { strides: [2], pads: [1, 1] }),
  transpose('three dimensions', [f(1, 2, 2, 3, 2), f(2, 2, 2, 2, 2)], { strides: [1, 2, 1] }),
];

describe('gradient of Conv', () => {
  it.each(convolutions)('$name', (test) => checkCase(test));
});

describe('gradient of ConvTranspose', () => {
  it.each(transposes)('$name', (test) => checkCase(test));
});

describe.each(['moved-output', 'folded-rows', 'per-image', 'column-pairs', 'taps'])(
  'gradient of weights as %s',
  (formulation) => {
    it.each(convolutions)('$name', (test) => checkCase({ ...test, formulation }, false));
  },
);

describe('gradient of inputs as transposed convolution', () => {
  it.each(convolutions)('$name', (test) => checkCase({ ...test, formulation: 'transposed' }, false));
});
