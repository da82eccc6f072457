/** @file Gradient of Einsum: for each operand, the einsum of the output's gradient with all other operands. */
import { stringOf, Tensor, type Dim, type Shape } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { arithOf, expandLike, reduceTo } from './shaping.js';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** The operands' terms and the output's, with letters in place of ellipses. */
interface Equation {
  readonly terms: readonly string[];
  readonly output: string;
  /** Gives a letter that the equation does not use. */
  readonly fresh: () => string;
}

function equationOf(c: VjpContext): Equation {
  const equation = stringOf(c.node, 'equation', '').replace(/\s/g, '');
  const unused = [...LETTERS].filter((letter) => !equation.includes(letter));
  const fresh = (): string => unused.shift() ?? c.refuse(`its equation '${equation}' uses up all letters`);
  const [left, right] = equation.split('->') as [string, string | undefined];
  const given = left.split(',');
  // An ellipsis stands for the axes that have no letter, counted from the back.
  const covered = given.map((term, i) => (term.includes('...') ? c.shape(c.inputs[i]!).length - (term.length - 3) : 0));
  const dots = Array.from({ length: Math.max(...covered) }, fresh).join('');
  const spelled = (term: string, count: number): string => term.replace('...', dots.slice(dots.length - count));
  const terms = given.map((term, i) => spelled(term, covered[i]!));
  if (right !== undefined) return { terms, output: spelled(right, dots.length), fresh };
  // Without an arrow: the ellipsis, then the letters that occur once, in alphabetical order.
  const letters = given.join('').replace(/\./g, '');
  const once = [...new Set(letters)].filter((letter) => letters.split(letter).length === 2).sort();
  return { terms, output: dots + once.join(''), fresh };
}

/** Einsum-12. A letter that only one operand has is summed over, so its gradient is spread again. */
const einsum: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const { terms, output, fresh } = equationOf(c);
  const dims = new Map<string, Dim>();
  terms.forEach((term, i) =>
    [...term].forEach((letter, axis) => {
      const dim = c.shape(c.inputs[i]!)[axis]!;
      if (dims.get(letter) === undefined || dims.get(letter) === 1) dims.set(letter, dim);
    }),
  );
  return terms.map((term, i) => {
    if (!c.wants(i)) return undefined;
    const others = terms.flatMap((other, j) => (j === i ? [] : [{ term: other, value: c.inputs[j]! }]));
    const known = new Set([output, ...others.map((other) => other.term)].join(''));
    const own = [...new Set(term)];
    const found = own.filter((letter) => known.has(letter));
    const operands = [{ term: output, value: g }, ...others];
    const product = c.b.op(
      'Einsum',
      operands.map((operand) => operand.value),
      { equation: `${operands.map((operand) => operand.term).join(',')}->${found.join('')}` },
    );
    const missing = own.flatMap((letter, axis) => (known.has(letter) ? [] : [axis]));
    const x = c.inputs[i]!;
    if (own.length !== term.length) return diagonal(c, product, found.join(''), term, x, fresh);
    const whole = missing.length === 0 ? product : c.b.op('Unsqueeze', [product, c.b.int64s(missing)]);
    const shape: Shape = own.map((letter) => (known.has(letter) ? dims.get(letter)! : 1));
    // An axis of size 1 that was broadcast collects its copies' gradients.
    const collected = c.shape(x).includes(1) ? reduceTo(c, whole, unbroadcast(shape, c.shape(x), missing), x) : whole;
    return missing.length === 0 ? collected : expandLike(c, collected, x);
  });
};

/** The shape before summing, with the operand's own dims where an axis is spread afterwards. */
const unbroadcast = (shape: Shape, own: Shape, missing: readonly number[]): Shape =>
  shape.map((dim, axis) => (missing.includes(axis) ? own[axis]! : dim));

/** A letter that one operand repeats reads its diagonal: the gradient is put on the diagonal, zeros beside it. */
function diagonal(c: VjpContext, value: string, found: string, term: string, x: string, fresh: () => string): string {
  const { b } = c;
  const e = arithOf(c);
  const seen = new Map<string, number>();
  const masks: { term: string; value: string }[] = [];
  const target = [...term].map((letter, axis) => {
    const first = seen.get(letter);
    if (first === undefined) {
      seen.set(letter, axis);
      return letter;
    }
    const copy = fresh();
    const side = b.op('Shape', [x], { start: axis, end: axis + 1 });
    const square = b.op('ConstantOfShape', [b.op('Concat', [side, side], { axis: 0 })], {
      value: Tensor.of('float32', [1], [0]),
    });
    const eye = b.op('EyeLike', [square], {});
    masks.push({ term: letter + copy, value: e.dtype === 'float32' ? eye : e.cast(eye) });
    return copy;
  });
  // Letters that nothing else has are spread by a mask of ones along them.
  for (const letter of new Set(term))
    if (!found.includes(letter) && !masks.some((mask) => mask.term.includes(letter))) {
      const axis = term.indexOf(letter);
      const length = b.op('Shape', [x], { start: axis, end: axis + 1 });
      masks.push({ term: letter, value: b.op('Expand', [e.scalar(1), length]) });
    }
  const operands = [{ term: found, value }, ...masks];
  return b.op(
    'Einsum',
    operands.map((operand) => operand.value),
    { equation: `${operands.map((operand) => operand.term).join(',')}->${target.join('')}` },
  );
}

export const einsumGradients: Readonly<Record<string, VjpRule>> = { Einsum: einsum };
