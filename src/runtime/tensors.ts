/** @file IR tensors to ONNX Runtime tensors and back, over the same memory. */
import type { Tensor as OrtTensor, TensorConstructor } from 'onnxruntime-node';
import { Tensor, type DataType } from '../ir/index.js';
import { UnsupportedDataTypeError } from './errors.js';

/** The types that both JavaScript interfaces of ONNX Runtime carry, under the names that they and the IR share. */
const CARRIED = [
  'float32',
  'float64',
  'float16',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
  'string',
] as const satisfies readonly DataType[];

type CarriedType = (typeof CARRIED)[number];

/** True for element types that can be fed to and fetched from a session. */
export function isCarried(dtype: string): dtype is CarriedType {
  return (CARRIED as readonly string[]).includes(dtype);
}

/**
 * An ONNX Runtime tensor over the IR tensor's own memory (copied only where its bytes are unaligned).
 * Throws UnsupportedDataTypeError for types that cannot cross (bfloat16, float8, 4-bit, complex); `where` names the value.
 */
export function toOrt(tensor: Tensor, where: string, ort: { readonly Tensor: TensorConstructor }): OrtTensor {
  const { dtype, dims } = tensor;
  if (!isCarried(dtype)) throw new UnsupportedDataTypeError(dtype, where);
  if (tensor.strings !== undefined) return new ort.Tensor('string', [...tensor.strings], dims);
  return new ort.Tensor(dtype as 'float32', tensor.data as Float32Array, dims);
}

/** An IR tensor over the memory that ONNX Runtime gave out. */
export function fromOrt(tensor: OrtTensor, where: string): Tensor {
  const { type, dims } = tensor;
  if (!isCarried(type)) throw new UnsupportedDataTypeError(type, where);
  return overData(type, dims, tensor.data);
}

/** As `fromOrt`, for a tensor in the GPU's memory, which is freed. */
export async function downloadOrt(tensor: OrtTensor, where: string): Promise<Tensor> {
  const { type, dims } = tensor;
  if (!isCarried(type)) throw new UnsupportedDataTypeError(type, where);
  return overData(type, dims, await tensor.getData(true));
}

function overData(type: CarriedType, dims: readonly number[], data: OrtTensor['data']): Tensor {
  if (type === 'string') return Tensor.ofStrings(dims, data as string[]);
  const { buffer, byteOffset, byteLength } = data as Uint8Array;
  return Tensor.fromBytes(type, dims, new Uint8Array(buffer, byteOffset, byteLength));
}
