/** @file Gradients of Conv and ConvTranspose in 1, 2 and 3 dimensions. */
import { intsOf, stringOf, type Shape } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { arithOf, needStatic, range } from './shaping.js';
import { groupsOf, reach, windowOf, type Window } from './conv-geometry.js';
import { convInputGradient, type Convolution } from './conv-input.js';
import { convWeightGradient } from './conv-weight.js';

/** Conv-11: dX, dW and dB, each by the formulation that is fastest on the execution profile. */
const conv: VjpRule = (c) => {
  const dy = c.grads[0];
  if (dy === undefined) return [];
  const [x, w] = c.inputs as readonly [string, string];
  const xShape = c.shape(x);
  const [filters, inGroup, ...kernel] = needStatic(c, c.shape(w), 'the shape of the weights');
  const groups = groupsOf(c);
  const convolution: Convolution = {
    x,
    w,
    dy,
    xShape,
    dyShape: c.shape(c.outputs[0]!),
    channels: inGroup! * groups,
    filters: filters!,
    groups,
    window: windowOf(c, kernel, xShape),
  };
  return [
    c.wants(0) ? convInputGradient(c, convolution) : undefined,
    c.wants(1) ? convWeightGradient(c, convolution) : undefined,
    c.wants(2) ? sumOverChannels(c, dy, xShape.length) : undefined,
  ];
};

/** db[m] = Σ over images and positions. */
function sumOverChannels(c: VjpContext, dy: string, rank: number): string {
  return arithOf(c).sum(dy, [0, ...range(rank - 2).map((d) => d + 2)], 0);
}

/**
 * ConvTranspose-11 is the transpose of the convolution that maps its output to its input, so dX is that convolution of
 * dY, and dW is that convolution's weight gradient with the roles of X and dY exchanged.
 */
const convTranspose: VjpRule = (c) => {
  const dy = c.grads[0];
  if (dy === undefined) return [];
  const [x, w] = c.inputs as readonly [string, string];
  const xShape = c.shape(x);
  const yShape = c.shape(c.outputs[0]!);
  const [channels, outGroup, ...kernel] = needStatic(c, c.shape(w), 'the shape of the weights');
  const groups = groupsOf(c);
  const window = transposedWindow(c, kernel, xShape, yShape);
  // The convolution that this node transposes reads dY [N, outGroup·g, out…] and gives X's shape.
  const adjoint: Convolution = {
    x: dy,
    w,
    dy: x,
    xShape: yShape,
    dyShape: xShape,
    channels: outGroup! * groups,
    filters: channels!,
    groups,
    window,
  };
  const forward = (): string =>
    c.b.op('Conv', [dy, w], {
      group: groups,
      dilations: window.dilations,
      kernel_shape: kernel,
      strides: window.strides,
      pads: [...window.padBegin, ...window.padEnd],
    });
  return [
    c.wants(0) ? forward() : undefined,
    c.wants(1) ? convWeightGradient(c, adjoint) : undefined,
    c.wants(2) ? sumOverChannels(c, dy, xShape.length) : undefined,
  ];
};

/** The window of the adjoint convolution: from `pads`, or from the known dims where auto_pad or output_shape fix them. */
function transposedWindow(c: VjpContext, kernel: readonly number[], xShape: Shape, yShape: Shape): Window {
  const ones = kernel.map(() => 1);
  const zeros = kernel.map(() => 0);
  const strides = intsOf(c.node, 'strides', ones);
  const dilations = intsOf(c.node, 'dilations', ones);
  const auto = stringOf(c.node, 'auto_pad', 'NOTSET');
  const rank = kernel.length;
  const extra = intsOf(c.node, 'output_padding', zeros);
  let padBegin: readonly number[];
  let padEnd: readonly number[];
  if (auto === 'VALID') padBegin = padEnd = zeros;
  else if (auto === 'NOTSET' && !c.node.attributes.has('output_shape')) {
    const pads = intsOf(c.node, 'pads', [...zeros, ...zeros]);
    padBegin = pads.slice(0, rank);
    padEnd = pads.slice(rank);
  } else {
    const input = needStatic(c, xShape.slice(2), 'the spatial dims under auto_pad or output_shape');
    const output = needStatic(c, yShape.slice(2), 'the spatial dims under auto_pad or output_shape');
    const total = range(rank).map((d) =>
      Math.max(0, (input[d]! - 1) * strides[d]! + extra[d]! + reach(kernel[d]!, dilations[d]!) - output[d]!),
    );
    padBegin = total.map((pad) => (auto === 'SAME_UPPER' ? Math.floor(pad / 2) : Math.ceil(pad / 2)));
    padEnd = total.map((pad, d) => pad - padBegin[d]!);
  }
  // Output padding first takes back what the end padding would have cut off.
  return { kernel, strides, dilations, padBegin, padEnd: padEnd.map((pad, d) => Math.max(0, pad - extra[d]!)) };
}

export const convolutionGradients: Readonly<Record<string, VjpRule>> = { Conv: conv, ConvTranspose: convTranspose };
