/** @file Gradients of normalisations against central differences. */
import { describe, it } from 'vitest';
import { float } from '../../src/ir/index.js';
import { between, checkCase, f, type FloatInput, type OpCase } from './harness.js';

const fixed = (input: FloatInput): FloatInput => ({ ...input, constant: true });
const statistics = (channels: number): OpCase['inputs'] => [
  between(0.5, 1.5, channels),
  f(channels),
  fixed(f(channels)),
  fixed(between(0.5, 1.5, channels)),
];

const batch: readonly OpCase[] = [
  ...[
    [4, 3, 2, 3],
    [5, 3],
    [3, 2, 4],
    [2, 2, 2, 2, 3],
    [1, 1, 3, 3],
  ].map((dims): OpCase => ({
    name: `training, [${dims.join()}], momentum 0`,
    op: 'BatchNormalization',
    inputs: [f(...dims), ...statistics(dims[1]!)],
    attributes: { training_mode: 1, momentum: float(0), epsilon: float(1e-3) },
    outputs: 3,
    lossOutputs: [0],
  })),
  {
    name: 'training, momentum 0.9, all outputs',
    op: 'BatchNormalization',
    inputs: [f(4, 2, 3, 2), ...statistics(2)],
    attributes: { training_mode: 1 },
    outputs: 3,
    lossOutputs: [0],
  },
  ...[
    [4, 3, 2, 3],
    [5, 3],
    [3, 2, 4],
  ].map((dims): OpCase => ({
    name: `inference, [${dims.join()}]`,
    op: 'BatchNormalization',
    inputs: [f(...dims), between(0.5, 1.5, dims[1]!), f(dims[1]!), f(dims[1]!), between(0.5, 1.5, dims[1]!)],
  })),
];

const others: readonly OpCase[] = [
  { name: 'LayerNormalization last axis', op: 'LayerNormalization', inputs: [f(2, 3, 4), between(0.5, 1.5, 4), f(4)] },
  {
    name: 'LayerNormalization axis 1',
    op: 'LayerNormalization',
    inputs: [f(2, 3, 4), between(0.5, 1.5, 3, 4), f(3, 4)],
    attributes: { axis: 1 },
  },
  { name: 'LayerNormalization without bias', op: 'LayerNormalization', inputs: [f(2, 3, 4), between(0.5, 1.5, 4)] },
  {
    name: 'InstanceNormalization',
    op: 'InstanceNormalization',
    inputs: [f(2, 3, 4, 2), between(0.5, 1.5, 3), f(3)],
    dtype: 'float32',
  },
  {
    name: 'InstanceNormalization 1-D, batch 1',
    op: 'InstanceNormalization',
    inputs: [f(1, 2, 5), between(0.5, 1.5, 2), f(2)],
    dtype: 'float32',
  },
  {
    name: 'GroupNormalization per group',
    op: 'GroupNormalization',
    inputs: [f(2, 4, 3, 2), between(0.5, 1.5, 2), f(2)],
    attributes: { num_groups: 2 },
    opset: 18,
  },
  {
    name: 'GroupNormalization per channel',
    op: 'GroupNormalization',
    inputs: [f(2, 4, 3, 2), between(0.5, 1.5, 4), f(4)],
    attributes: { num_groups: 2 },
    opset: 21,
    // ONNX Runtime works it out in float32 whatever the type.
    dtype: 'float32',
  },
  ...[1, 2].flatMap((p) =>
    [-1, 1].map((axis): OpCase => ({
      name: `LpNormalization p ${p} axis ${axis}`,
      op: 'LpNormalization',
      inputs: [f(2, 3, 4)],
      attributes: { p, axis },
    })),
  ),
  ...[1, 3, 5].map((size): OpCase => ({
    name: `LRN size ${size}`,
    op: 'LRN',
    inputs: [f(2, 5, 2, 3)],
    attributes: { size, alpha: float(0.8), beta: float(0.6), bias: float(1.5) },
    dtype: 'float32',
  })),
];

describe('gradient of normalisation within a sample', () => {
  it.each(others)('$name', (test) => checkCase(test));
});

describe('gradient of BatchNormalization', () => {
  it.each(batch)('$name', (test) => checkCase(test));
});
