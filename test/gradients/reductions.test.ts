/** @file Gradients of reductions against central differences. */
import { describe, it } from 'vitest';
import { between, checkCase, distinct, f, i64, values, type OpCase } from './harness.js';

const operators = [
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd'],
  ...['ReduceL1', 'ReduceL2', 'ReduceLogSum', 'ReduceLogSumExp', 'ReduceSumSquare'],
];
const inputFor = (op: string, ...dims: number[]) =>
  op === 'ReduceMax' || op === 'ReduceMin'
    ? distinct(...dims)
    : op === 'ReduceLogSum'
      ? between(0.5, 2, ...dims)
      : f(...dims);
const cases: readonly OpCase[] = operators.flatMap((op): OpCase[] => {
  const x = inputFor(op, 2, 3, 4);
  return [
    { name: `${op} axes 1 kept`, op, inputs: [x, i64(1)] },
    { name: `${op} axes 0, −1 dropped`, op, inputs: [x, i64(0, -1)], attributes: { keepdims: 0 } },
    { name: `${op} unsorted axes dropped`, op, inputs: [x, i64(2, 1)], attributes: { keepdims: 0 } },
    { name: `${op} all`, op, inputs: [x], attributes: { keepdims: 0 } },
    { name: `${op} all kept`, op, inputs: [x] },
    { name: `${op} batch 1, size 1`, op, inputs: [inputFor(op, 1, 1), i64(1)] },
  ];
});
const special: readonly OpCase[] = [
  { name: 'ReduceSum no axes as no-op', op: 'ReduceSum', inputs: [f(2, 3)], attributes: { noop_with_empty_axes: 1 } },
  { name: 'ReduceProd with one zero', op: 'ReduceProd', inputs: [values([2, 3], [0, 2, 3, 1, 2, 4]), i64(1)] },
  { name: 'ReduceProd with two zeros', op: 'ReduceProd', inputs: [values([2, 3], [0, 2, 0, 1, 2, 4]), i64(1)] },
];

/** ONNX Runtime has the means and norms in float32 and float64 alike, but some logarithms in float32 alone. */
const single = new Set(['ReduceLogSum', 'ReduceL1', 'ReduceL2']);

describe('gradient of reductions', () => {
  it.each([...cases, ...special])('$name', (test) =>
    checkCase(single.has(test.op) ? { ...test, dtype: 'float32', step: 5e-3, tolerance: 5e-3 } : test),
  );
});
