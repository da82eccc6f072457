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

describe('gradient of BatchNormalization', () => {
  it.each(batch)('$name', (test) => checkCase(test));
});
