/** @file Keeps some samples of a tensor along its batch axis: how finished samples leave a running batch. */
import { byteLength, sizeOf, Tensor } from '../ir/index.js';

/**
 * The samples `keep` (ascending positions along `axis`) of a tensor, copied. Element types narrower than a byte are not
 * supported, as ONNX Runtime carries none.
 */
export function keepSamples(tensor: Tensor, axis: number, keep: ArrayLike<number>): Tensor {
  const { dims, dtype, bytes } = tensor;
  const size = dims[axis]!;
  const outer = sizeOf(dims.slice(0, axis));
  const row = byteLength(dtype, sizeOf(dims.slice(axis + 1)));
  const kept = new Uint8Array(outer * keep.length * row);
  let at = 0;
  for (let block = 0; block < outer; block++) {
    const start = block * size * row;
    // Neighbouring samples are copied together.
    for (let first = 0; first < keep.length;) {
      let last = first + 1;
      while (last < keep.length && keep[last] === keep[last - 1]! + 1) last++;
      const from = start + keep[first]! * row;
      const length = (last - first) * row;
      kept.set(bytes.subarray(from, from + length), at);
      at += length;
      first = last;
    }
  }
  return Tensor.fromBytes(dtype, [...dims.slice(0, axis), keep.length, ...dims.slice(axis + 1)], kept);
}
