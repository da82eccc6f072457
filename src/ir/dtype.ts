/** @file The element types of ONNX tensors: their codes, widths and typed arrays, as one table. */

type NumericArrayConstructor =
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | Int8ArrayConstructor
  | Int16ArrayConstructor
  | Int32ArrayConstructor
  | Uint8ArrayConstructor
  | Uint16ArrayConstructor
  | Uint32ArrayConstructor
  | BigInt64ArrayConstructor
  | BigUint64ArrayConstructor;

export type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

interface DataTypeInfo {
  /** TensorProto.DataType number. */
  readonly code: number;
  /** Bits of one element in `raw_data`; 0 for strings. Types under 8 bits are packed, low element first. */
  readonly bits: number;
  /** The view that holds one element per slot; for packed and 16-bit float types, the raw bit patterns. */
  readonly array: NumericArrayConstructor;
  readonly kind: 'float' | 'int' | 'uint' | 'bool' | 'complex' | 'string';
}

/** ONNX TensorProto.DataType, IR version 10. */
export const dataTypes = {
  float32: { code: 1, bits: 32, array: Float32Array, kind: 'float' },
  uint8: { code: 2, bits: 8, array: Uint8Array, kind: 'uint' },
  int8: { code: 3, bits: 8, array: Int8Array, kind: 'int' },
  uint16: { code: 4, bits: 16, array: Uint16Array, kind: 'uint' },
  int16: { code: 5, bits: 16, array: Int16Array, kind: 'int' },
  int32: { code: 6, bits: 32, array: Int32Array, kind: 'int' },
  int64: { code: 7, bits: 64, array: BigInt64Array, kind: 'int' },
  string: { code: 8, bits: 0, array: Uint8Array, kind: 'string' },
  bool: { code: 9, bits: 8, array: Uint8Array, kind: 'bool' },
  float16: { code: 10, bits: 16, array: Uint16Array, kind: 'float' },
  float64: { code: 11, bits: 64, array: Float64Array, kind: 'float' },
  uint32: { code: 12, bits: 32, array: Uint32Array, kind: 'uint' },
  uint64: { code: 13, bits: 64, array: BigUint64Array, kind: 'uint' },
  complex64: { code: 14, bits: 64, array: Float32Array, kind: 'complex' },
  complex128: { code: 15, bits: 128, array: Float64Array, kind: 'complex' },
  bfloat16: { code: 16, bits: 16, array: Uint16Array, kind: 'float' },
  float8e4m3fn: { code: 17, bits: 8, array: Uint8Array, kind: 'float' },
  float8e4m3fnuz: { code: 18, bits: 8, array: Uint8Array, kind: 'float' },
  float8e5m2: { code: 19, bits: 8, array: Uint8Array, kind: 'float' },
  float8e5m2fnuz: { code: 20, bits: 8, array: Uint8Array, kind: 'float' },
  uint4: { code: 21, bits: 4, array: Uint8Array, kind: 'uint' },
  int4: { code: 22, bits: 4, array: Uint8Array, kind: 'int' },
  float4e2m1: { code: 23, bits: 4, array: Uint8Array, kind: 'float' },
} as const satisfies Record<string, DataTypeInfo>;

export type DataType = keyof typeof dataTypes;

/** The typed array that `Tensor<D>.data` is, over any kind of buffer. */
export type TypedArrayOf<D extends DataType> = Extract<
  NumericArray,
  { readonly [Symbol.toStringTag]: InstanceType<(typeof dataTypes)[D]['array']>[typeof Symbol.toStringTag] }
>;

const byCode = new Map<number, DataType>(
  (Object.keys(dataTypes) as DataType[]).map((dtype) => [dataTypes[dtype].code, dtype]),
);

/** The data type with this TensorProto code, or `undefined` where the code is not one of ONNX's. */
export function dataTypeOfCode(code: number): DataType | undefined {
  return byCode.get(code);
}

/** Bytes that `count` elements of `dtype` take in `raw_data` (packed types round up to a whole byte). */
export function byteLength(dtype: DataType, count: number): number {
  return Math.ceil((dataTypes[dtype].bits * count) / 8);
}

/** True for the types that gradients flow through. */
export function isFloat(dtype: DataType): boolean {
  return dataTypes[dtype].kind === 'float';
}
