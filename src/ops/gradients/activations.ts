/** @file Gradients of activation functions. */
import { float, floatOf, stringOf } from '../../ir/index.js';
import type { VjpRule } from '../record.js';
import type { Arith } from './arith.js';
import { arithOf, reduceTo } from './shaping.js';
import { unary } from './unary.js';

/** Selu's constants as ONNX gives them. */
const SELU_ALPHA = 1.6732632423543772;
const SELU_GAMMA = 1.0507009873554805;

/**
 * The largest float32. min(1, STEEPEST·y) is 1 for every normal y > 0 and 0 for y = 0: a step in one kernel, about
 * twice as fast as Greater with Where, Cast or Sign (bench/conv-gradient). The output y is positive exactly where x is.
 */
const STEEPEST = 3.4028234663852886e38;

/** PRelu: dx = g where x ≥ 0 else g·slope; dslope = Σ g·x over negative x. */
const prelu: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const e = arithOf(c);
  const [x, slope] = c.inputs as readonly [string, string];
  const negative = e.less(x, 0);
  return [
    c.wants(0) ? e.where(negative, e.mul(g, slope), g) : undefined,
    c.wants(1) ? reduceTo(c, e.where(negative, e.mul(g, x), 0), c.shape(x), slope) : undefined,
  ];
};

/** The slope of x·Φ(x) is Φ(x) + x·φ(x). */
function geluSlope(e: Arith, x: string): string {
  const phi = e.mul(e.add(e.unary('Erf', e.mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = e.mul(e.exp(e.mul(e.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return e.add(phi, e.mul(x, density));
}

/** The slope of ½x(1 + tanh u) with u = √(2/π)(x + 0.044715x³). */
function geluTanhSlope(e: Arith, x: string): string {
  const rate = Math.sqrt(2 / Math.PI);
  const square = e.square(x);
  const t = e.tanh(e.mul(e.mul(x, e.add(e.mul(square, 0.044715), 1)), rate));
  const inner = e.mul(e.add(e.mul(square, 3 * 0.044715), 1), rate);
  return e.mul(e.add(e.add(t, 1), e.mul(e.mul(x, e.oneMinusSquare(t)), inner)), 0.5);
}

/** The slope of x·σ(αx) is s + αy(1 − s) with s = σ(αx). */
function swishSlope(e: Arith, x: string, y: string, alpha: number): string {
  const s = e.sigmoid(e.mul(x, alpha));
  return e.add(s, e.mul(e.mul(y, e.sub(1, s)), alpha));
}

/** The slope of x·tanh(softplus x) is t + x·σ(x)·(1 − t²). */
function mishSlope(e: Arith, x: string): string {
  const t = e.tanh(e.unary('Softplus', x));
  return e.add(t, e.mul(e.mul(x, e.sigmoid(x)), e.oneMinusSquare(t)));
}

/** com.microsoft FastGelu-1 and BiasGelu-1: Gelu of the input plus a bias. */
const withBias =
  (slope: (e: Arith, x: string) => string): VjpRule =>
  (c) => {
    const g = c.grads[0];
    if (g === undefined) return [];
    const e = arithOf(c);
    const [x, bias] = c.inputs as readonly [string, string | undefined];
    const dx = e.mul(g, slope(e, bias === undefined ? x : e.add(x, bias)));
    return [dx, c.wants(1) ? reduceTo(c, dx, c.shape(c.outputs[0]!), bias!) : undefined];
  };

export const activationGradients: Readonly<Record<string, VjpRule>> = {
  Relu: unary(({ e, y, g, c }) =>
    e.dtype === 'float32'
      ? e.mul(g, c.b.op('HardSigmoid', [y], { alpha: float(STEEPEST), beta: float(0) }, { name: 'grad_relu_mask' }))
      : e.where(e.greater(y, 0), g, 0),
  ),
  LeakyRelu: unary(({ e, x, g, node }) => e.where(e.greater(x, 0), g, e.mul(g, floatOf(node, 'alpha', 0.01)))),
  ThresholdedRelu: unary(({ e, x, g, node }) => e.where(e.greater(x, floatOf(node, 'alpha', 1)), g, 0)),
  PRelu: prelu,
  // Below zero y = α(eˣ − 1), so its slope α·eˣ is y + α.
  Elu: unary(({ e, x, y, g, node }) => e.where(e.less(x, 0), e.mul(g, e.add(y, floatOf(node, 'alpha', 1))), g)),
  // Below zero y = α(e^(x/α) − 1), so its slope is y/α + 1.
  Celu: unary(({ e, x, y, g, node }) =>
    e.where(e.less(x, 0), e.mul(g, e.add(e.div(y, floatOf(node, 'alpha', 1)), 1)), g),
  ),
  Selu: unary(({ e, x, y, g, node }) => {
    const gamma = floatOf(node, 'gamma', SELU_GAMMA);
    const below = e.add(y, gamma * floatOf(node, 'alpha', SELU_ALPHA));
    return e.mul(g, e.where(e.greater(x, 0), gamma, below));
  }),
  Sigmoid: unary(({ e, y, g }) => e.mul(g, e.mul(y, e.sub(1, y)))),
  HardSigmoid: unary(({ e, y, g, node }) => {
    const inside = e.and(e.greater(y, 0), e.less(y, 1));
    return e.where(inside, e.mul(g, floatOf(node, 'alpha', 0.2)), 0);
  }),
  // x·clamp(x/6 + ½): slope x/3 + ½ between −3 and 3.
  HardSwish: unary(({ e, x, g }) => {
    const middle = e.add(e.mul(x, 1 / 3), 0.5);
    return e.mul(g, e.where(e.lessOrEqual(x, -3), 0, e.where(e.greaterOrEqual(x, 3), 1, middle)));
  }),
  Softplus: unary(({ e, x, g }) => e.mul(g, e.sigmoid(x))),
  Softsign: unary(({ e, x, g }) => e.div(g, e.square(e.add(e.abs(x), 1)))),
  Mish: unary(({ e, x, g }) => e.mul(g, mishSlope(e, x))),
  Gelu: unary(({ e, x, g, node }) =>
    e.mul(g, stringOf(node, 'approximate', 'none') === 'tanh' ? geluTanhSlope(e, x) : geluSlope(e, x)),
  ),
  Swish: unary(({ e, x, y, g, node }) => e.mul(g, swishSlope(e, x, y, floatOf(node, 'alpha', 1)))),
  'com.microsoft:Gelu': unary(({ e, x, g }) => e.mul(g, geluSlope(e, x))),
  'com.microsoft:FastGelu': withBias(geluTanhSlope),
  'com.microsoft:BiasGelu': withBias(geluSlope),
  'com.microsoft:QuickGelu': unary(({ e, x, y, g, node }) =>
    e.mul(g, swishSlope(e, x, y, floatOf(node, 'alpha', 1.702))),
  ),
  Shrink: unary(({ e, x, g, node }) => e.where(e.greater(e.abs(x), floatOf(node, 'lambd', 0.5)), g, 0)),
};
