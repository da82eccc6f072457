/** @file Gradients of loss operators and softmax against central differences. */
import { describe, it } from 'vitest';
import { Tensor } from '../../src/ir/index.js';
import { between, checkCase, f, i64, type OpCase } from './harness.js';

const labels2d = Tensor.of('int64', [2, 3, 2], [0, 3, 1, 2, 2, 0, 1, 1, 3, 0, 2, 3]);
const weights = { ...between(0.5, 2, 4), constant: true };

const cross: readonly OpCase[] = ['SoftmaxCrossEntropyLoss', 'NegativeLogLikelihoodLoss'].flatMap((op) =>
  ['mean', 'sum', 'none'].flatMap((reduction): OpCase[] => [
    { name: `${op} ${reduction}`, op, inputs: [f(3, 4), i64(0, 3, 1)], attributes: { reduction } },
    { name: `${op} ${reduction}, weights`, op, inputs: [f(3, 4), i64(2, 3, 1), weights], attributes: { reduction } },
    {
      name: `${op} ${reduction}, ignored label among the classes, maps`,
      op,
      inputs: [f(2, 4, 3, 2), labels2d],
      attributes: { reduction, ignore_index: 2 },
    },
    {
      name: `${op} ${reduction}, ignored label outside, weights`,
      op,
      inputs: [f(4, 4), i64(-1, 3, -1, 1), weights],
      attributes: { reduction, ignore_index: -1 },
    },
  ]),
);
const both: readonly OpCase[] = [
  {
    name: 'SoftmaxCrossEntropyLoss, both outputs',
    op: 'SoftmaxCrossEntropyLoss',
    inputs: [f(3, 4), i64(0, 3, 1)],
    outputs: 2,
  },
  {
    name: 'SoftmaxCrossEntropyLoss, log-probabilities alone',
    op: 'SoftmaxCrossEntropyLoss',
    inputs: [f(3, 4), i64(0, 3, 1)],
    outputs: 2,
    lossOutputs: [1],
  },
];
const softmaxes: readonly OpCase[] = ['Softmax', 'LogSoftmax'].flatMap((op) =>
  [-1, 0, 1, 2].map((axis): OpCase => ({ name: `${op} axis ${axis}`, op, inputs: [f(2, 4, 3)], attributes: { axis } })),
);

describe('gradient of losses', () => {
  it.each([...cross, ...both])('$name', (test) => checkCase(test));
});

describe('gradient of softmax', () => {
  it.each(softmaxes)('$name', (test) => checkCase(test));
});
