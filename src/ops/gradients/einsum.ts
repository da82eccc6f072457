/** @file Gradient of Einsum: for each operand, the einsum of the output's gradient with all other operands. */
import { stringOf } from '../../ir/index.js';
import type { VjpRule } from '../record.js';
import { expandLike } from './shaping.js';

/** Einsum-12 with explicit letters. A letter that only one operand has is summed over, so its gradient is spread again. */
const einsum: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const equation = stringOf(c.node, 'equation', '').replace(/\s/g, '');
  if (equation.includes('.')) c.refuse(`its equation '${equation}' has an ellipsis`);
  const [left, right] = equation.split('->') as [string, string | undefined];
  const terms = left.split(',');
  if (terms.some((term) => new Set(term).size !== term.length))
    c.refuse(`its equation '${equation}' repeats a letter within one operand`);
  // Without an arrow, the letters that occur once, in alphabetical order.
  const output =
    right ??
    [...new Set(left.replace(/,/g, ''))]
      .filter((letter) => left.split(letter).length === 2)
      .sort()
      .join('');
  return terms.map((term, i) => {
    if (!c.wants(i)) return undefined;
    const others = terms.flatMap((other, j) => (j === i ? [] : [{ term: other, value: c.inputs[j]! }]));
    const known = new Set([output, ...others.map((other) => other.term)].join(''));
    const found = [...term].filter((letter) => known.has(letter)).join('');
    const operands = [{ term: output, value: g }, ...others];
    const product = c.b.op(
      'Einsum',
      operands.map((operand) => operand.value),
      {
        equation: `${operands.map((operand) => operand.term).join(',')}->${found}`,
      },
    );
    const missing = [...term].flatMap((letter, axis) => (known.has(letter) ? [] : [axis]));
    if (missing.length === 0) return product;
    return expandLike(c, c.b.op('Unsqueeze', [product, c.b.int64s(missing)]), c.inputs[i]!);
  });
};

export const einsumGradients: Readonly<Record<string, VjpRule>> = { Einsum: einsum };
