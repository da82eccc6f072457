/** @file TensorFlow Lite: operators on each element, comparisons, casts, quantising. */
import { dataTypes } from '../../../ir/index.js';
import { floatsOfTensor } from '../constants.js';
import { binary, commonLayout, mapped, operand, select } from '../emit/elementwise.js';
import { clip, fakeQuantised, gelu, oneHot, plainRules } from '../emit/operands.js';
import { sameScale } from '../emit/windows.js';
import { CannotConvert, type Emitter } from '../emitter.js';
import type { Flow } from '../flow.js';
import type { Call, TfliteRule } from './call.js';

/** Two operands, and the fused activation that field 0 of the options says. */
const two =
  (op: string): TfliteRule =>
  (e, call) => [binary(e, call.out, op, call.input(0), call.input(1), call.activation(0))];

const map =
  (make: (e: Emitter, x: string, call: Call) => string): TfliteRule =>
  (e, call) => [mapped(e, call.out, call.input(0), (name) => make(e, name, call))];

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
  if (!(max > min)) throw new CannotConvert(`a range from ${min} to ${max}`);
  return [mapped(e, call.out, call.input(0), (x) => fakeQuantised(e, x, min, max, bits, narrow))];
}

/** PRELU: slopes are broadcast against the input. */
function prelu(e: Emitter, call: Call): readonly Flow[] {
  const [x, slopes] = [call.input(0), call.input(1)];
  const layout = commonLayout(e, call.out, [x, slopes]);
  const rank = x.shape?.length;
  return [e.result(call.out, e.op('PRelu', [e.real(x, layout), operand(e, slopes, layout, rank, 'real')]), layout)];
}

function oneHotRule(e: Emitter, call: Call): readonly Flow[] {
  const parts = [0, 1, 2, 3].map((i) => call.input(i));
  return [oneHot(e, call.out, parts, call.int(0, -1))];
}

/** Operators that differ from TensorFlow's in the spelling of their names only: `FLOOR_DIV` is `FloorDiv`. */
const alike: Readonly<Record<string, TfliteRule>> = Object.fromEntries(
  Object.entries(plainRules).map(([name, rule]) => [name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase(), rule]),
);

/** Rules of this family. */
export const elementwiseRules: Readonly<Record<string, TfliteRule>> = {
  ...alike,
  LOGISTIC: plainRules['Sigmoid']!,
  ADD: two('Add'),
  SUB: two('Sub'),
  MUL: two('Mul'),
  DIV: two('Div'),
  RELU_N1_TO_1: clip(-1, 1),
  RELU_0_TO_1: clip(0, 1),
  HARD_SWISH: map((e, x) => e.op('HardSwish', [x])),
  LEAKY_RELU: map((e, x, call) => e.op('LeakyRelu', [x], { alpha: e.float(call.number(0)) })),
  GELU: map((e, x, call) => gelu(e, x, call.flag(0))),
  PRELU: prelu,
  CAST: cast,
  QUANTIZE: requantise,
  DEQUANTIZE: requantise,
  // Sparse constants have their zeros already.
  DENSIFY: (_, call) => [call.input(0)],
  FAKE_QUANT: fakeQuantise,
  SELECT: (e, call) => {
    const [condition, yes] = [call.input(0), call.input(1)];
    // A vector condition chooses whole rows.
    const rows = condition.shape?.length === 1 && (yes.shape?.length ?? 0) > 1;
    if (rows) throw new CannotConvert('a condition per row');
    return [select(e, call.out, [condition, yes, call.input(2)])];
  },
  SELECT_V2: (e, call) => [select(e, call.out, [call.input(0), call.input(1), call.input(2)])],
  ONE_HOT: oneHotRule,
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
};
