/** @file Gradient of Resize (nearest and linear): the transpose of its interpolation, one matrix per axis. */
import { intOf, intsOf, stringOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { alongAxis, type AxisMatrix } from './axis-matrix.js';
import { back } from './movement.js';
import { fromFront, range } from './shaping.js';

const round = Math.fround;

interface Sampling {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
}

/**
 * Where output position `at` lies in the input (Resize-19, coordinate_transformation_mode). Rounded to float32 at each
 * step as ONNX Runtime does: a position that falls on .5 decides which neighbour is the nearest.
 */
function inputPosition(
  c: VjpContext,
  coordinates: string,
  at: number,
  input: number,
  output: number,
  scale: number,
): number {
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
    default:
      return c.refuse(`its coordinate_transformation_mode is '${coordinates}'`);
  }
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
function interpolation(c: VjpContext, sampling: Sampling, input: number, output: number, scale: number): AxisMatrix {
  const weights = new Array<number>(output * input).fill(0);
  const clamp = (index: number): number => Math.min(Math.max(index, 0), input - 1);
  for (let at = 0; at < output; at++) {
    const position = inputPosition(c, sampling.coordinates, at, input, output, scale);
    const add = (index: number, weight: number): void => {
      weights[at * input + clamp(index)]! += weight;
    };
    if (sampling.mode === 'nearest') add(nearestIndex(sampling.nearest, position), 1);
    else {
      const low = Math.floor(clamp(position));
      const fraction = clamp(position) - low;
      add(low, 1 - fraction);
      if (fraction > 0) add(low + 1, fraction);
    }
  }
  return { rows: output, columns: input, weights };
}

/** Resize-18 without antialiasing; the resized axes must have known sizes. */
const resize = back((c, g) => {
  const mode = stringOf(c.node, 'mode', 'nearest');
  if (mode !== 'nearest' && mode !== 'linear') c.refuse(`its mode is '${mode}'`);
  if (intOf(c.node, 'antialias', 0) === 1) c.refuse('it antialiases');
  const x = c.inputs[0]!;
  const shape = c.shape(x);
  const target = c.shape(c.outputs[0]!);
  const rank = shape.length;
  const sampling: Sampling = {
    mode,
    coordinates: stringOf(c.node, 'coordinate_transformation_mode', 'half_pixel'),
    nearest: stringOf(c.node, 'nearest_mode', 'round_prefer_floor'),
  };
  const axes = intsOf(c.node, 'axes', range(rank)).map((axis) => fromFront(axis, rank));
  const scales = c.constant(c.inputs[2])?.numbers();
  return axes.reduce((value, axis, i) => {
    const [input, output] = [shape[axis]!, target[axis]!];
    if (input === output && (scales === undefined || scales.length === 0 || scales[i] === 1)) return value;
    if (typeof input !== 'number' || typeof output !== 'number')
      return c.refuse(`the size of its axis ${axis} is not known`);
    const scale = scales !== undefined && scales.length > 0 ? scales[i]! : output / input;
    return alongAxis(c, value, rank, axis, interpolation(c, sampling, input, output, scale));
  }, g);
});

export const resizeGradients: Readonly<Record<string, VjpRule>> = { Resize: resize };
