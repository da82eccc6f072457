/** @file The gradient of a convolution with respect to its input: a convolution with flipped weights, or ConvTranspose. */
import type { GraphBuilder } from '../../ir/index.js';
import type { VjpContext } from '../record.js';
import { all, reach, type Window } from './conv-geometry.js';
import { needStatic, range, reshape } from './shaping.js';

/** A convolution Y = X ∗ W (ONNX Conv layout) whose backward pass is wanted. */
export interface Convolution {
  /** Names of X [N, C, in…], W [M, C/group, kernel…], dY [N, M, out…]. */
  readonly x: string;
  readonly w: string;
  readonly dy: string;
  readonly xShape: readonly (number | string | null)[];
  readonly dyShape: readonly (number | string | null)[];
  readonly channels: number;
  readonly filters: number;
  readonly groups: number;
  readonly window: Window;
}

/**
 * dX of a convolution, shape of X. Stride 1 needs no spatial dims; larger strides do, because several input sizes
 * give one output size. Refuses where these are symbolic.
 */
export function convInputGradient(c: VjpContext, conv: Convolution): string {
  if (!canFlip(conv)) return transposedConv(c, conv);
  const preferred = prefersTranspose(c, conv) ? 'transposed' : 'flipped';
  return c.choose('conv-input', 0, ['flipped', 'transposed'], preferred) === 'flipped'
    ? flippedConv(c, conv)
    : transposedConv(c, conv);
}

const canFlip = ({ window: { kernel, strides, dilations, padBegin, padEnd } }: Convolution): boolean =>
  all(strides, 1) &&
  kernel.every((size, d) => {
    const border = reach(size, dilations[d]!) - 1;
    return border >= padBegin[d]! && border >= padEnd[d]!;
  });

/** Where ConvTranspose beats Conv: many channels over a small map, where its one big product wins (bench/conv-gradient). */
function prefersTranspose(c: VjpContext, { channels, filters, groups, xShape, window }: Convolution): boolean {
  const area = xShape
    .slice(2)
    .reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : Infinity), 1);
  return (
    c.profile === 'cpu' && groups === 1 && !all(window.kernel, 1) && Math.min(channels, filters) >= 128 && area <= 64
  );
}

/** dX = dY ∗ Wᵀ with every kernel axis reversed and channels swapped. */
function flippedConv(c: VjpContext, conv: Convolution): string {
  const { kernel, dilations, padBegin, padEnd } = conv.window;
  const border = kernel.map((size, d) => reach(size, dilations[d]!) - 1);
  return c.b.op(
    'Conv',
    [conv.dy, flip(c.b, swapChannels(c, conv), kernel)],
    {
      group: conv.groups,
      dilations,
      kernel_shape: kernel,
      strides: kernel.map(() => 1),
      pads: [...border.map((size, d) => size - padBegin[d]!), ...border.map((size, d) => size - padEnd[d]!)],
    },
    { name: 'grad_conv_x' },
  );
}

/** W [M, C/g, k…] → [C, M/g, k…]. */
function swapChannels(c: VjpContext, { w, groups, channels, filters, window: { kernel } }: Convolution): string {
  if (channels === groups && filters === groups) return w;
  const spatial = range(kernel.length);
  if (groups === 1) return c.b.op('Transpose', [w], { perm: [1, 0, ...spatial.map((d) => d + 2)] });
  const split = reshape(c, w, [groups, filters / groups, channels / groups, ...kernel]);
  const swapped = c.b.op('Transpose', [split], { perm: [0, 2, 1, ...spatial.map((d) => d + 3)] });
  return reshape(c, swapped, [channels, filters / groups, ...kernel]);
}

/** Reverses the kernel axes (from axis 2 on). */
function flip(b: GraphBuilder, w: string, kernel: readonly number[]): string {
  const axes = range(kernel.length).filter((d) => kernel[d]! > 1);
  if (axes.length === 0) return w;
  return b.op('Slice', [
    w,
    b.int64s(axes.map(() => -1)),
    b.int64s(axes.map((d) => -kernel[d]! - 1)),
    b.int64s(axes.map((d) => d + 2)),
    b.int64s(axes.map(() => -1)),
  ]);
}

/** dX as the transposed convolution of dY with the same W. */
function transposedConv(c: VjpContext, conv: Convolution): string {
  const { kernel, strides, dilations, padBegin, padEnd } = conv.window;
  const covered = (output: number, d: number): number =>
    (output - 1) * strides[d]! + reach(kernel[d]!, dilations[d]!) - padBegin[d]! - padEnd[d]!;
  const left = all(strides, 1)
    ? kernel.map(() => 0)
    : needStatic(c, conv.xShape.slice(2), 'the spatial dims of a strided convolution').map(
        (input, d) => input - covered(needStatic(c, conv.dyShape.slice(2), 'the output’s spatial dims')[d]!, d),
      );
  return c.b.op(
    'ConvTranspose',
    [conv.dy, conv.w],
    {
      group: conv.groups,
      dilations,
      kernel_shape: kernel,
      strides,
      pads: [...padBegin, ...padEnd],
      output_padding: left,
    },
    { name: 'grad_conv_x' },
  );
}
