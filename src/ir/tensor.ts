/** @file An immutable tensor over the bytes that the file holds: no copy until someone needs aligned numbers. */
import { byteLength, dataTypes, type DataType, type NumericArray, type TypedArrayOf } from './dtype.js';
import { InvalidGraphError } from './error.js';

/** Product of static dims; 1 for a scalar. */
export function sizeOf(dims: readonly number[]): number {
  let size = 1;
  for (const dim of dims) size *= dim;
  return size;
}

/**
 * A constant tensor. Little-endian raw bytes are the truth (ONNX `raw_data`); `data` is a typed view of them,
 * made on first use and copied only where the bytes are not aligned. Strings live in `strings`.
 */
export class Tensor<D extends DataType = DataType> {
  readonly dtype: D;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
  readonly strings: readonly string[] | undefined;
  #view: NumericArray | undefined;

  private constructor(dtype: D, dims: readonly number[], bytes: Uint8Array, strings?: readonly string[]) {
    this.dtype = dtype;
    this.dims = dims;
    this.bytes = bytes;
    this.strings = strings;
  }

  /** A tensor over raw little-endian bytes, shared, not copied. Throws where the byte count does not fit dims. */
  static fromBytes<D extends DataType>(dtype: D, dims: readonly number[], bytes: Uint8Array): Tensor<D> {
    const expected = byteLength(dtype, sizeOf(dims));
    if (bytes.byteLength !== expected)
      throw new InvalidGraphError(
        `a ${dtype} tensor of shape [${dims.join(', ')}] needs ${expected} bytes, but ${bytes.byteLength} are given`,
      );
    return new Tensor(dtype, dims, bytes);
  }

  /** A string tensor. */
  static ofStrings(dims: readonly number[], strings: readonly string[]): Tensor<'string'> {
    if (strings.length !== sizeOf(dims))
      throw new InvalidGraphError(
        `a string tensor of shape [${dims.join(', ')}] cannot hold ${strings.length} strings`,
      );
    return new Tensor('string', dims, new Uint8Array(0), strings);
  }

  /** A tensor over a typed array (shared, not copied), or over plain numbers (converted). */
  static of<D extends Exclude<DataType, 'string'>>(
    dtype: D,
    dims: readonly number[],
    values: TypedArrayOf<D> | readonly number[],
  ): Tensor<D> {
    const view = ArrayBuffer.isView(values) ? values : fromNumbers(dtype, values);
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const tensor = Tensor.fromBytes(dtype, dims, bytes);
    tensor.#view = view;
    return tensor;
  }

  /** A scalar (rank 0). */
  static scalar<D extends Exclude<DataType, 'string'>>(dtype: D, value: number): Tensor<D> {
    return Tensor.of(dtype, [], [value]);
  }

  /** A one-dimensional int64 tensor: the usual form of shapes, axes and starts. */
  static int64s(values: readonly number[]): Tensor<'int64'> {
    return Tensor.of('int64', [values.length], values);
  }

  /** A one-dimensional or shaped float32 tensor. */
  static floats(
    values: readonly number[] | Float32Array,
    dims: readonly number[] = [values.length],
  ): Tensor<'float32'> {
    return Tensor.of('float32', dims, values);
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.dims);
  }

  /**
   * The elements as a typed array over the same memory where alignment allows. Types without an array of their own
   * (float16, bfloat16, float8, 4-bit) show their raw bit patterns.
   */
  get data(): TypedArrayOf<D> {
    if (this.#view === undefined) {
      const array = dataTypes[this.dtype].array;
      const aligned = this.bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? this.bytes : new Uint8Array(this.bytes); // copies; a Buffer's own slice() would not
      this.#view = new array(
        aligned.buffer as ArrayBuffer,
        aligned.byteOffset,
        aligned.byteLength / array.BYTES_PER_ELEMENT,
      );
    }
    return this.#view as TypedArrayOf<D>;
  }

  /**
   * The elements as plain numbers (copied; int64 beyond 2^53 saturates to ±2^53). For small tensors: axes, shapes, scalars.
   * Throws for strings and types whose view shows bit patterns.
   */
  numbers(): number[] {
    const { kind, bits } = dataTypes[this.dtype];
    if (kind === 'string' || kind === 'complex' || bits < 8 || (kind === 'float' && bits < 32))
      throw new InvalidGraphError(`a ${this.dtype} tensor cannot be read as plain numbers`);
    return Array.from(this.data as ArrayLike<number | bigint>, (value) =>
      typeof value === 'bigint' ? clampToSafeInteger(value) : value,
    );
  }

  /** The same bytes under other dims of equal size. */
  reshape(dims: readonly number[]): Tensor<D> {
    if (sizeOf(dims) !== this.size)
      throw new InvalidGraphError(`cannot view shape [${this.dims.join(', ')}] as [${dims.join(', ')}]`);
    return new Tensor(this.dtype, dims, this.bytes, this.strings);
  }
}

/** An int64 as a number; the sentinels INT64_MAX and INT64_MIN ("to the end") become ±2^53. */
export function clampToSafeInteger(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) return Number.MAX_SAFE_INTEGER;
  if (value < BigInt(Number.MIN_SAFE_INTEGER)) return Number.MIN_SAFE_INTEGER;
  return Number(value);
}

function fromNumbers(dtype: DataType, values: readonly number[]): NumericArray {
  const array = dataTypes[dtype].array;
  if (array === BigInt64Array || array === BigUint64Array) return new array(values.map(BigInt));
  return new (array as Float32ArrayConstructor)(values);
}
