/** @file Types of PaddlePaddle's variables by code (`framework.proto`, VarType.Type). */

/** Element types; what holds no elements is absent. */
export const paddleTypes: Readonly<Record<number, string>> = {
  0: 'bool',
  1: 'int16',
  2: 'int32',
  3: 'int64',
  4: 'float16',
  5: 'float32',
  6: 'float64',
  20: 'uint8',
  21: 'int8',
  22: 'bfloat16',
  23: 'complex64',
  24: 'complex128',
};

/** A variable that is a tensor. */
export const TENSOR = 7;
