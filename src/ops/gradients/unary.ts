/** @file Gradients of functions of one value: y = f(x), dx = g·f′. */
import { float, type Node } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import type { Arith } from './arith.js';
import { arithOf, zerosLike } from './shaping.js';

/** What a unary rule sees: arithmetic, the input, the output, the output's gradient. */
export interface Unary {
  readonly e: Arith;
  readonly x: string;
  readonly y: string;
  readonly g: string;
  readonly node: Node;
  readonly c: VjpContext;
}

/** A rule from the formula of dx. */
export function unary(formula: (unary: Unary) => string): VjpRule {
  return (c) => {
    const g = c.grads[0];
    if (g === undefined || !c.wants(0)) return [];
    return [formula({ e: arithOf(c), x: c.inputs[0]!, y: c.outputs[0]!, g, node: c.node, c })];
  };
}

/** Constant almost everywhere: the gradient is zero and stops here. */
export const flat: VjpRule = () => [];

/** 2/√π. */
const ERF_SLOPE = 2 / Math.sqrt(Math.PI);

/** Whether a bound is absent, or a constant that `mask` can stand on. */
const isSteppable = (bound: string | undefined, value: number | undefined): boolean =>
  bound === undefined ||
  (value !== undefined && (value === 0 || (Math.abs(value) > 2 ** -80 && Math.abs(value) < 2 ** 80)));

/**
 * 1 where sign·x ≥ sign·bound, else 0: a slope of one per unit in the last place of the bound, in one kernel on all
 * threads (Where has one thread). Slope and offset are exact in float32, so the bound itself gives 1 and its neighbour 0
 * (one half for the neighbour below a power of two, whose distance is half a unit).
 */
function mask(c: VjpContext, x: string, bound: number, sign: 1 | -1): string {
  const slope = bound === 0 ? 2 ** 126 : 2 ** (23 - Math.floor(Math.log2(Math.abs(bound))));
  return c.b.op(
    'HardSigmoid',
    [x],
    { alpha: float(sign * slope), beta: float(1 - sign * bound * slope) },
    { name: 'grad_clip_mask' },
  );
}

/** Identity inside the bounds, zero outside (on a bound the gradient passes, as in PyTorch's clamp). */
const clip = unary(({ e, x, g, c }) => {
  const [, low, high] = c.inputs;
  const [floor, ceiling] = [low, high].map((bound) => c.constant(bound)?.numbers()[0]);
  if (e.dtype === 'float32' && isSteppable(low, floor) && isSteppable(high, ceiling)) {
    const above = floor === undefined ? g : e.mul(g, mask(c, x, floor, 1));
    return ceiling === undefined ? above : e.mul(above, mask(c, x, ceiling, -1));
  }
  let result = g;
  if (low !== undefined) result = e.where(e.less(x, low), 0, result);
  if (high !== undefined) result = e.where(e.greater(x, high), 0, result);
  return result;
});

/** Passes the gradient on in the input's own type; casting to integers stops it. A quantised integer's gradient is a float already. */
const cast: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const from = c.type(c.inputs[0]!).dtype;
  const to = c.type(c.outputs[0]!).dtype;
  if (!to.includes('float')) return [];
  return [from === to || !from.includes('float') ? g : arithOf(c).cast(g)];
};

export const unaryGradients: Readonly<Record<string, VjpRule>> = {
  Identity: unary(({ g }) => g),
  Neg: unary(({ e, g }) => e.neg(g)),
  Abs: unary(({ e, x, g }) => e.mul(g, e.sign(x))),
  Sqrt: unary(({ e, y, g }) => e.div(e.mul(g, 0.5), y)),
  Exp: unary(({ e, y, g }) => e.mul(g, y)),
  Log: unary(({ e, x, g }) => e.div(g, x)),
  Reciprocal: unary(({ e, y, g }) => e.neg(e.mul(g, e.square(y)))),
  Sin: unary(({ e, x, g }) => e.mul(g, e.unary('Cos', x))),
  Cos: unary(({ e, x, g }) => e.neg(e.mul(g, e.unary('Sin', x)))),
  Tan: unary(({ e, y, g }) => e.mul(g, e.add(e.square(y), 1))),
  Asin: unary(({ e, x, g }) => e.div(g, e.sqrt(e.oneMinusSquare(x)))),
  Acos: unary(({ e, x, g }) => e.neg(e.div(g, e.sqrt(e.oneMinusSquare(x))))),
  Atan: unary(({ e, x, g }) => e.div(g, e.add(e.square(x), 1))),
  Sinh: unary(({ e, x, g }) => e.mul(g, e.unary('Cosh', x))),
  Cosh: unary(({ e, x, g }) => e.mul(g, e.unary('Sinh', x))),
  Tanh: unary(({ e, y, g }) => e.mul(g, e.oneMinusSquare(y))),
  Asinh: unary(({ e, x, g }) => e.div(g, e.sqrt(e.add(e.square(x), 1)))),
  Acosh: unary(({ e, x, g }) => e.div(g, e.sqrt(e.sub(e.square(x), 1)))),
  Atanh: unary(({ e, x, g }) => e.div(g, e.oneMinusSquare(x))),
  Erf: unary(({ e, x, g }) => e.mul(g, e.mul(e.exp(e.neg(e.square(x))), ERF_SLOPE))),
  Clip: clip,
  Cast: cast,
  CastLike: cast,
  // Zero rather than absent: whoever asks for the gradient of a parameter behind Sign gets one of its shape.
  Sign: unary(({ c, x }) => zerosLike(c, x)),
  Floor: unary(({ c, x }) => zerosLike(c, x)),
  Ceil: unary(({ c, x }) => zerosLike(c, x)),
  Round: unary(({ c, x }) => zerosLike(c, x)),
};
