/** @file Convolutions, pooling and resizing: operators over the spatial axes, channels first. */
import type { AttributeInput } from '../../../ir/index.js';
import { transposeTensor } from '../constants.js';
import { CannotConvert, type Emitter } from '../emitter.js';
import type { Flow, Quantisation, Stated } from '../flow.js';
import { activated, type Activation } from './activation.js';

/** Padding by name, or begin and end of each spatial axis. */
export type Padding = 'SAME' | 'VALID' | readonly (readonly [begin: number, end: number])[];

/** How a window moves, per spatial axis. */
export interface Window {
  readonly strides: readonly number[];
  readonly dilations?: readonly number[];
  readonly padding: Padding;
}

/** Attributes of a window of size `kernel` over `x`; SAME becomes numbers where sizes are known. */
function windowAttributes(
  x: Stated,
  kernel: readonly number[],
  window: Window,
): Record<string, AttributeInput | undefined> {
  const dilations = window.dilations ?? kernel.map(() => 1);
  const common = {
    strides: window.strides,
    dilations: dilations.every((dilation) => dilation === 1) ? undefined : dilations,
  };
  if (window.padding === 'VALID') return common;
  if (window.padding !== 'SAME')
    return { ...common, pads: [...window.padding.map(([begin]) => begin), ...window.padding.map(([, end]) => end)] };
  const pads = kernel.map((size, i) => {
    const [dim, stride] = [x.shape?.[i + 1], window.strides[i]!];
    if (typeof dim !== 'number') return undefined;
    const total = Math.max(0, (Math.ceil(dim / stride) - 1) * stride + (size - 1) * dilations[i]! + 1 - dim);
    return [Math.floor(total / 2), Math.ceil(total / 2)] as const;
  });
  if (pads.some((pad) => pad === undefined)) return { ...common, auto_pad: 'SAME_UPPER' };
  return { ...common, pads: [...pads.map((pad) => pad![0]), ...pads.map((pad) => pad![1])] };
}

/** A convolution's parts; the kernel's axes are named by `order`. */
export interface Convolution extends Window {
  readonly kernel: Flow;
  /** Entry i is the place in the file's kernel of axis i of ONNX's [output, input per group, …spatial]. */
  readonly order: readonly number[];
  readonly bias: Flow | undefined;
  /** Depthwise: the kernel's output axis is input channels × multiplier, and each group is one input channel. */
  readonly depthwise?: boolean;
  readonly activation: Activation;
}

/** A kernel in ONNX's order as real numbers, its scales moved with the axis that they belong to. */
export function kernelIn(e: Emitter, kernel: Flow, order: readonly number[], dims?: readonly number[]): string {
  if (kernel.constant === undefined) {
    if (kernel.quantisation && kernel.quantisation.scales.length > 1)
      throw new CannotConvert('a kernel with scales per channel is computed at run time');
    const moved = e.op('Transpose', [e.real(kernel)], { perm: order });
    return dims === undefined ? moved : e.op('Reshape', [moved, e.builder.int64s(dims)]);
  }
  const moved = transposeTensor(kernel.constant, order);
  const tensor = dims === undefined ? moved : moved.reshape(dims);
  const axis = kernel.quantisation && order.indexOf(kernel.quantisation.axis);
  // A depthwise kernel [h, w, c, multiplier] becomes one axis of both; its scales belong to that one.
  const quantisation: Quantisation | undefined = kernel.quantisation && {
    ...kernel.quantisation,
    axis: Math.max(0, axis!),
  };
  return e.real(e.constant({ name: kernel.name, quantisation }, tensor));
}

/** ONNX Conv-11. */
export function convolution(e: Emitter, out: Stated, x: Flow, c: Convolution): Flow {
  const kernelDims = c.order.map((axis) => c.kernel.shape?.[axis]);
  if (kernelDims.some((dim) => typeof dim !== 'number')) throw new CannotConvert('the size of a kernel is not known');
  const dims = kernelDims.map(Number);
  const channels = x.shape?.at(-1);
  if (typeof channels !== 'number') throw new CannotConvert('the number of channels is not known');
  const spatial = dims.slice(2);
  const weights = c.depthwise ? [dims[0]! * dims[1]!, 1, ...spatial] : undefined;
  const group = c.depthwise ? channels : channels / dims[1]!;
  if (!Number.isInteger(group)) throw new CannotConvert(`${channels} channels for a kernel of ${dims[1]}`);
  // Zeros put around by an operator of their own become the convolution's.
  const { source, window } = takenOver(x, c);
  const kernel = kernelIn(e, c.kernel, c.order, weights);
  const name = e.op('Conv', [e.real(source, 'channelsFirst'), kernel, c.bias && biasOf(e, c.bias)], {
    kernel_shape: spatial,
    group,
    ...windowAttributes(source, spatial, window),
  });
  return activated(e, out, name, 'channelsFirst', c.activation);
}

function takenOver(x: Flow, window: Window): { readonly source: Flow; readonly window: Window } {
  if (x.padding === undefined || window.padding === 'SAME' || Object.keys(x.stored).length > 0)
    return { source: x, window };
  const { of, pads } = x.padding;
  const own = window.padding === 'VALID' ? pads.map(() => [0, 0] as const) : window.padding;
  const padding = pads.map(([begin, end], i) => [begin + own[i]![0], end + own[i]![1]] as const);
  return { source: of, window: { strides: window.strides, dilations: window.dilations, padding } };
}

/** A bias as real numbers. 64-bit ones (of 16-bit activations) have no integer form in ONNX. */
export function biasOf(e: Emitter, bias: Flow): string {
  const { integer } = e;
  if (bias.type === 'int64') e.integer = false;
  const name = e.real(bias);
  e.integer = integer;
  return name;
}

/** ONNX ConvTranspose-11 with the output's spatial size given. */
export function transposedConvolution(
  e: Emitter,
  out: Stated,
  x: Flow,
  c: Omit<Convolution, 'depthwise'>,
  size: readonly number[],
): Flow {
  const dims = c.order.map((axis) => c.kernel.shape?.[axis] as number);
  const spatial = dims.slice(2);
  const given = x.shape?.slice(1, -1) as number[];
  if (![...given, ...spatial].every(Number.isInteger)) throw new CannotConvert('sizes are not known');
  const totals = spatial.map((k, i) => {
    // What the gradient of the forward convolution has: SAME or VALID of the larger picture.
    const [stride, full] = [c.strides[i]!, size[i]!];
    if (c.padding === 'VALID') return 0;
    if (c.padding !== 'SAME') return c.padding[i]![0] + c.padding[i]![1];
    return Math.max(0, (Math.ceil(full / stride) - 1) * stride + k - full);
  });
  const begins = totals.map((total, i) => (typeof c.padding === 'string' ? Math.floor(total / 2) : c.padding[i]![0]));
  // Rows that no window reaches are left out or added at the end.
  const ends = spatial.map((k, i) => (given[i]! - 1) * c.strides[i]! + k - begins[i]! - size[i]!);
  const name = e.op(
    'ConvTranspose',
    [e.real(x, 'channelsFirst'), kernelIn(e, c.kernel, c.order), c.bias && biasOf(e, c.bias)],
    {
      kernel_shape: spatial,
      strides: c.strides,
      pads: [...begins, ...ends.map((end) => Math.max(0, end))],
      output_padding: ends.some((end) => end < 0) ? ends.map((end) => Math.max(0, -end)) : undefined,
    },
  );
  return activated(e, out, name, 'channelsFirst', c.activation);
}

/** ONNX AveragePool-11 (padding does not count) and MaxPool-12. */
export function pool(
  e: Emitter,
  out: Stated,
  x: Flow,
  kind: 'average' | 'max',
  kernel: readonly number[],
  window: Window,
  activation: Activation = 'none',
): Flow {
  const attributes = windowAttributes(x, kernel, window);
  const same = sameScale(x, out);
  if (kind === 'max' && activation === 'none' && same && ['int8', 'uint8', 'float32'].includes(x.type)) {
    const name = e.op('MaxPool', [e.stored(x, 'channelsFirst')], { kernel_shape: kernel, ...attributes });
    return e.result(out, name, 'channelsFirst', 'stored');
  }
  // The window covers the whole picture: with VALID, or with SAME of no stride beyond it.
  const covers = window.padding === 'VALID' && kernel.every((size, i) => size === x.shape?.[i + 1]);
  const given = e.real(x, 'channelsFirst');
  const name =
    covers && kind === 'average'
      ? e.op('GlobalAveragePool', [given])
      : e.op(kind === 'max' ? 'MaxPool' : 'AveragePool', [given], { kernel_shape: kernel, ...attributes });
  return activated(e, out, name, 'channelsFirst', activation);
}

/** Whether two values' integers mean the same, so that moving them needs no arithmetic. */
export function sameScale(a: Stated, b: Stated): boolean {
  if (a.type !== b.type) return false;
  const [p, q] = [a.quantisation, b.quantisation];
  if (p === undefined || q === undefined) return p === q;
  return (
    p.scales.length === q.scales.length &&
    p.scales.every((scale, i) => scale === q.scales[i]) &&
    p.zeros.every((zero, i) => zero === q.zeros[i])
  );
}

/** How a picture's new positions map to old ones. */
export interface Resizing {
  readonly mode: 'linear' | 'nearest';
  readonly alignCorners: boolean;
  readonly halfPixel: boolean;
}

/** ONNX Resize-18 over the spatial axes. Nearest takes, as TensorFlow does, the floor but for aligned corners. */
export function resize(
  e: Emitter,
  out: Stated,
  x: Flow,
  size: Flow,
  { mode, alignCorners, halfPixel }: Resizing,
): Flow {
  const raw = mode === 'nearest' && sameScale(x, out);
  const given = raw ? e.stored(x, 'channelsFirst') : e.real(x, 'channelsFirst');
  const nearest = alignCorners || halfPixel ? 'round_prefer_ceil' : 'floor';
  const name = e.op('Resize', [given, undefined, undefined, fullSize(e, x, given, size)], {
    mode,
    coordinate_transformation_mode: alignCorners ? 'align_corners' : halfPixel ? 'half_pixel' : 'asymmetric',
    nearest_mode: mode === 'nearest' ? nearest : undefined,
  });
  return e.result(out, name, 'channelsFirst', raw ? 'stored' : 'real');
}

/** All four sizes of a resized picture. ONNX Runtime 1.30.0 refuses sizes of the spatial axes alone (`axes` with `sizes`). */
function fullSize(e: Emitter, x: Flow, given: string, size: Flow): string {
  const [batch, channels] = [x.shape?.[0], x.shape?.at(-1)];
  if (size.constant && typeof batch === 'number' && typeof channels === 'number')
    return e.builder.int64s([batch, channels, ...size.constant.numbers()]);
  const outer = e.op('Shape', [given], { start: 0, end: 2 });
  return e.op('Concat', [outer, e.int64(size)], { axis: 0 });
}

/** Zeros around the spatial axes, kept open for a convolution to take over; `undefined` where other axes are padded. */
export function spatialPadding(out: Stated, x: Flow, pads: readonly (readonly [number, number])[]): Flow | undefined {
  const rank = x.shape?.length;
  const edge = (axis: number): boolean => pads[axis]![0] === 0 && pads[axis]![1] === 0;
  if (rank === undefined || rank < 3 || rank > 5 || pads.length !== rank || !edge(0) || !edge(rank - 1))
    return undefined;
  if (!sameScale(x, out) || pads.flat().some((pad) => pad < 0)) return undefined;
  return { ...out, stored: {}, real: {}, padding: { of: x, pads: pads.slice(1, -1) } };
}
