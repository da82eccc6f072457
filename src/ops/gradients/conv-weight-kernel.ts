/**
 * @file The gradient of a convolution with respect to its weights as one convolution: dY is the kernel that moves over
 * X, images are the channels that are summed over, and X's own channels lie along a last axis on which nothing moves.
 */
import type { VjpContext } from '../record.js';
import { reach } from './conv-geometry.js';
import type { Convolution } from './conv-input.js';
import { needStatic, range, reshape } from './shaping.js';

const SPATIAL = 'the spatial dims of a convolution whose weights are trained';

/** The most spatial axes that ONNX Runtime's Conv has kernels for. */
const CONV_AXES = 3;

/** Whether X's channels find room as one more spatial axis. */
export const canMoveOutput = ({ window }: Convolution): boolean => window.kernel.length < CONV_AXES;

/** Whether the first spatial axis can be summed over together with the images. */
export const canFoldRows = ({ groups, window }: Convolution): boolean => groups === 1 && window.strides[0] === 1;

/**
 * dW [M, C/group, kernel…], any stride, dilation and group: X as [1, g·N, in…, C/g] convolved with dY as
 * [M, N, out…, 1]. Strides and dilations change places: dY's elements stand a stride apart, and taps a dilation.
 */
export function movedOutputGradient(c: VjpContext, conv: Convolution): string {
  const { b } = c;
  const { groups, channels, filters, window } = conv;
  const rank = window.kernel.length;
  const input = needStatic(c, conv.xShape.slice(2), SPATIAL);
  const output = needStatic(c, conv.dyShape.slice(2), SPATIAL);
  const inGroup = channels / groups;
  const spatial = range(rank).map((d) => d + 2);
  const image =
    groups === 1
      ? b.op('Unsqueeze', [b.op('Transpose', [conv.x], { perm: [0, ...spatial, 1] }), b.int64s([0])])
      : reshape(
          c,
          b.op('Transpose', [reshape(c, conv.x, [-1, groups, inGroup, ...input])], {
            perm: [1, 0, ...spatial.map((axis) => axis + 1), 2],
          }),
          [1, -1, ...input, inGroup],
        );
  const kernel = b.op('Unsqueeze', [imagesLast(c, conv.dy, rank), b.int64s([rank + 2])]);
  const moved = move(c, conv, { image, kernel, first: 0, input, output });
  const perm = [0, rank + 1, ...range(rank).map((d) => d + 1)];
  return b.op(
    'Transpose',
    [reshape(c, moved, [filters, ...window.kernel, inGroup])],
    { perm },
    { name: 'grad_conv_w' },
  );
}

/**
 * The same for one group and stride 1 along the first axis, with that axis summed over as well: dY once for every
 * kernel index of it, each shifted by padding, as filters of one convolution. More filters make a better product
 * where there are few.
 */
export function foldedRowsGradient(c: VjpContext, conv: Convolution): string {
  const { b } = c;
  const { channels, filters, window } = conv;
  const { kernel, dilations, padBegin } = window;
  const rank = kernel.length;
  const input = needStatic(c, conv.xShape.slice(2), SPATIAL);
  const output = needStatic(c, conv.dyShape.slice(2), SPATIAL);
  const spatial = range(rank).map((d) => d + 2);
  const image = reshape(c, b.op('Transpose', [conv.x], { perm: [0, ...spatial, 1] }), [
    1,
    -1,
    ...input.slice(1),
    channels,
  ]);
  const turned = imagesLast(c, conv.dy, rank);
  const zeros = kernel.slice(1).map(() => 0);
  const shifted = range(kernel[0]!).map((tap) => {
    const begin = tap * dilations[0]! - padBegin[0]!;
    const end = input[0]! - output[0]! - begin;
    if (begin === 0 && end === 0) return turned;
    return b.op('Pad', [turned, b.int64s([0, 0, begin, ...zeros, 0, 0, end, ...zeros])], {}, { name: 'grad_conv_row' });
  });
  const rows = shifted.length === 1 ? shifted[0]! : b.op('Concat', shifted, { axis: 0 });
  const filter = reshape(c, rows, [kernel[0]! * filters, -1, ...output.slice(1), 1]);
  const moved = move(c, conv, { image, kernel: filter, first: 1, input, output });
  const split = reshape(c, moved, [kernel[0]!, filters, ...kernel.slice(1), channels]);
  const perm = [1, rank + 1, 0, ...range(rank - 1).map((d) => d + 2)];
  return b.op('Transpose', [split], { perm }, { name: 'grad_conv_w' });
}

/** dY [N, M, out…] as [M, N, out…]. */
function imagesLast(c: VjpContext, dy: string, rank: number): string {
  return c.b.op('Transpose', [dy], { perm: [1, 0, ...range(rank).map((d) => d + 2)] });
}

interface Moving {
  readonly image: string;
  readonly kernel: string;
  /** The first spatial axis that the kernel moves along. */
  readonly first: number;
  readonly input: readonly number[];
  readonly output: readonly number[];
}

/** The convolution itself; where X has a rest that no window reaches, it gives positions too many, which are cut off. */
function move(c: VjpContext, { groups, window }: Convolution, { image, kernel, first, input, output }: Moving): string {
  const { b } = c;
  const begin = window.padBegin.slice(first);
  const strides = window.strides.slice(first);
  const dilations = window.dilations.slice(first);
  const taps = window.kernel.slice(first);
  const missing = taps.map(
    (size, d) =>
      reach(size, dilations[d]!) + reach(output[d + first]!, strides[d]!) - 1 - input[d + first]! - begin[d]!,
  );
  const end = missing.map((size) => Math.max(0, size));
  const moved = b.op(
    'Conv',
    [image, kernel],
    {
      group: groups,
      strides: [...dilations, 1],
      dilations: [...strides, 1],
      pads: [...begin, 0, ...end, 0],
    },
    { name: 'grad_conv_moved' },
  );
  if (missing.every((size) => size >= 0)) return moved;
  return b.op('Slice', [
    moved,
    b.int64s(taps.map(() => 0)),
    b.int64s(taps),
    b.int64s(range(taps.length).map((d) => d + 2)),
  ]);
}
