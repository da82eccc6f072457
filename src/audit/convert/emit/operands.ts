/** @file Element-wise operators that TensorFlow and TensorFlow Lite have alike: rules that need the operands alone. */
import { dataTypes, Tensor } from '../../../ir/index.js';
import type { Emitter } from '../emitter.js';
import type { Flow, Stated } from '../flow.js';
import { binary, commonLayout, mapped, numberLike, operand, unary } from './elementwise.js';

/** What a rule sees of its operator: converted inputs, stated outputs. */
export interface Operands {
  readonly inputs: readonly (Flow | undefined)[];
  readonly outputs: readonly Stated[];
  /** What is said of the first output. */
  readonly out: Stated;
  /** Input `index`; throws CannotConvert where it is missing. */
  input(index: number): Flow;
}

/** A rule that has no settings. */
export type PlainRule = (e: Emitter, call: Operands) => readonly Flow[];

/** One ONNX operator on one operand. */
export const one =
  (op: string): PlainRule =>
  (e, call) => [unary(e, call.out, op, call.input(0))];

/** One ONNX operator on two operands. */
export const two =
  (op: string): PlainRule =>
  (e, call) => [binary(e, call.out, op, call.input(0), call.input(1))];

/** Several nodes on one operand. */
export const map =
  (make: (e: Emitter, x: string, out: Stated) => string): PlainRule =>
  (e, call) => [mapped(e, call.out, call.input(0), (name) => make(e, name, call.out))];

/** Several nodes on two operands, brought into one layout. */
const both =
  (make: (e: Emitter, a: string, b: string) => string): PlainRule =>
  (e, call) => {
    const flows = [call.input(0), call.input(1)];
    const layout = commonLayout(e, call.out, flows);
    const [a, b] = flows.map((flow) => operand(e, flow, layout, call.out.shape?.length, 'real'));
    return [e.result(call.out, make(e, a!, b!), layout)];
  };

/** Bounds on one operand. */
export const clip =
  (low: number, high: number | undefined): PlainRule =>
  (e, call) => {
    const layout = e.layoutOf(call.input(0));
    return [e.clipped(call.out, e.real(call.input(0), layout), layout, low, high)];
  };

/** Several operands of one sum. */
export const addN: PlainRule = (e, call) => {
  const flows = call.inputs.map((_, i) => call.input(i));
  const layout = commonLayout(e, call.out, flows);
  const names = flows.map((flow) => operand(e, flow, layout, call.out.shape?.length, 'real'));
  return [e.result(call.out, e.op('Sum', names), layout)];
};

const isFloating = (value: Stated): boolean =>
  value.quantisation !== undefined || dataTypes[value.type].kind === 'float';

/** a − floor(a / b) × b: what Python's % gives. ONNX Mod does so for integers only. */
export const floorMod: PlainRule = (e, call) =>
  (isFloating(call.input(0))
    ? both((at, a, b) => at.op('Sub', [a, at.op('Mul', [at.op('Floor', [at.op('Div', [a, b])]), b])]))
    : two('Mod'))(e, call);

/** floor(a / b). ONNX's integer division rounds to zero: (a − a mod b) / b is exact. */
export const floorDiv: PlainRule = (e, call) =>
  both((at, a, b) =>
    isFloating(call.input(0))
      ? at.op('Floor', [at.op('Div', [a, b])])
      : at.op('Div', [at.op('Sub', [a, at.op('Mod', [a, b])]), b]),
  )(e, call);

/** Not(Equal). */
export const notEqual: PlainRule = (e, call) => {
  const equal = binary(e, call.out, 'Equal', call.input(0), call.input(1));
  return [unary(e, call.out, 'Not', equal)];
};

/** (a − b)². */
export const squaredDifference: PlainRule = both((e, a, b) => {
  const difference = e.op('Sub', [a, b]);
  return e.op('Mul', [difference, difference]);
});

/** GELU as opset 18 can say it: by erf, or the tanh approximation. */
export function gelu(e: Emitter, x: string, approximate: boolean): string {
  const { builder } = e;
  const cube = (): string => e.op('Mul', [x, e.op('Mul', [x, x])]);
  const inner = approximate
    ? e.op('Tanh', [
        e.op('Mul', [
          e.op('Add', [x, e.op('Mul', [cube(), builder.scalar(0.044715)])]),
          builder.scalar(Math.sqrt(2 / Math.PI)),
        ]),
      ])
    : e.op('Erf', [e.op('Mul', [x, builder.scalar(Math.SQRT1_2)])]);
  return e.op('Mul', [e.op('Mul', [x, builder.scalar(0.5)]), e.op('Add', [inner, builder.scalar(1)])]);
}

/** atan2 by quadrant. */
export const atan2: PlainRule = both((e, y, x) => {
  const { builder } = e;
  const zero = builder.scalar(0);
  const plain = e.op('Atan', [e.op('Div', [y, x])]);
  const turn = e.op('Where', [e.op('Less', [y, zero]), builder.scalar(-Math.PI), builder.scalar(Math.PI)]);
  const left = e.op('Where', [e.op('Less', [x, zero]), e.op('Add', [plain, turn]), plain]);
  const origin = e.op('And', [e.op('Equal', [x, zero]), e.op('Equal', [y, zero])]);
  return e.op('Where', [origin, builder.constant(Tensor.scalar('float32', 0)), left]);
});

/** ONNX OneHot-11 of indices, depth, on, off. An index below zero is nowhere, where ONNX counts from the end. */
export function oneHot(e: Emitter, out: Stated, parts: readonly Flow[], axis: number): Flow {
  const [indices, depth, on, off] = parts as [Flow, Flow, Flow, Flow];
  const values = e.op(
    'Concat',
    [off, on].map((value) => e.op('Reshape', [e.real(value), e.builder.int64s([1])])),
    { axis: 0 },
  );
  const count = e.op('Reshape', [e.int64(depth), e.builder.int64s([1])]);
  const index = e.int64(indices);
  const below = e.op('Less', [index, e.builder.constant(Tensor.scalar('int64', 0))]);
  return e.result(out, e.op('OneHot', [e.op('Where', [below, count, index]), count, values], { axis }), 'stated');
}

/** Quantises to `bits` and back, between `min` and `max`, as training for integers does. */
export function fakeQuantised(e: Emitter, x: string, min: number, max: number, bits: number, narrow: boolean): string {
  const { builder } = e;
  const [low, high] = [narrow ? 1 : 0, 2 ** bits - 1];
  const scale = (max - min) / (high - low);
  const zero = Math.min(high, Math.max(low, Math.round(low - min / scale)));
  const moved = e.op('Add', [e.op('Div', [x, builder.scalar(scale)]), builder.scalar(zero)]);
  const clipped = e.op('Clip', [e.op('Round', [moved]), builder.scalar(low), builder.scalar(high)]);
  return e.op('Mul', [e.op('Sub', [clipped, builder.scalar(zero)]), builder.scalar(scale)]);
}

/** Operators of the same name in lower case and meaning in both frameworks, by TensorFlow's name. */
export const plainRules: Readonly<Record<string, PlainRule>> = {
  Abs: one('Abs'),
  Ceil: one('Ceil'),
  Cos: one('Cos'),
  Elu: one('Elu'),
  Exp: one('Exp'),
  Floor: one('Floor'),
  Log: one('Log'),
  LogicalNot: one('Not'),
  Neg: one('Neg'),
  Round: one('Round'),
  Sigmoid: one('Sigmoid'),
  Sign: one('Sign'),
  Sin: one('Sin'),
  Sqrt: one('Sqrt'),
  Tanh: one('Tanh'),
  Maximum: two('Max'),
  Minimum: two('Min'),
  Pow: two('Pow'),
  LogicalAnd: two('And'),
  LogicalOr: two('Or'),
  Equal: two('Equal'),
  Greater: two('Greater'),
  GreaterEqual: two('GreaterOrEqual'),
  Less: two('Less'),
  LessEqual: two('LessOrEqual'),
  NotEqual: notEqual,
  SquaredDifference: squaredDifference,
  FloorDiv: floorDiv,
  FloorMod: floorMod,
  AddN: addN,
  Atan2: atan2,
  Square: map((e, x) => e.op('Mul', [x, x])),
  Rsqrt: map((e, x) => e.op('Reciprocal', [e.op('Sqrt', [x])])),
  ZerosLike: map((e, x, out) => e.op('Mul', [x, numberLike(e, out, 0)])),
  Relu: clip(0, undefined),
  Relu6: clip(0, 6),
};
