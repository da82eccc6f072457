/** @file Gradients of elementwise arithmetic, functions and activations against central differences. */
import { describe, it } from 'vitest';
import { float, Tensor } from '../../src/ir/index.js';
import { between, checkCase, f, i64, values, type OpCase } from './harness.js';

const shapes = [
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], [3]],
  [[3], [2, 3]],
  [
    [2, 1, 3],
    [4, 1],
  ],
  [[2, 3], []],
  [
    [1, 3],
    [4, 3],
  ],
  [
    [1, 1],
    [2, 2],
  ],
] as const;
const binary: readonly OpCase[] = ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min'].flatMap((op) =>
  shapes.map(([a, b]): OpCase => ({
    name: `${op} [${a.join()}] [${b.join()}]`,
    op,
    inputs: [f(...a), op === 'Div' ? between(0.5, 2, ...b) : f(...b)],
    batched: [0, 1],
  })),
);
const exponents: readonly OpCase[] = [1, 2, 3, 0.5, -1.5].map((exponent) => ({
  name: `Pow constant ${exponent}`,
  op: 'Pow',
  inputs: [between(0.3, 2, 2, 3), Tensor.scalar('float64', exponent)],
}));
const several: readonly OpCase[] = [
  ...exponents,
  { name: 'Pow negative base, integer exponent', op: 'Pow', inputs: [between(-2, -0.5, 4), i64(3)] },
  { name: 'Pow both', op: 'Pow', inputs: [between(0.3, 2, 2, 3), f(3)], batched: [0] },
  {
    name: 'Mod fmod',
    op: 'Mod',
    inputs: [between(0.1, 7, 2, 3), values([3], [2.3, 3.1, -1.7])],
    attributes: { fmod: 1 },
  },
  { name: 'Sum of three', op: 'Sum', inputs: [f(2, 3), f(3), f(2, 1)] },
  { name: 'Sum of one', op: 'Sum', inputs: [f(2, 3)] },
  { name: 'Mean of three', op: 'Mean', inputs: [f(2, 3), f(3), f(2, 1)], dtype: 'float32' },
  { name: 'Max of three', op: 'Max', inputs: [f(2, 3), f(3), f(2, 1)] },
  { name: 'Max of one', op: 'Max', inputs: [f(2, 3)] },
  {
    name: 'Where with broadcasting',
    op: 'Where',
    inputs: [Tensor.of('bool', [2, 3], [1, 0, 1, 0, 0, 1]), f(3), f(2, 1)],
  },
];

const functions: readonly OpCase[] = [
  ...['Identity', 'Neg', 'Abs', 'Exp', 'Sin', 'Cos', 'Sign', 'Floor', 'Ceil', 'Round', 'Tanh', 'Sigmoid'].map((op) => ({
    op,
  })),
  ...['Sqrt', 'Log', 'Reciprocal'].map((op) => ({ op, input: between(0.5, 2, 2, 3) })),
  ...['Asin', 'Acos', 'Atanh'].map((op) => ({ op, input: between(-0.9, 0.9, 2, 3) })),
  { op: 'Acosh', input: between(1.2, 3, 2, 3) },
  ...['Tan', 'Atan', 'Sinh', 'Cosh', 'Asinh', 'Erf', 'Softplus', 'Softsign', 'Mish', 'HardSwish'].map((op) => ({ op })),
].map(({ op, input }: { op: string; input?: OpCase['inputs'][0] }): OpCase => ({
  name: op,
  op,
  inputs: [input ?? f(2, 3)],
}));

const activations: readonly OpCase[] = [
  { name: 'Relu', op: 'Relu', inputs: [f(3, 4)] },
  { name: 'LeakyRelu', op: 'LeakyRelu', inputs: [f(3, 4)], attributes: { alpha: float(0.2) } },
  { name: 'ThresholdedRelu', op: 'ThresholdedRelu', inputs: [f(3, 4)], attributes: { alpha: float(0.4) } },
  { name: 'PRelu per channel', op: 'PRelu', inputs: [f(2, 3, 4), f(3, 1)] },
  { name: 'PRelu shared', op: 'PRelu', inputs: [f(2, 3), f(1)] },
  { name: 'Elu', op: 'Elu', inputs: [f(3, 4)], attributes: { alpha: float(0.7) } },
  { name: 'Celu', op: 'Celu', inputs: [f(3, 4)], attributes: { alpha: float(0.7) } },
  { name: 'Selu', op: 'Selu', inputs: [f(3, 4)] },
  { name: 'Selu own constants', op: 'Selu', inputs: [f(3, 4)], attributes: { alpha: float(1.2), gamma: float(0.8) } },
  {
    name: 'HardSigmoid',
    op: 'HardSigmoid',
    inputs: [between(-4, 4, 3, 4)],
    attributes: { alpha: float(0.3), beta: float(0.4) },
  },
  { name: 'HardSwish saturating', op: 'HardSwish', inputs: [between(-4, 4, 3, 4)] },
  { name: 'Gelu', op: 'Gelu', inputs: [f(3, 4)], opset: 20 },
  { name: 'Gelu tanh', op: 'Gelu', inputs: [f(3, 4)], attributes: { approximate: 'tanh' }, opset: 20 },
  { name: 'Shrink', op: 'Shrink', inputs: [f(3, 4)], attributes: { lambd: float(0.4), bias: float(0.3) } },
  { name: 'Clip both', op: 'Clip', inputs: [f(3, 4), Tensor.scalar('float64', -0.5), Tensor.scalar('float64', 0.7)] },
  { name: 'Clip above', op: 'Clip', inputs: [f(3, 4), undefined, Tensor.scalar('float64', 0.7)] },
  {
    name: 'Clip both, float32',
    op: 'Clip',
    dtype: 'float32',
    inputs: [f(3, 4), Tensor.scalar('float32', -0.5), Tensor.scalar('float32', 0.7)],
  },
];

/** ONNX Runtime has many of these kernels in float32 alone: fall back to it, with its tolerance. */
const single = new Set([
  ...['Tan', 'Asin', 'Acos', 'Atan', 'Sinh', 'Cosh', 'Asinh', 'Acosh', 'Atanh', 'Erf', 'Softplus', 'Softsign', 'Mish'],
  ...['HardSwish', 'HardSigmoid', 'LeakyRelu', 'ThresholdedRelu', 'PRelu', 'Elu', 'Celu', 'Selu', 'Gelu', 'Shrink'],
]);
const inItsPrecision = (test: OpCase): OpCase =>
  single.has(test.op) ? { ...test, dtype: 'float32', step: 3e-3, tolerance: 4e-3 } : test;

describe('gradient of arithmetic', () => {
  it.each([...binary, ...several])('$name', (test) => checkCase(test));
});

describe('gradient of functions', () => {
  it.each(functions)('$name', (test) => checkCase(inItsPrecision(test)));
});

describe('gradient of activations', () => {
  it.each(activations)('$name', (test) => checkCase(inItsPrecision(test)));
});
