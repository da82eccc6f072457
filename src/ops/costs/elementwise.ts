/** @file Cost of element-wise operators: floating-point operations per output element, an exponential or a root counting one. */
import { flops, inputSize, outputSize, perOutput, type CostTable } from './support.js';

/** Operations per output element. */
const PER_ELEMENT: Readonly<Record<string, number>> = {
  Abs: 1, Acos: 1, Acosh: 1, Asin: 1, Asinh: 1, Atan: 1, Atanh: 1, Ceil: 1, Cos: 1, Cosh: 1, Erf: 1, Exp: 1, Floor: 1,
  Log: 1, Neg: 1, Reciprocal: 1, Round: 1, Sign: 1, Sin: 1, Sinh: 1, Sqrt: 1, Tan: 1, Tanh: 1, Relu: 1,
  IsInf: 1, IsNaN: 1, Not: 1, BitwiseNot: 1,
  Add: 1, Sub: 1, Mul: 1, Div: 1, Pow: 1, Mod: 1, BitShift: 1, BitwiseAnd: 1, BitwiseOr: 1, BitwiseXor: 1,
  And: 1, Or: 1, Xor: 1, Equal: 1, Greater: 1, GreaterOrEqual: 1, Less: 1, LessOrEqual: 1, Where: 1,
  // max(0, x) + slope · min(0, x), and what is built like it.
  LeakyRelu: 2, PRelu: 2, ThresholdedRelu: 1, Clip: 2, Shrink: 2, HardSigmoid: 4, HardSwish: 5,
  // e^x with the arithmetic around it.
  Sigmoid: 4, Elu: 3, Selu: 4, Celu: 4, Softplus: 3, Softsign: 3, Mish: 5, Swish: 5, Gelu: 5,
  'com.microsoft:Gelu': 5, 'com.microsoft:QuickGelu': 6, 'com.microsoft:FastGelu': 9, 'com.microsoft:BiasGelu': 6,
  'com.microsoft:BiasSplitGelu': 7, 'com.microsoft:BiasAdd': 2,
  QuantizeLinear: 4, DequantizeLinear: 2, 'com.microsoft:QuantizeLinear': 4, 'com.microsoft:DequantizeLinear': 2,
  'com.microsoft:QLinearAdd': 7, 'com.microsoft:QLinearMul': 6, 'com.microsoft:QLinearSigmoid': 8,
  'com.microsoft:QLinearLeakyRelu': 7,
  // Drawing a number counts one.
  Bernoulli: 2, RandomNormal: 1, RandomNormalLike: 1, RandomUniform: 1, RandomUniformLike: 1, Multinomial: 1,
  HannWindow: 4, HammingWindow: 4, BlackmanWindow: 6, MelWeightMatrix: 4, Range: 1, CumSum: 1, CumProd: 1,
  // A rotation takes two multiplications and one addition.
  RotaryEmbedding: 3, 'com.microsoft:RotaryEmbedding': 3,
}; // prettier-ignore

export const elementwiseCosts: CostTable = {
  ...Object.fromEntries(Object.entries(PER_ELEMENT).map(([op, each]) => [op, perOutput(each)])),
  // n inputs take n − 1 operations; a mean, one more.
  ...Object.fromEntries(
    ['Sum', 'Max', 'Min', 'Mean'].map((op) => [
      op,
      (context) => flops((context.inputs.length - (op === 'Mean' ? 0 : 1)) * outputSize(context)),
    ]),
  ),
  // Least and greatest element, then scale and round.
  DynamicQuantizeLinear: (context) => flops(6 * inputSize(context)),
};
