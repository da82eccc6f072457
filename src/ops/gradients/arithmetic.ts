/** @file Gradients of the operators that combine several inputs element by element, with broadcasting. */
import type { VjpContext, VjpRule } from '../record.js';
import type { Arith } from './arith.js';
import { arithOf, reduceTo } from './shaping.js';

/** What one term of a broadcast rule sees: arithmetic, the output's gradient, the output and the inputs. */
interface Term {
  readonly e: Arith;
  readonly g: string;
  readonly y: string;
  readonly x: readonly string[];
}

type TermRule = (term: Term, i: number) => string | undefined;

/** A rule whose gradient for input `i` is `term` summed down to that input's shape; `undefined` terms are zero. */
function broadcast(term: TermRule): VjpRule {
  return (c) => {
    const g = c.grads[0];
    if (g === undefined) return [];
    const e = arithOf(
      c,
      c.inputs.findIndex((_, i) => c.wants(i)),
    );
    const y = c.outputs[0]!;
    const x = c.inputs as readonly string[];
    return x.map((input, i) => {
      if (!c.wants(i)) return undefined;
      const full = term({ e, g, y, x }, i);
      return full === undefined ? undefined : reduceTo(c, full, c.shape(y), input);
    });
  };
}

/** d(a/b): g/b and −g·y/b. */
const divide: TermRule = ({ e, g, y, x }, i) => (i === 0 ? e.div(g, x[1]!) : e.neg(e.div(e.mul(g, y), x[1]!)));

/** d(aᵇ): g·b·aᵇ⁻¹ (0 where b = 0) and g·y·ln a (0 where a ≤ 0 makes y or its derivative undefined, as in PyTorch for a = 0). */
function power(c: VjpContext): TermRule {
  const exponent = c.constant(c.inputs[1]);
  const value =
    exponent?.size === 1 &&
    (exponent.dtype === 'float32' ||
      exponent.dtype === 'float64' ||
      exponent.dtype === 'int64' ||
      exponent.dtype === 'int32')
      ? exponent.numbers()[0]
      : undefined;
  return ({ e, g, y, x }, i) => {
    const [base, raised] = x as [string, string];
    if (i === 1) {
      const positive = e.greater(base, 0);
      const log = e.unary('Log', e.where(positive, base, 1));
      return e.mul(g, e.where(positive, e.mul(y, log), 0));
    }
    if (value === 1) return g;
    if (value === 2) return e.mul(g, e.mul(base, 2));
    if (value === 3) return e.mul(g, e.mul(e.square(base), 3));
    if (value === 0.5) return e.div(e.mul(g, 0.5), y);
    if (value !== undefined) return e.mul(g, e.mul(e.pow(base, value - 1), value));
    const exponentHere = c.type(raised).dtype === e.dtype ? raised : e.cast(raised);
    const slope = e.mul(exponentHere, e.pow(base, e.sub(exponentHere, 1)));
    return e.mul(g, e.where(e.equal(exponentHere, 0), 0, slope));
  };
}

/** The gradient goes to the input that was chosen; ties share it equally, as PyTorch's maximum and amax do. */
function chosen(): TermRule {
  let counts: string | undefined;
  return ({ e, g, y, x }, i) => {
    if (x.length === 1) return g;
    const isChosen = (input: string): string => e.cast(e.equal(input, y));
    counts ??= x.map(isChosen).reduce((sum, one) => e.add(sum, one));
    return e.mul(e.div(g, counts), isChosen(x[i]!));
  };
}

/** a mod b = a − b·q with q = ⌊a/b⌋ (fmod: truncated), constant almost everywhere. */
const modulo: TermRule = ({ e, g, y, x }, i) =>
  i === 0 ? g : e.neg(e.mul(g, e.unary('Round', e.div(e.sub(x[0]!, y), x[1]!))));

/** Where(condition, x, y): the gradient passes to the branch that was taken. */
const where: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const e = arithOf(c, 1);
  const [condition, x, y] = c.inputs as readonly [string, string, string];
  const shape = c.shape(c.outputs[0]!);
  return [
    undefined,
    c.wants(1) ? reduceTo(c, e.where(condition, g, 0), shape, x) : undefined,
    c.wants(2) ? reduceTo(c, e.where(condition, 0, g), shape, y) : undefined,
  ];
};

export const arithmeticGradients: Readonly<Record<string, VjpRule>> = {
  Add: broadcast(({ g }) => g),
  Sub: broadcast(({ e, g }, i) => (i === 0 ? g : e.neg(g))),
  Mul: broadcast(({ e, g, x }, i) => e.mul(g, x[1 - i]!)),
  Div: broadcast(divide),
  Pow: (c) => broadcast(power(c))(c),
  Mod: broadcast(modulo),
  Sum: broadcast(({ g }) => g),
  Mean: broadcast(({ e, g, x }) => e.mul(g, 1 / x.length)),
  Max: (c) => broadcast(chosen())(c),
  Min: (c) => broadcast(chosen())(c),
  Where: where,
};
