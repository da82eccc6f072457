/**
 * @file The gradient of a convolution of stride 1 with respect to its weights: shifts along the first spatial axis are
 * applied to X and those along the others to dY, so that few copies meet in few, wide matrix products.
 */
import type { VjpContext } from '../record.js';
import type { Convolution } from './conv-input.js';
import { reach } from './conv-geometry.js';
import { needStatic, range, reshape } from './shaping.js';

/**
 * dW [M, C, kernel…] of an ungrouped convolution of stride 1. For each first kernel index a, X shifted by a rows (by
 * padding and cropping at once) is multiplied per image with dY in all its other shifts side by side:
 * [N, C, S] × [N, S, K·M], summed over the images.
 */
export function shiftedWeightGradient(c: VjpContext, conv: Convolution): string {
  const { b } = c;
  const { kernel, dilations, padBegin } = conv.window;
  const { channels, filters } = conv;
  const input = needStatic(c, conv.xShape.slice(2), 'the spatial dims of a convolution whose weights are trained');
  const output = needStatic(c, conv.dyShape.slice(2), 'the spatial dims of a convolution whose weights are trained');
  const rank = kernel.length;
  // The common grid: the output's extent along the first axis, all that any tap reads along the others.
  const extent = output.map((size, d) => (d === 0 ? size : size + reach(kernel[d]!, dilations[d]!) - 1));
  const area = extent.reduce((product, size) => product * size, 1);
  const padded = (value: string, begin: readonly number[], own: readonly number[]): string => {
    const end = begin.map((size, d) => extent[d]! - own[d]! - size);
    if ([...begin, ...end].every((size) => size === 0)) return value;
    return b.op('Pad', [value, b.int64s([0, 0, ...begin, 0, 0, ...end])], {}, { name: 'grad_conv_shift' });
  };
  const rows = range(kernel[0]!).map((a) =>
    reshape(
      c,
      padded(
        conv.x,
        padBegin.map((size, d) => (d === 0 ? size - a * dilations[0]! : size)),
        input,
      ),
      [-1, channels, area],
    ),
  );
  // A tap further along an axis reads X further on: the same as dY standing that much further.
  const columns = positions(kernel.slice(1)).map((index) =>
    padded(conv.dy, [0, ...index.map((position, d) => position * dilations[d + 1]!)], output),
  );
  const width = columns.length * filters;
  const beside = columns.length === 1 ? columns[0]! : b.op('Concat', columns, { axis: 1 });
  const turned = b.op('Transpose', [reshape(c, beside, [-1, width, area])], { perm: [0, 2, 1] });
  const products = rows.map((row) =>
    b.op('ReduceSum', [b.op('MatMul', [row, turned]), b.int64s([0])], { keepdims: 1 }),
  );
  const stacked = products.length === 1 ? products[0]! : b.op('Concat', products, { axis: 0 });
  const split = reshape(c, stacked, [kernel[0]!, channels, ...kernel.slice(1), filters]);
  const perm = [rank + 1, 1, 0, ...range(rank - 1).map((d) => d + 2)];
  return b.op('Transpose', [split], { perm }, { name: 'grad_conv_w' });
}

/** Every index of a grid of these sizes, the last axis fastest; one empty index for no axes. */
function positions(sizes: readonly number[]): readonly (readonly number[])[] {
  return sizes.reduce<readonly (readonly number[])[]>(
    (known, size) => known.flatMap((index) => range(size).map((next) => [...index, next])),
    [[]],
  );
}
