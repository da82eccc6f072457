/** @file Gradient of Pad in all its modes. */
import { stringOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { alongAxis } from './axis-matrix.js';
import { arithOf, fromFront, needStatic, range } from './shaping.js';

/** Pads before and after every axis, from the `pads` and `axes` inputs. */
function padsOf(c: VjpContext): { begin: readonly number[]; end: readonly number[] } {
  const rank = c.shape(c.inputs[0]!).length;
  const given = c.constant(c.inputs[1])?.numbers() ?? c.refuse('its pads are computed at run time');
  const axes =
    c.inputs[3] === undefined
      ? range(rank)
      : (c.constant(c.inputs[3])?.numbers() ?? c.refuse('its axes are computed at run time'));
  const begin = new Array<number>(rank).fill(0);
  const end = new Array<number>(rank).fill(0);
  axes.forEach((axis, i) => {
    begin[fromFront(axis, rank)] = given[i]!;
    end[fromFront(axis, rank)] = given[i + axes.length]!;
  });
  return { begin, end };
}

/** Where position `at` of the padded axis (0 at the first real element) comes from. */
function sourceOf(mode: string, at: number, dim: number): number {
  if (at >= 0 && at < dim) return at;
  if (mode === 'edge') return at < 0 ? 0 : dim - 1;
  if (mode === 'wrap') return ((at % dim) + dim) % dim;
  const period = 2 * (dim - 1);
  const folded = period === 0 ? 0 : ((at % period) + period) % period;
  return folded < dim ? folded : period - folded;
}

/** Constant padding whose sizes are known at run time alone: the negated pads crop it away. */
function croppedAtRunTime(c: VjpContext, g: string): readonly (string | undefined)[] {
  if (c.wants(2)) c.refuse('its constant is trained while its pads are computed at run time');
  const { b } = c;
  return c.wants(0) ? [b.op('Pad', [g, b.op('Neg', [c.inputs[1]!]), undefined, c.inputs[3]])] : [];
}

/** Pad-18: constant padding is cropped away; elements that were repeated at the border collect their copies' gradients. */
const pad: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const mode = stringOf(c.node, 'mode', 'constant');
  if (mode === 'constant' && c.constant(c.inputs[1]) === undefined) return croppedAtRunTime(c, g);
  const { begin, end } = padsOf(c);
  const x = c.inputs[0]!;
  const shape = c.shape(x);
  if (mode === 'constant') {
    const crop = [...begin, ...end].map((size) => -size);
    const dX = crop.every((size) => size === 0) ? g : c.b.op('Pad', [g, c.b.int64s(crop)], {}, { name: 'grad_pad' });
    if (!c.wants(2)) return [dX];
    if (crop.some((size) => size > 0)) c.refuse('its constant is trained while some pads are negative');
    const e = arithOf(c);
    const value = e.sub(e.sum(g, undefined, 0), e.sum(dX, undefined, 0));
    return [
      c.wants(0) ? dX : undefined,
      undefined,
      c.shape(c.inputs[2]!).length === 1 ? c.b.op('Reshape', [value, c.b.int64s([1])]) : value,
    ];
  }
  if (!c.wants(0)) return [];
  const axes = range(shape.length).filter((axis) => begin[axis] !== 0 || end[axis] !== 0);
  const dims = needStatic(
    c,
    axes.map((axis) => shape[axis]!),
    `the axes padded by mode '${mode}'`,
  );
  return [
    axes.reduce((value, axis, i) => {
      const dim = dims[i]!;
      const rows = dim + begin[axis]! + end[axis]!;
      // Negative pads crop first; what is left is then repeated.
      const first = Math.max(0, -begin[axis]!);
      const left = dim - first - Math.max(0, -end[axis]!);
      const weights = new Array<number>(rows * dim).fill(0);
      for (let row = 0; row < rows; row++)
        weights[row * dim + first + sourceOf(mode, row - Math.max(0, begin[axis]!), left)] = 1;
      return alongAxis(c, value, shape.length, axis, { rows, columns: dim, weights });
    }, g),
  ];
};

export const paddingGradients: Readonly<Record<string, VjpRule>> = { Pad: pad };
