/** @file Gradients of operators that only rearrange elements: each goes back the same way. */
import { intsOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { range, reshapeLike } from './shaping.js';

/** A rule for operators with one differentiable input, from the output's gradient. */
function back(rule: (c: VjpContext, g: string) => string): VjpRule {
  return (c) => {
    const g = c.grads[0];
    return g === undefined || !c.wants(0) ? [] : [rule(c, g)];
  };
}

/** Same elements in the same order: the gradient takes the input's shape again. */
const sameElements = back((c, g) => reshapeLike(c, g, c.inputs[0]!));

const transpose = back((c, g) => {
  const rank = c.shape(c.inputs[0]!).length;
  const perm = intsOf(c.node, 'perm', range(rank).reverse());
  const inverse = range(rank).map((axis) => perm.indexOf(axis));
  return c.b.op('Transpose', [g], { perm: inverse });
});

export const movementGradients: Readonly<Record<string, VjpRule>> = {
  Reshape: sameElements,
  Flatten: sameElements,
  Squeeze: sameElements,
  Unsqueeze: sameElements,
  Transpose: transpose,
};
