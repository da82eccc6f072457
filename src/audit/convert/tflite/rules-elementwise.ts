/** @file TensorFlow Lite: operators on each element, comparisons, casts, quantising. */
import { dataTypes, Tensor } from '../../../ir/index.js';
import { floatsOfTensor } from '../constants.js';
import { binary, commonLayout, mapped, numberLike, operand, select, unary } from '../emit/elementwise.js';
import { sameScale } from '../emit/windows.js';
import { CannotConvert, type Emitter } from '../emitter.js';
import type { Flow, Stated } from '../flow.js';
import type { Call, TfliteRule } from './call.js';

const one =
  (op: string): TfliteRule =>
  (e, call) => [unary(e, call.out, op, call.input(0))];

/** Two operands, and a fused activation where field 0 of the options says one. */
const two =
  (op: string, activation = false): TfliteRule =>
  (e, call) => [binary(e, call.out, op, call.input(0), call.input(1), activation ? call.activation(0) : 'none')];

const both =
  (make: (e: Emitter, out: Stated, a: Flow, b: Flow) => Flow): TfliteRule =>
  (e, call) => [make(e, call.out, call.input(0), call.input(1))];

const map =
  (make: (e: Emitter, x: string, call: Call) => string): TfliteRule =>
  (e, call) => [mapped(e, call.out, call.input(0), (name) => make(e, name, call))];

const clip =
  (low: number, high: number | undefined): TfliteRule =>
  (e, call) => {
    const layout = e.layoutOf(call.input(0));
    return [e.clipped(call.out, e.real(call.input(0), layout), layout, low, high)];
  };

/** Several operands of one sum. */
function addN(e: Emitter, call: Call): readonly Flow[] {
  const flows = call.inputs.map((_, i) => call.input(i));
  const layout = commonLayout(e, call.out, flows);
  return [
    e.result(
      call.out,
      e.op(
        'Sum',
        flows.map((flow) => operand(e, flow, layout, call.out.shape?.length, 'real')),
      ),
      layout,
    ),
  ];
}

/** a − floor(a / b) × b: what Python's % gives. ONNX Mod does so for integers only. */
function floorMod(e: Emitter, call: Call): readonly Flow[] {
  if (!isFloating(call.input(0))) return two('Mod')(e, call);
  const [a, b] = [call.input(0), call.input(1)];
  const layout = commonLayout(e, call.out, [a, b]);
  const [x, y] = [a, b].map((flow) => operand(e, flow, layout, call.out.shape?.length, 'real'));
  const floor = e.op('Floor', [e.op('Div', [x, y])]);
  return [e.result(call.out, e.op('Sub', [x!, e.op('Mul', [floor, y!])]), layout)];
}

function floorDiv(e: Emitter, call: Call): readonly Flow[] {
  const [a, b] = [call.input(0), call.input(1)];
  const layout = commonLayout(e, call.out, [a, b]);
  const names = [a, b].map((flow) => operand(e, flow, layout, call.out.shape?.length, 'real'));
  if (isFloating(a)) return [e.result(call.out, e.op('Floor', [e.op('Div', names)]), layout)];
  // ONNX integer division rounds to zero: (a − a mod b) / b is exact.
  const rest = e.op('Mod', names);
  return [e.result(call.out, e.op('Div', [e.op('Sub', [names[0]!, rest]), names[1]!]), layout)];
}

const isFloating = (value: Stated): boolean =>
  value.quantisation !== undefined || dataTypes[value.type].kind === 'float';

function cast(e: Emitter, call: Call): readonly Flow[] {
  const x = call.input(0);
  const layout = e.layoutOf(x);
  return [e.result(call.out, e.op('Cast', [e.real(x, layout)], { to: dataTypes[call.out.type].code }), layout)];
}

/** Reads its input as real numbers; the result quantises itself where it is stated to be quantised. */
function requantise(e: Emitter, call: Call): readonly Flow[] {
  const x = call.input(0);
  if (x.constant && call.out.quantisation === undefined)
    return [e.constant({ name: call.out.name }, floatsOfTensor(x.constant, x.quantisation))];
  const layout = e.layoutOf(x);
  if (sameScale(x, call.out)) return [e.result(call.out, e.stored(x, layout), layout, 'stored')];
  return [e.result(call.out, e.real(x, layout), layout)];
}

function fakeQuantise(e: Emitter, call: Call): readonly Flow[] {
  const [min, max, bits, narrow] = [call.number(0), call.number(1), call.int(2, 8), call.flag(3)];
  const [low, high] = [narrow ? 1 : 0, 2 ** bits - 1];
  const scale = (max - min) / (high - low);
  if (!(scale > 0)) throw new CannotConvert(`a range from ${min} to ${max}`);
  const zero = Math.min(high, Math.max(low, Math.round(low - min / scale)));
  return map((emitter, x) => {
    const { builder } = emitter;
    const moved = emitter.op('Add', [emitter.op('Div', [x, builder.scalar(scale)]), builder.scalar(zero)]);
    const clipped = emitter.op('Clip', [emitter.op('Round', [moved]), builder.scalar(low), builder.scalar(high)]);
    return emitter.op('Mul', [emitter.op('Sub', [clipped, builder.scalar(zero)]), builder.scalar(scale)]);
  })(e, call);
}

/** PRELU: slopes are broadcast against the input. */
function prelu(e: Emitter, call: Call): readonly Flow[] {
  const [x, slopes] = [call.input(0), call.input(1)];
  const layout = commonLayout(e, call.out, [x, slopes]);
  const rank = x.shape?.length;
  return [e.result(call.out, e.op('PRelu', [e.real(x, layout), operand(e, slopes, layout, rank, 'real')]), layout)];
}

function oneHot(e: Emitter, call: Call): readonly Flow[] {
  const [indices, depth, on, off] = [0, 1, 2, 3].map((i) => call.input(i));
  const values = e.op(
    'Concat',
    [off!, on!].map((value) => e.op('Reshape', [e.real(value), e.builder.int64s([1])])),
    { axis: 0 },
  );
  const count = e.op('Reshape', [e.int64(depth!), e.builder.int64s([1])]);
  return [e.result(call.out, e.op('OneHot', [e.int64(indices!), count, values], { axis: call.int(0, -1) }), 'stated')];
}

/** Rules of this family. */
export const elementwiseRules: Readonly<Record<string, TfliteRule>> = {
  ABS: one('Abs'),
  CEIL: one('Ceil'),
  COS: one('Cos'),
  ELU: one('Elu'),
  EXP: one('Exp'),
  FLOOR: one('Floor'),
  LOG: one('Log'),
  LOGICAL_NOT: one('Not'),
  LOGISTIC: one('Sigmoid'),
  NEG: one('Neg'),
  ROUND: one('Round'),
  SIGN: one('Sign'),
  SIN: one('Sin'),
  SQRT: one('Sqrt'),
  TANH: one('Tanh'),
  ADD: two('Add', true),
  SUB: two('Sub', true),
  MUL: two('Mul', true),
  DIV: two('Div', true),
  MAXIMUM: two('Max'),
  MINIMUM: two('Min'),
  POW: two('Pow'),
  LOGICAL_AND: two('And'),
  LOGICAL_OR: two('Or'),
  EQUAL: two('Equal'),
  GREATER: two('Greater'),
  GREATER_EQUAL: two('GreaterOrEqual'),
  LESS: two('Less'),
  LESS_EQUAL: two('LessOrEqual'),
  NOT_EQUAL: (e, call) => {
    const equal = binary(e, call.out, 'Equal', call.input(0), call.input(1));
    return [unary(e, call.out, 'Not', equal)];
  },
  SQUARED_DIFFERENCE: both((e, out, a, b) => {
    const real: Stated = { ...out, quantisation: undefined, type: isFloating(out) ? 'float32' : out.type };
    return mapped(e, out, binary(e, real, 'Sub', a, b), (name) => e.op('Mul', [name, name]));
  }),
  FLOOR_DIV: floorDiv,
  FLOOR_MOD: floorMod,
  ADD_N: addN,
  SQUARE: map((e, x) => e.op('Mul', [x, x])),
  RSQRT: map((e, x) => e.op('Reciprocal', [e.op('Sqrt', [x])])),
  ZEROS_LIKE: map((e, x, call) => e.op('Mul', [x, numberLike(e, call.out, 0)])),
  RELU: clip(0, undefined),
  RELU6: clip(0, 6),
  RELU_N1_TO_1: clip(-1, 1),
  RELU_0_TO_1: clip(0, 1),
  HARD_SWISH: map((e, x) => e.op('HardSwish', [x])),
  LEAKY_RELU: map((e, x, call) => e.op('LeakyRelu', [x], { alpha: e.float(call.number(0)) })),
  GELU: map((e, x, call) => gelu(e, x, call.flag(0))),
  PRELU: prelu,
  CAST: cast,
  QUANTIZE: requantise,
  DEQUANTIZE: requantise,
  FAKE_QUANT: fakeQuantise,
  SELECT: (e, call) => {
    const [condition, yes] = [call.input(0), call.input(1)];
    // A vector condition chooses whole rows.
    const rows = condition.shape?.length === 1 && (yes.shape?.length ?? 0) > 1;
    if (rows) throw new CannotConvert('a condition per row');
    return [select(e, call.out, [condition, yes, call.input(2)])];
  },
  SELECT_V2: (e, call) => [select(e, call.out, [call.input(0), call.input(1), call.input(2)])],
  ONE_HOT: oneHot,
  FILL: (e, call) => {
    const value = call.input(1);
    return [e.result(call.out, e.op('Expand', [e.stored(value), e.int64(call.input(0))]), 'stated', 'stored')];
  },
  RANGE: (e, call) => [
    e.result(
      call.out,
      e.op(
        'Range',
        [0, 1, 2].map((i) => e.stored(call.input(i))),
      ),
      'stated',
    ),
  ],
  ATAN2: both((e, out, y, x) => {
    const layout = commonLayout(e, out, [y, x]);
    const [a, b] = [y, x].map((flow) => operand(e, flow, layout, out.shape?.length, 'real'));
    return e.result(out, atan2(e, a!, b!), layout);
  }),
};

/** GELU as opset 18 can say it: by erf, or the tanh approximation. */
export function gelu(e: Emitter, x: string, approximate: boolean): string {
  const { builder } = e;
  const inner = approximate
    ? e.op('Tanh', [
        e.op('Mul', [
          e.op('Add', [x, e.op('Mul', [e.op('Mul', [x, e.op('Mul', [x, x])]), builder.scalar(0.044715)])]),
          builder.scalar(Math.sqrt(2 / Math.PI)),
        ]),
      ])
    : e.op('Erf', [e.op('Mul', [x, builder.scalar(Math.SQRT1_2)])]);
  return e.op('Mul', [e.op('Mul', [x, builder.scalar(0.5)]), e.op('Add', [inner, builder.scalar(1)])]);
}

/** atan2 by quadrant. */
function atan2(e: Emitter, y: string, x: string): string {
  const { builder } = e;
  const zero = builder.scalar(0);
  const plain = e.op('Atan', [e.op('Div', [y, x])]);
  const turn = e.op('Where', [e.op('Less', [y, zero]), builder.scalar(-Math.PI), builder.scalar(Math.PI)]);
  const left = e.op('Where', [e.op('Less', [x, zero]), e.op('Add', [plain, turn]), plain]);
  const both = e.op('And', [e.op('Equal', [x, zero]), e.op('Equal', [y, zero])]);
  return e.op('Where', [both, builder.constant(Tensor.scalar('float32', 0)), left]);
}
