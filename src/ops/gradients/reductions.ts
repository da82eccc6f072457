/** @file Gradients of reductions: Reduce* with their axes as input, kept or dropped. */
import { intOf } from '../../ir/index.js';
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
  const axes =
    given === undefined ? [] : (c.constant(given)?.numbers() ?? c.refuse('its axes are computed at run time'));
  if (axes.length === 0) return intOf(c.node, 'noop_with_empty_axes', 0) === 1 ? [] : range(rank);
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
    const dx = formula({
      e: arithOf(c),
      c,
      x,
      get y() {
        return (y ??= kept(c.outputs[0]!));
      },
      g: kept(g),
      axes,
    });
    return [expand && axes.length > 0 ? expandLike(c, dx, x) : dx];
  };
}

/** The elements that equal the extreme share the gradient, as in PyTorch's amax and amin. */
const extreme = reduction(({ e, x, y, g, axes }) => {
  const chosen = e.cast(e.equal(x, y));
  return e.mul(chosen, e.div(g, e.sum(chosen, axes)));
});

/** Each element gets the product of the others; zeros are counted apart, because y/x tells nothing there. */
const product = reduction(({ e, c, x, g, axes }) => {
  const zero = e.equal(x, 0);
  const safe = e.where(zero, 1, x);
  const others = axes.length === 0 ? safe : c.b.op('ReduceProd', [safe, c.b.int64s(axes)], { keepdims: 1 });
  const zeros = e.sum(e.cast(zero), axes);
  const atZero = e.where(e.equal(zeros, 1), others, 0);
  const elsewhere = e.where(e.equal(zeros, 0), e.div(others, safe), 0);
  return e.mul(g, e.where(zero, atZero, elsewhere));
});

export const reductionGradients: Readonly<Record<string, VjpRule>> = {
  ReduceSum: reduction(({ g }) => g, true),
  ReduceMean: reduction(({ e, c, x, g, axes }) => (axes.length === 0 ? g : e.div(g, countAlong(c, x, axes))), true),
  ReduceMax: extreme,
  ReduceMin: extreme,
  ReduceProd: product,
  ReduceL1: reduction(({ e, x, g }) => e.mul(g, e.sign(x))),
  // The norm of a zero vector has no slope; 0 as in PyTorch.
  ReduceL2: reduction(({ e, x, y, g }) => e.mul(x, e.where(e.equal(y, 0), 0, e.div(g, y)))),
  ReduceSumSquare: reduction(({ e, x, g }) => e.mul(x, e.mul(g, 2))),
  ReduceLogSum: reduction(({ e, y, g }) => e.div(g, e.exp(y)), true),
  ReduceLogSumExp: reduction(({ e, x, y, g }) => e.mul(g, e.exp(e.sub(x, y)))),
};
