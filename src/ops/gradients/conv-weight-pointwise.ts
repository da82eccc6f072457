/** @file The gradient of a pointwise convolution with respect to its weights: one matrix product per image. */
import type { VjpContext } from '../record.js';
import { all } from './conv-geometry.js';
import type { Convolution } from './conv-input.js';
import { needStatic, range, reshape } from './shaping.js';

/** One group, one tap, stride 1, no padding. */
export const isPlainPointwise = ({ groups, window }: Convolution): boolean =>
  groups === 1 && all(window.kernel, 1) && all(window.strides, 1) && all(window.padBegin, 0) && all(window.padEnd, 0);

/** dW [M, C, 1…] = Σ over images of dY [M, S] × Xᵀ [S, C]: X and dY are read as they lie. */
export function pointwiseWeightGradient(
  c: VjpContext,
  { x, dy, xShape, channels, filters, window }: Convolution,
): string {
  const { b } = c;
  const area = needStatic(c, xShape.slice(2), 'the spatial dims of a convolution whose weights are trained').reduce(
    (product, size) => product * size,
    1,
  );
  const turned = b.op('Transpose', [reshape(c, x, [-1, channels, area])], { perm: [0, 2, 1] });
  const products = b.op('MatMul', [reshape(c, dy, [-1, filters, area]), turned]);
  const sum = b.op('ReduceSum', [products, b.int64s([0])], { keepdims: 0 });
  return reshape(c, sum, [filters, channels, ...range(window.kernel.length).map(() => 1)]);
}
