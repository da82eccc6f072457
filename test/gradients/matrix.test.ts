/** @file Gradients of matrix products against central differences. */
import { describe, it } from 'vitest';
import { float } from '../../src/ir/index.js';
import { checkCase, f, type OpCase } from './harness.js';

const gemms: readonly OpCase[] = [0, 1].flatMap((transA) =>
  [0, 1].map((transB): OpCase => ({
    name: `Gemm transA ${transA} transB ${transB}, α and β`,
    op: 'Gemm',
    inputs: [transA ? f(3, 4) : f(4, 3), transB ? f(5, 3) : f(3, 5), f(5)],
    attributes: { transA, transB, alpha: float(0.5), beta: float(-2) },
    batched: transA ? [] : [0],
  })),
);
const addends: readonly OpCase[] = [[], [1], [5], [1, 5], [4, 1], [4, 5]].map((dims): OpCase => ({
  name: `Gemm C [${dims.join()}]`,
  op: 'Gemm',
  inputs: [f(4, 3), f(3, 5), f(...dims)],
}));
const products: readonly OpCase[] = (
  [
    [
      [4, 3],
      [3, 5],
    ],
    [[3], [3]],
    [[3], [3, 5]],
    [[4, 3], [3]],
    [
      [2, 4, 3],
      [3, 5],
    ],
    [
      [2, 4, 3],
      [2, 3, 5],
    ],
    [
      [4, 3],
      [2, 3, 5],
    ],
    [
      [2, 1, 4, 3],
      [3, 3, 5],
    ],
    [[3], [2, 3, 5]],
    [[2, 4, 3], [3]],
    [
      [1, 1],
      [1, 1],
    ],
    [
      [1, 2, 3],
      [4, 3, 2],
    ],
  ] as const
).map(([a, b]): OpCase => ({ name: `MatMul [${a.join()}] · [${b.join()}]`, op: 'MatMul', inputs: [f(...a), f(...b)] }));

describe('gradient of matrix products', () => {
  it.each([...gemms, ...addends, { name: 'Gemm without C', op: 'Gemm', inputs: [f(2, 3), f(3, 2)] }, ...products])(
    '$name',
    (test) => checkCase(test),
  );
});
