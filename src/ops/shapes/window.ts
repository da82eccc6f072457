/** @file Sliding windows: kernel, stride, dilation and padding attributes, and the output dims they give. */
import {
  addDims,
  ceilDivDims,
  divDims,
  intsOf,
  minDims,
  mulDims,
  stringOf,
  subDims,
  type Dim,
  type Node,
} from '../../ir/index.js';
import { ShapeError } from '../errors.js';

export interface Window {
  readonly kernel: readonly Dim[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Begin of each axis, then end of each axis. */
  readonly pads: readonly number[];
  readonly autoPad: 'NOTSET' | 'VALID' | 'SAME_UPPER' | 'SAME_LOWER';
}

const AUTO_PADS: readonly string[] = ['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'];

/**
 * The window that a node's attributes describe, with ONNX's defaults (stride 1, dilation 1, no padding).
 * Throws ShapeError where a list does not have one entry (pads: two) per spatial axis, or a stride or dilation is < 1.
 */
export function windowOf(node: Node, kernel: readonly Dim[]): Window {
  const rank = kernel.length;
  const list = (name: string, length: number, fallback: number): readonly number[] => {
    const values = intsOf(node, name, undefined) ?? Array<number>(length).fill(fallback);
    if (values.length !== length)
      throw new ShapeError(node, `${name} [${values.join(', ')}] needs ${length} entries for ${rank} spatial axes`);
    return values;
  };
  const strides = list('strides', rank, 1);
  const dilations = list('dilations', rank, 1);
  for (const value of [...strides, ...dilations])
    if (value < 1) throw new ShapeError(node, `strides and dilations must be at least 1, not ${value}`);
  const autoPad = stringOf(node, 'auto_pad', 'NOTSET');
  if (!AUTO_PADS.includes(autoPad)) throw new ShapeError(node, `auto_pad '${autoPad}' is unknown`);
  return { kernel, strides, dilations, pads: list('pads', 2 * rank, 0), autoPad: autoPad as Window['autoPad'] };
}

/** Dilated extent of the window along an axis: (k − 1)·d + 1. */
export function extentOf(window: Window, axis: number): Dim {
  return addDims(mulDims(subDims(window.kernel[axis]!, 1), window.dilations[axis]!), 1);
}

/**
 * Output dims of a window sliding over `input` (Conv-11, MaxPool-12, AveragePool-19). With `ceil`, a last window that
 * starts beyond the input and its leading padding is dropped, as the standard says since opset 22 and runtimes did before.
 * Throws ShapeError where the window does not fit the padded input.
 */
export function slide(node: Node, input: readonly Dim[], window: Window, ceil = false): readonly Dim[] {
  return input.map((dim, axis) => {
    const stride = window.strides[axis]!;
    if (window.autoPad === 'SAME_UPPER' || window.autoPad === 'SAME_LOWER') return ceilDivDims(dim, stride);
    const valid = window.autoPad === 'VALID';
    const begin = valid ? 0 : window.pads[axis]!;
    const end = valid ? 0 : window.pads[axis + input.length]!;
    const extent = extentOf(window, axis);
    const room = subDims(addDims(dim, begin + end), extent);
    if (typeof room === 'number' && room < 0)
      throw new ShapeError(
        node,
        `a window of extent ${extent} does not fit axis ${axis + 2} of size ${dim} with padding ${begin} + ${end}`,
      );
    if (!ceil) return addDims(divDims(room, stride), 1);
    const count = addDims(ceilDivDims(room, stride), 1);
    // The clamp can only bind where the end padding and the stride together pass the window's extent.
    const binds = typeof extent !== 'number' || end + stride > extent;
    return binds ? minDims(count, ceilDivDims(addDims(dim, begin), stride)) : count;
  });
}
