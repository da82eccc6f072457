/** @file Gradient of Resize: the transpose of its interpolation, one matrix per axis. */
import { floatOf, intOf, intsOf, stringOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { alongAxis, type AxisMatrix } from './axis-matrix.js';
import { back } from './movement.js';
import { fromFront, range } from './shaping.js';

const round = Math.fround;

interface Sampling {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly antialias: boolean;
  readonly excludeOutside: boolean;
  /** Of cubic interpolation. */
  readonly a: number;
}

/** One resized axis; `region` is what tf_crop_and_resize samples, in shares of the input. */
interface Axis {
  readonly input: number;
  readonly output: number;
  readonly scale: number;
  readonly region: readonly [start: number, end: number];
}

/**
 * Where output position `at` lies in the input (Resize-19, coordinate_transformation_mode). Rounded to float32 at each
 * step as ONNX Runtime does: a position that falls on .5 decides which neighbour is the nearest.
 */
function inputPosition(c: VjpContext, coordinates: string, at: number, { input, output, scale, region }: Axis): number {
  switch (coordinates) {
    case 'half_pixel':
      return round(round((at + 0.5) / scale) - 0.5);
    case 'pytorch_half_pixel':
      return output > 1 ? round(round((at + 0.5) / scale) - 0.5) : 0;
    case 'align_corners':
      return output > 1 ? round((at * (input - 1)) / (output - 1)) : 0;
    case 'asymmetric':
      return round(at / scale);
    case 'half_pixel_symmetric': {
      const adjustment = output / (scale * input);
      const centre = input / 2;
      return round(round(centre * (1 - adjustment)) + round(round((at + 0.5) / scale) - 0.5));
    }
    case 'tf_crop_and_resize': {
      const [start, end] = region;
      if (output === 1) return round(0.5 * (start + end) * (input - 1));
      return round(start * (input - 1) + (at * (end - start) * (input - 1)) / (output - 1));
    }
    default:
      return c.refuse(`its coordinate_transformation_mode is '${coordinates}'`);
  }
}

/** Cubic convolution (Keys 1981) at distance `d`. */
function cubicKernel(d: number, a: number): number {
  const x = Math.abs(d);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

function nearestIndex(mode: string, position: number): number {
  switch (mode) {
    case 'floor':
      return Math.floor(position);
    case 'ceil':
      return Math.ceil(position);
    case 'round_prefer_ceil':
      return Math.floor(position + 0.5);
    default:
      return Math.ceil(position - 0.5);
  }
}

/** The interpolation of one axis, output × input: row `at` holds the weights of the inputs that make it. */
function interpolation(c: VjpContext, sampling: Sampling, axis: Axis): AxisMatrix {
  const { input, output } = axis;
  const { mode, a } = sampling;
  const weights = new Array<number>(output * input).fill(0);
  const clamp = (index: number): number => Math.min(Math.max(index, 0), input - 1);
  for (let at = 0; at < output; at++) {
    const position = inputPosition(c, sampling.coordinates, at, axis);
    // Positions that a crop takes from outside the input hold the extrapolation value.
    if (sampling.coordinates === 'tf_crop_and_resize' && (position < 0 || position > input - 1)) continue;
    const add = (index: number, weight: number): void => {
      weights[at * input + clamp(index)]! += weight;
    };
    if (mode === 'nearest') add(nearestIndex(sampling.nearest, position), 1);
    else if (sampling.antialias && axis.scale < 1) spreadFilter(sampling, position, axis, add);
    else if (mode === 'linear') {
      const low = Math.floor(clamp(position));
      const fraction = clamp(position) - low;
      add(low, 1 - fraction);
      if (fraction > 0) add(low + 1, fraction);
    } else {
      const low = Math.floor(position);
      const taps = range(4).map((i) => low - 1 + i);
      const kept = taps.filter((tap) => !sampling.excludeOutside || (tap >= 0 && tap < input));
      const sum = sampling.excludeOutside ? kept.reduce((total, tap) => total + cubicKernel(position - tap, a), 0) : 1;
      for (const tap of kept) add(tap, cubicKernel(position - tap, a) / sum);
    }
  }
  return { rows: output, columns: input, weights };
}

/** Antialiasing: the kernel stretched by the shrinking, over the pixels that it reaches, its weights summing to 1. */
function spreadFilter(
  sampling: Sampling,
  position: number,
  axis: Axis,
  add: (at: number, weight: number) => void,
): void {
  const { mode, a, excludeOutside } = sampling;
  const stretch = 1 / axis.scale;
  const support = (mode === 'cubic' ? 2 : 1) * stretch;
  const kernel = (d: number): number => (mode === 'cubic' ? cubicKernel(d, a) : Math.max(0, 1 - Math.abs(d)));
  const centre = position + 0.5;
  const first = Math.floor(centre - support + 0.5);
  const end = Math.floor(centre + support + 0.5);
  const inside = (tap: number): boolean => tap >= 0 && tap < axis.input;
  const taps = range(Math.max(end - first, 0))
    .map((i) => i + first)
    .filter((tap) => !excludeOutside || inside(tap));
  const values = taps.map((tap) => kernel((tap - centre + 0.5) / stretch));
  const sum = values.reduce((total, value) => total + value, 0);
  taps.forEach((tap, i) => add(tap, values[i]! / sum));
}

/** Resize-18/19 in every mode; the resized axes must have known sizes. */
const resize = back((c, g) => {
  const x = c.inputs[0]!;
  const shape = c.shape(x);
  const target = c.shape(c.outputs[0]!);
  const rank = shape.length;
  const sampling: Sampling = {
    mode: stringOf(c.node, 'mode', 'nearest'),
    coordinates: stringOf(c.node, 'coordinate_transformation_mode', 'half_pixel'),
    nearest: stringOf(c.node, 'nearest_mode', 'round_prefer_floor'),
    antialias: intOf(c.node, 'antialias', 0) === 1,
    excludeOutside: intOf(c.node, 'exclude_outside', 0) === 1,
    a: floatOf(c.node, 'cubic_coeff_a', -0.75),
  };
  const axes = intsOf(c.node, 'axes', range(rank)).map((axis) => fromFront(axis, rank));
  const crops = sampling.coordinates === 'tf_crop_and_resize';
  const region = crops
    ? (c.constant(c.inputs[1])?.numbers() ?? c.refuse('its region is computed at run time'))
    : axes.flatMap(() => [0, 1]).sort();
  const scales = c.constant(c.inputs[2])?.numbers();
  if (c.inputs[2] !== undefined && scales === undefined) c.refuse('its scales are computed at run time');
  const byScales = scales !== undefined && scales.length > 0;
  const policy = stringOf(c.node, 'keep_aspect_ratio_policy', 'stretch');
  const wanted = c.constant(c.inputs[3])?.numbers();
  // Under the other policies one scale holds for all axes.
  const common =
    byScales || policy === 'stretch' || wanted === undefined
      ? undefined
      : Math[policy === 'not_larger' ? 'min' : 'max'](...axes.map((axis, i) => wanted[i]! / (shape[axis] as number)));
  return axes.reduce((value, axis, i) => {
    const [input, output] = [shape[axis]!, target[axis]!];
    const whole = region[i] === 0 && region[i + axes.length] === 1;
    if (input === output && whole && (!byScales || scales[i] === 1)) return value;
    if (typeof input !== 'number' || typeof output !== 'number')
      return c.refuse(`the size of its axis ${axis} is not known`);
    const scale = byScales ? scales[i]! : (common ?? output / input);
    const matrix = interpolation(c, sampling, { input, output, scale, region: [region[i]!, region[i + axes.length]!] });
    return alongAxis(c, value, rank, axis, matrix);
  }, g);
});

export const resizeGradients: Readonly<Record<string, VjpRule>> = { Resize: resize };
