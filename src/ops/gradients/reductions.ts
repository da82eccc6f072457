/** @file Gradients of reductions: Reduce* with their axes as attribute or input, kept or dropped. */
import { intOf, intsOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import type { Arith } from './arith.js';
import { arithOf, countAlong, expandLike, fromFront, range } from './shaping.js';

/** What a reduction's formula sees: everything kept at the input's rank, so that it broadcasts. */
interface Reduction {
  readonly e: Arith;
  readonly c: VjpContext;
  readonly x: string;
  /** The output and its gradient with the reduced axes as size 1. */
  readonly y: string;
  readonly g: string;
  readonly axes: readonly number[];
}

/** The reduced axes from the front; refuses axes that are computed at run time. */
function axesOf(c: VjpContext): readonly number[] {
  const rank = c.shape(c.inputs[0]!).length;
  const given = c.inputs[1];
  let axes = intsOf(c.node, 'axes', undefined);
  if (given !== undefined) axes = c.constant(given)?.numbers() ?? c.refuse('its axes are computed at run time');
  if (axes === undefined || axes.length === 0) return intOf(c.node, 'noop_with_empty_axes', 0) === 1 ? [] : range(rank);
  return axes.map((axis) => fromFront(axis, rank));
}

/** A rule from the formula of dx, which must broadcast to x's shape; `expand` where it does not hold that shape itself. */
function reduction(formula: (reduction: Reduction) => string, expand = false): VjpRule {
  return (c) => {
    const g = c.grads[0];
    if (g === undefined || !c.wants(0)) return [];
    const axes = axesOf(c);
    const keep = intOf(c.node, 'keepdims', 1) === 1 || axes.length === 0;
    const kept = (value: string): string =>
      keep ? value : c.b.op('Unsqueeze', [value, c.b.int64s([...axes].sort((p, q) => p - q))]);
    const x = c.inputs[0]!;
    let y: string | undefined;
    const parts = {
      e: arithOf(c),
      c,
      x,
      get y() {
        return (y ??= kept(c.outputs[0]!));
      },
      g: kept(g),
      axes,
    };
    const dx = formula(parts);
    return [expand && axes.length > 0 ? expandLike(c, dx, x) : dx];
  };
}

/** The elements that equal the extreme share the gradient, as in PyTorch's amax and amin. */
const extreme = reduction(({ e, x, y, g, axes }) => {
  const chosen = e.cast(e.equal(x, y));
  return e.mul(chosen, e.div(g, e.sum(chosen, axes)));
});

export const reductionGradients: Readonly<Record<string, VjpRule>> = {
  ReduceSum: reduction(({ g }) => g, true),
  ReduceMean: reduction(({ e, c, x, g, axes }) => (axes.length === 0 ? g : e.div(g, countAlong(c, x, axes))), true),
  ReduceMax: extreme,
  ReduceMin: extreme,
};
