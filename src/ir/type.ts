/** @file Types of values: element type and shape, with symbolic and unknown dims. */
import type { DataType } from './dtype.js';

/**
 * One dimension: a number, a symbol or an arithmetic expression over symbols (a string: `batch`, `floor((n-1)/2)+1`),
 * or `null` where nothing is known. Two equal strings are equal dims; two `null`s need not be.
 */
export type Dim = number | string | null;

/** Dims of a tensor of known rank. */
export type Shape = readonly Dim[];

export interface TensorType {
  readonly kind: 'tensor';
  readonly dtype: DataType;
  /** `undefined`: not even the rank is known. */
  readonly shape: Shape | undefined;
}

/** What a value may hold (ONNX TypeProto). */
export type ValueType =
  | TensorType
  | { readonly kind: 'sparse-tensor'; readonly dtype: DataType; readonly shape: Shape | undefined }
  | { readonly kind: 'sequence'; readonly element: ValueType | undefined }
  | { readonly kind: 'optional'; readonly element: ValueType | undefined }
  | { readonly kind: 'map'; readonly key: DataType; readonly value: ValueType | undefined };

/** Shorthand for a tensor type. */
export function tensorType(dtype: DataType, shape?: Shape): TensorType {
  return { kind: 'tensor', dtype, shape };
}

/** The dims as numbers, or `undefined` where any is symbolic or unknown. */
export function staticShape(shape: Shape | undefined): readonly number[] | undefined {
  if (shape === undefined) return undefined;
  return shape.every((dim) => typeof dim === 'number') ? shape : undefined;
}

/** `float32[batch, 3, 32, 32]`, for messages and tables. */
export function formatType(type: ValueType | undefined): string {
  if (type === undefined) return '?';
  switch (type.kind) {
    case 'tensor':
      return `${type.dtype}${formatShape(type.shape)}`;
    case 'sparse-tensor':
      return `sparse ${type.dtype}${formatShape(type.shape)}`;
    case 'sequence':
    case 'optional':
      return `${type.kind}(${formatType(type.element)})`;
    case 'map':
      return `map(${type.key}, ${formatType(type.value)})`;
  }
}

/** `[batch, 3, 32, 32]`; an unknown dim prints as `?`, an unknown rank as `[…]`. */
export function formatShape(shape: Shape | undefined): string {
  return shape === undefined ? '[…]' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
}
