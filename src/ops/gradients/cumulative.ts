/** @file Gradients of running sums and products. */
import { intOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { back } from './movement.js';
import { arithOf } from './shaping.js';

/** What comes before each element, summed, runs backwards as what comes after it. */
function after(c: VjpContext, value: string): string {
  return c.b.op('CumSum', [value, c.inputs[1]], {
    exclusive: intOf(c.node, 'exclusive', 0),
    reverse: 1 - intOf(c.node, 'reverse', 0),
  });
}

/**
 * CumProd-26: an element's slope is the running product without it. Zeros are counted apart: only the first one of a run
 * has a slope, up to the second.
 */
const cumProd = back((c, g) => {
  const e = arithOf(c);
  const [x, axis] = c.inputs as readonly [string, string];
  const attributes = { exclusive: intOf(c.node, 'exclusive', 0), reverse: intOf(c.node, 'reverse', 0) };
  const zero = e.equal(x, 0);
  const marks = e.cast(zero);
  const safe = e.where(zero, 1, x);
  const products = c.b.op('CumProd', [safe, axis], attributes);
  const zeros = c.b.op('CumSum', [marks, axis], attributes);
  const first = e.equal(c.b.op('CumSum', [marks, axis], { ...attributes, exclusive: 0 }), 1);
  const elsewhere = e.div(after(c, e.mul(g, c.outputs[0]!)), safe);
  const atZero = after(c, e.mul(g, e.where(e.equal(zeros, 1), products, 0)));
  return e.where(zero, e.where(first, atZero, 0), elsewhere);
});

export const cumulativeGradients: Readonly<Record<string, VjpRule>> = { CumSum: back(after), CumProd: cumProd };
