/** @file Single samples of a batch: what crosses a cut is packed sample by sample, and run batch by batch. */
import { byteLength, sizeOf, Tensor } from '../../ir/index.js';

/** Tensors of the same type that differ in one axis at most, put one after the other along it. At least one. */
export function joinSamples(tensors: readonly Tensor[], axis: number): Tensor {
  const [first] = tensors;
  if (tensors.length === 1) return first!;
  const { dtype, dims } = first!;
  const rows = tensors.reduce((sum, tensor) => sum + tensor.dims[axis]!, 0);
  const outer = sizeOf(dims.slice(0, axis));
  const row = byteLength(dtype, sizeOf(dims.slice(axis + 1)));
  const joined = new Uint8Array(outer * rows * row);
  for (let block = 0, at = 0; block < outer; block++)
    for (const tensor of tensors) {
      const length = tensor.dims[axis]! * row;
      joined.set(tensor.bytes.subarray(block * length, (block + 1) * length), at);
      at += length;
    }
  return Tensor.fromBytes(dtype, [...dims.slice(0, axis), rows, ...dims.slice(axis + 1)], joined);
}
