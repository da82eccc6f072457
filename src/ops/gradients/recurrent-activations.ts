/** @file The activation functions of recurrent layers as ONNX Runtime has them, and their slopes. */
import type { Arith, Operand } from './arith.js';

/** One use of an activation function, with its parameters. */
export interface Activation {
  /** In lower case. */
  readonly name: string;
  readonly alpha: number;
  readonly beta: number;
}

/** Which parameters a function reads, and their defaults: those of ONNX Runtime, which are 0 where ONNX names none. */
export const activationParameters: Readonly<Record<string, { readonly alpha?: number; readonly beta?: number }>> = {
  affine: { alpha: 0, beta: 0 },
  relu: {},
  leakyrelu: { alpha: 0.01 },
  thresholdedrelu: { alpha: 0 },
  tanh: {},
  scaledtanh: { alpha: 0, beta: 0 },
  sigmoid: {},
  hardsigmoid: { alpha: 0.2, beta: 0.5 },
  elu: { alpha: 1 },
  softsign: {},
  softplus: {},
};

interface ActivationRule {
  /** The function of x. */
  readonly value: (e: Arith, x: string, parameters: Activation) => string;
  /** Its slope where the function of x is y. */
  readonly slope: (e: Arith, x: string, y: string, parameters: Activation) => Operand;
}

const scaledTanh = (e: Arith, x: string, beta: number): string => e.tanh(e.mul(x, beta));
const oneWhere = (e: Arith, condition: string): string => e.cast(condition);

const rules: Readonly<Record<string, ActivationRule>> = {
  affine: { value: (e, x, { alpha, beta }) => e.add(e.mul(x, alpha), beta), slope: (_e, _x, _y, { alpha }) => alpha },
  relu: { value: (e, x) => e.unary('Relu', x), slope: (e, _x, y) => oneWhere(e, e.greater(y, 0)) },
  leakyrelu: {
    value: (e, x, { alpha }) => e.where(e.greaterOrEqual(x, 0), x, e.mul(x, alpha)),
    slope: (e, x, _y, { alpha }) => e.where(e.greaterOrEqual(x, 0), 1, alpha),
  },
  thresholdedrelu: {
    value: (e, x, { alpha }) => e.where(e.greater(x, alpha), x, 0),
    slope: (e, x, _y, { alpha }) => oneWhere(e, e.greater(x, alpha)),
  },
  tanh: { value: (e, x) => e.tanh(x), slope: (e, _x, y) => e.oneMinusSquare(y) },
  scaledtanh: {
    value: (e, x, { alpha, beta }) => e.mul(scaledTanh(e, x, beta), alpha),
    slope: (e, x, _y, { alpha, beta }) => e.mul(e.oneMinusSquare(scaledTanh(e, x, beta)), alpha * beta),
  },
  sigmoid: { value: (e, x) => e.sigmoid(x), slope: (e, _x, y) => e.mul(y, e.sub(1, y)) },
  hardsigmoid: {
    value: (e, x, { alpha, beta }) => e.clip(e.add(e.mul(x, alpha), beta), 0, 1),
    slope: (e, _x, y, { alpha }) => e.where(e.and(e.greater(y, 0), e.less(y, 1)), alpha, 0),
  },
  elu: {
    value: (e, x, { alpha }) => e.where(e.greaterOrEqual(x, 0), x, e.mul(e.sub(e.exp(x), 1), alpha)),
    slope: (e, x, y, { alpha }) => e.where(e.greaterOrEqual(x, 0), 1, e.add(y, alpha)),
  },
  softsign: {
    value: (e, x) => e.unary('Softsign', x),
    slope: (e, x) => e.reciprocal(e.square(e.add(e.abs(x), 1))),
  },
  softplus: { value: (e, x) => e.unary('Softplus', x), slope: (e, x) => e.sigmoid(x) },
};

/** A gate while it is formed: its value, and the slope of that value in the gate's pre-activation. */
export interface Gate {
  readonly value: string;
  readonly slope: () => Operand;
}

/** f(clip(x)) and its slope in x, which is 0 where the clip holds. */
export function gateOf(e: Arith, x: string, activation: Activation, clip: number | undefined): Gate {
  const { value: valueOf, slope: slopeOf } = rules[activation.name]!;
  const inner = clip === undefined ? x : e.clip(x, -clip, clip);
  const value = valueOf(e, inner, activation);
  return {
    value,
    slope: () => {
      const slope = slopeOf(e, inner, value, activation);
      return clip === undefined ? slope : e.where(e.lessOrEqual(e.abs(x), clip), slope, 0);
    },
  };
}

/** The slope from the value alone, where that is possible: it saves forming the pre-activation again. */
export function slopeFromValue(e: Arith, y: string, activation: Activation): Operand | undefined {
  return ['tanh', 'sigmoid', 'relu'].includes(activation.name)
    ? rules[activation.name]!.slope(e, y, y, activation)
    : undefined;
}
