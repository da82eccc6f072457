/** @file Constants of foreign models: other order of axes, real numbers from stored ones. */
import { sizeOf, Tensor, type TypedArrayOf } from '../../ir/index.js';
import type { Quantisation } from './flow.js';

/** The same elements with axis `order[i]` as new axis i. Works on any whole-byte element type. */
export function transposeTensor(tensor: Tensor, order: readonly number[]): Tensor {
  const rank = order.length;
  const dims = order.map((axis) => tensor.dims[axis]!);
  if (order.every((axis, i) => axis === i)) return tensor;
  const width = tensor.bytes.length / Math.max(1, tensor.size);
  const steps = new Array<number>(rank);
  let step = 1;
  for (let axis = rank - 1; axis >= 0; axis--) {
    steps[axis] = step;
    step *= tensor.dims[axis]!;
  }
  const result = new Uint8Array(tensor.bytes.length);
  const index = new Array<number>(rank).fill(0);
  let from = 0;
  for (let to = 0; to < result.length; to += width) {
    for (let i = 0; i < width; i++) result[to + i] = tensor.bytes[from * width + i]!;
    for (let axis = rank - 1; axis >= 0; axis--) {
      from += steps[order[axis]!]!;
      if (++index[axis]! < dims[axis]!) break;
      from -= steps[order[axis]!]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return Tensor.fromBytes(tensor.dtype, dims, result);
}

/** IEEE 754 binary16 as a number. */
function halfNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** A constant as float32: half precision widened, quantised integers multiplied out. */
export function floatsOfTensor(tensor: Tensor, quantisation?: Quantisation): Tensor<'float32'> {
  if (tensor.dtype === 'float32') return tensor as Tensor<'float32'>;
  const result = new Float32Array(tensor.size);
  const data = tensor.data as ArrayLike<number | bigint>;
  if (tensor.dtype === 'float16') for (let i = 0; i < result.length; i++) result[i] = halfNumber(Number(data[i]));
  else if (tensor.dtype === 'bfloat16') {
    const bits = new Uint32Array(result.buffer);
    for (let i = 0; i < bits.length; i++) bits[i] = Number(data[i]) << 16;
  } else if (quantisation === undefined) for (let i = 0; i < result.length; i++) result[i] = Number(data[i]);
  else {
    const { scales, zeros, axis } = quantisation;
    const inner = sizeOf(tensor.dims.slice(axis + 1));
    for (let i = 0; i < result.length; i++) {
      const at = scales.length === 1 ? 0 : Math.floor(i / inner) % scales.length;
      result[i] = scales[at]! * (Number(data[i]) - (zeros[at] ?? 0));
    }
  }
  return Tensor.of('float32', tensor.dims, result);
}

/** Four-bit integers, low half first, as int8. */
export function widenInt4(bytes: Uint8Array, dims: readonly number[]): Tensor<'int8'> {
  const result = new Int8Array(sizeOf(dims));
  for (let i = 0; i < result.length; i++) {
    const byte = bytes[i >> 1] ?? 0;
    result[i] = ((i & 1 ? byte >> 4 : byte & 15) << 28) >> 28;
  }
  return Tensor.of('int8', dims, result as TypedArrayOf<'int8'>);
}
