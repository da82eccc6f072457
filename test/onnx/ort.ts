/** @file Runs models in native ONNX Runtime directly, with tensors of the IR, for tests below the runtime floor. */
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { dataTypes, Tensor, type DataType } from '../../src/ir/index.js';

/** Reported through the OrtTensor constructor's type names, which differ from ours only here. */
const ortNames: Partial<Record<DataType, string>> = {};

const irNames = new Map<string, DataType>(
  (Object.keys(dataTypes) as DataType[]).map((dtype) => [ortNames[dtype] ?? dtype, dtype]),
);

export function toOrt(tensor: Tensor): OrtTensor {
  const { dtype, dims } = tensor;
  if (tensor.strings) return new OrtTensor('string', [...tensor.strings], dims);
  return new OrtTensor((ortNames[dtype] ?? dtype) as 'float32', tensor.data as Float32Array, dims);
}

export function fromOrt(tensor: OrtTensor): Tensor {
  const dtype = irNames.get(tensor.type);
  if (dtype === undefined) throw new Error(`ONNX Runtime gave a tensor of type ${tensor.type}`);
  if (dtype === 'string') return Tensor.ofStrings(tensor.dims, tensor.data as string[]);
  const data = tensor.data as Float32Array;
  return Tensor.fromBytes(dtype, tensor.dims, new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice());
}

/** One run of a model file; `basic` optimisation keeps both sides of a comparison alike and fast to load. */
export async function runOrt(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
  optimization: 'disabled' | 'basic' | 'extended' | 'all' = 'basic',
): Promise<Record<string, Tensor>> {
  const session = await InferenceSession.create(bytes, {
    graphOptimizationLevel: optimization,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  try {
    const given = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toOrt(tensor)]));
    const results = await session.run(given);
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, fromOrt(tensor)]));
  } finally {
    await session.release();
  }
}

/** True where two tensors agree in type, shape and every bit. */
export function bitEqual(a: Tensor, b: Tensor): boolean {
  if (a.dtype !== b.dtype || a.dims.join() !== b.dims.join()) return false;
  if (a.strings) return a.strings.join('\0') === b.strings?.join('\0');
  return Buffer.compare(a.bytes, b.bytes) === 0;
}

/** Largest absolute difference, relative to the larger of 1 and the values' size; Infinity where shapes differ. */
export function difference(a: Tensor, b: Tensor): number {
  if (a.dtype !== b.dtype || a.dims.join() !== b.dims.join()) return Infinity;
  if (bitEqual(a, b)) return 0;
  const [x, y] = [a.numbers(), b.numbers()];
  let worst = 0;
  for (let i = 0; i < x.length; i++) {
    if (Object.is(x[i], y[i]) || (Number.isNaN(x[i]) && Number.isNaN(y[i]))) continue;
    const gap = Math.abs(x[i]! - y[i]!) / Math.max(1, Math.abs(x[i]!), Math.abs(y[i]!));
    worst = Number.isNaN(gap) ? Infinity : Math.max(worst, gap);
  }
  return worst;
}
