/** @file GridSample in gathers and weights: all modes, paddings and alignments, images and volumes. */
import { intOf, stringOf, type GraphBuilder } from '../../ir/index.js';
import { castTo, type Arith } from '../gradients/arith.js';
import { arithOf, dimValue, needStatic, range, reshape } from '../gradients/shaping.js';
import type { ExpandRule } from '../record.js';
import { clamped, gatherTaps, wholePart, zeroPadded, type Tap } from './sampling.js';

interface Axis {
  readonly size: number;
  readonly padding: string;
  readonly aligned: boolean;
}

/** Coordinates mirrored into the image: between the centres of the border pixels where aligned, else between their edges. */
function reflected(b: GraphBuilder, e: Arith, x: string, { size, aligned }: Axis): string {
  const low = aligned ? 0 : -0.5;
  const span = aligned ? size - 1 : size;
  if (span === 0) return e.mul(x, 0);
  const distance = e.abs(e.sub(x, low));
  const { float: turns } = wholePart(b, e, e.div(distance, span));
  const rest = e.sub(distance, e.mul(turns, span));
  const odd = e.greater(b.op('Mod', [turns, e.scalar(2)], { fmod: 1 }), 0.5);
  return e.add(e.where(odd, e.sub(span, rest), rest), low);
}

/** Positions brought inside the image as the padding says; zeros are left to the weights. */
function padded(b: GraphBuilder, e: Arith, x: string, axis: Axis): string {
  if (axis.padding === 'zeros') return x;
  const mirrored = axis.padding === 'reflection' ? reflected(b, e, x, axis) : x;
  return b.op('Clip', [mirrored, e.scalar(0), e.scalar(axis.size - 1)]);
}

/** A neighbour at a whole coordinate that may lie outside. */
function neighbour(b: GraphBuilder, e: Arith, int: string, axis: Axis, weight: string | undefined): Tap {
  if (axis.padding === 'zeros') return zeroPadded(b, e, int, axis.size, weight);
  const inside = axis.padding === 'reflection' ? castTo(b, reflected(b, e, e.cast(int), axis), 'int64') : int;
  return { index: clamped(b, inside, axis.size), weight };
}

/** Cubic convolution (Keys 1981) with a = −0.75, at distances 1 + t, t, 1 − t and 2 − t. */
function cubicWeights(e: Arith, t: string): readonly string[] {
  const a = -0.75;
  const near = (d: string): string => e.add(e.mul(e.mul(e.sub(e.mul(d, a + 2), a + 3), d), d), 1);
  const far = (d: string): string => e.sub(e.mul(e.add(e.mul(e.sub(e.mul(d, a), 5 * a), d), 8 * a), d), 4 * a);
  const rest = e.sub(1, t);
  return [far(e.add(t, 1)), near(t), near(rest), far(e.add(rest, 1))];
}

function tapsOf(b: GraphBuilder, e: Arith, mode: string, x: string, axis: Axis): readonly Tap[] {
  if (mode === 'nearest') {
    const at = castTo(b, e.unary('Round', padded(b, e, x, axis)), 'int64');
    return [neighbour(b, e, at, axis, undefined)];
  }
  const cubic = mode === 'cubic';
  // Linear interpolation pads positions, cubic each pixel that it reads.
  const position = cubic ? x : padded(b, e, x, axis);
  const low = wholePart(b, e, position);
  const fraction = e.sub(position, low.float);
  const weights = cubic ? cubicWeights(e, fraction) : [e.sub(1, fraction), fraction];
  return weights.map((weight, i) => {
    const step = i - (cubic ? 1 : 0);
    const at = step === 0 ? low.int : b.op('Add', [low.int, b.int64s([step])]);
    return neighbour(b, e, at, axis, weight);
  });
}

/** GridSample-16 … 22: input [N, C, spatial…], grid [N, out…, axes] with the last spatial axis first. */
const gridSample: ExpandRule = (c) => {
  const { b } = c;
  const e = arithOf(c);
  const [x, grid] = c.inputs as readonly [string, string];
  const shape = c.shape(x);
  const sizes = needStatic(c, shape.slice(2), 'the spatial dims of its input');
  const rank = sizes.length;
  const mode = stringOf(c.node, 'mode', 'linear').replace(/^bi/, '');
  if (mode === 'cubic' && rank !== 2) c.refuse('cubic sampling is defined for images alone');
  const aligned = intOf(c.node, 'align_corners', 0) === 1;
  const padding = stringOf(c.node, 'padding_mode', 'zeros');
  const flatGrid = reshape(c, grid, [0, -1, rank]);
  const axes = sizes.map((size, i) => {
    const column = b.op('Gather', [flatGrid, b.op('Squeeze', [b.int64s([rank - 1 - i])])], { axis: 2 });
    const shifted = e.add(column, 1);
    const position = aligned ? e.mul(shifted, (size - 1) / 2) : e.sub(e.mul(shifted, size / 2), 0.5);
    return tapsOf(b, e, mode, position, { size, padding, aligned });
  });
  const pixels = sizes.reduce((product, size) => product * size, 1);
  const flat = b.op('Reshape', [x, b.int64s([0, 0, pixels])]);
  const sampled = gatherTaps(b, e, flat, dimValue(c, x, 1), axes, sizes);
  const target = b.op(
    'Concat',
    [dimValue(c, x, 0), dimValue(c, x, 1), ...range(rank).map((d) => dimValue(c, grid, d + 1))],
    { axis: 0 },
  );
  return [b.op('Reshape', [sampled, target])];
};

export const gridSampleExpansions: Readonly<Record<string, ExpandRule>> = { GridSample: gridSample };
