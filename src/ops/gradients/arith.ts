/** @file Short calls for the arithmetic that gradient rules emit; plain numbers become constants of the right type. */
import { Tensor, type DataType, type GraphBuilder } from '../../ir/index.js';

/** A value's name, or a number. */
export type Operand = string | number;

/** Emits elementwise operators of one floating-point type; every call appends one node and returns its output. */
export class Arith {
  readonly #b: GraphBuilder;
  readonly dtype: DataType;

  constructor(b: GraphBuilder, dtype: DataType) {
    this.#b = b;
    this.dtype = dtype;
  }

  /** A scalar constant of this type. */
  scalar(value: number): string {
    return scalarOf(this.#b, this.dtype, value);
  }

  add = (x: Operand, y: Operand): string => this.#two('Add', x, y);
  sub = (x: Operand, y: Operand): string => this.#two('Sub', x, y);
  div = (x: Operand, y: Operand): string => this.#two('Div', x, y);
  pow = (x: Operand, y: Operand): string => this.#two('Pow', x, y);
  greater = (x: Operand, y: Operand): string => this.#two('Greater', x, y);
  greaterOrEqual = (x: Operand, y: Operand): string => this.#two('GreaterOrEqual', x, y);
  less = (x: Operand, y: Operand): string => this.#two('Less', x, y);
  lessOrEqual = (x: Operand, y: Operand): string => this.#two('LessOrEqual', x, y);
  equal = (x: Operand, y: Operand): string => this.#two('Equal', x, y);

  /** x · y; a factor of 1 costs nothing. */
  mul = (x: Operand, y: Operand): string => {
    if (y === 1 && typeof x === 'string') return x;
    if (x === 1 && typeof y === 'string') return y;
    return this.#two('Mul', x, y);
  };

  neg = (x: string): string => this.#b.op('Neg', [x]);
  abs = (x: string): string => this.#b.op('Abs', [x]);
  exp = (x: string): string => this.#b.op('Exp', [x]);
  sqrt = (x: string): string => this.#b.op('Sqrt', [x]);
  sign = (x: string): string => this.#b.op('Sign', [x]);
  reciprocal = (x: string): string => this.#b.op('Reciprocal', [x]);
  sigmoid = (x: string): string => this.#b.op('Sigmoid', [x]);
  tanh = (x: string): string => this.#b.op('Tanh', [x]);
  square = (x: string): string => this.#two('Mul', x, x);
  /** 1 − x². */
  oneMinusSquare = (x: string): string => this.sub(1, this.square(x));
  /** One of the unary functions by its operator name. */
  unary = (op: string, x: string): string => this.#b.op(op, [x]);

  where = (condition: string, x: Operand, y: Operand): string =>
    this.#b.op('Where', [condition, this.#value(x), this.#value(y)]);
  /** x, at least `low` and at most `high`. */
  clip = (x: string, low: number, high: number): string => this.#b.op('Clip', [x, this.scalar(low), this.scalar(high)]);
  and = (x: string, y: string): string => this.#b.op('And', [x, y]);
  not = (x: string): string => this.#b.op('Not', [x]);
  /** A boolean or integer value as numbers of this type. */
  cast = (x: string): string => castTo(this.#b, x, this.dtype);

  /** Sum over `axes`, kept with size 1 unless `keepdims` is 0. All axes where `axes` is omitted. */
  sum(x: string, axes?: readonly number[], keepdims: 0 | 1 = 1): string {
    return this.#reduce('ReduceSum', x, axes, keepdims);
  }

  /** Mean over `axes`. */
  mean(x: string, axes?: readonly number[], keepdims: 0 | 1 = 1): string {
    return this.#reduce('ReduceMean', x, axes, keepdims);
  }

  #reduce(op: string, x: string, axes: readonly number[] | undefined, keepdims: 0 | 1): string {
    if (axes?.length === 0) return x;
    return this.#b.op(op, axes === undefined ? [x] : [x, this.#b.int64s(axes)], { keepdims });
  }

  #value(x: Operand): string {
    return typeof x === 'number' ? this.scalar(x) : x;
  }

  #two(op: string, x: Operand, y: Operand): string {
    return this.#b.op(op, [this.#value(x), this.#value(y)]);
  }
}

/** ONNX TensorProto codes of the types that rules cast to. */
const CAST_CODES: Partial<Record<DataType, number>> = {
  float32: 1,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
};

/** Casts to `dtype`. */
export function castTo(b: GraphBuilder, value: string, dtype: DataType): string {
  return b.op('Cast', [value], { to: CAST_CODES[dtype] });
}

/** A scalar constant of a floating-point type. Half-precision types are cast from float32. */
export function scalarOf(b: GraphBuilder, dtype: DataType, value: number): string {
  if (dtype === 'float64' || dtype === 'int64' || dtype === 'int32')
    return b.constant(Tensor.scalar(dtype, value), 'scalar');
  const single = b.constant(Tensor.scalar('float32', value), 'scalar');
  return dtype === 'float32' ? single : castTo(b, single, dtype);
}

/** A constant array of a floating-point type. Half-precision types are cast from float32. */
export function arrayOf(b: GraphBuilder, dtype: DataType, dims: readonly number[], values: readonly number[]): string {
  if (dtype === 'float64') return b.constant(Tensor.of('float64', dims, values), 'array');
  const single = b.constant(Tensor.of('float32', dims, values), 'array');
  return dtype === 'float32' ? single : castTo(b, single, dtype);
}
