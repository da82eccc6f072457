/** @file Tensors of several samples or requests as one batch, and a batch's tensors as their own again. */
import { byteLength, InvalidGraphError, sizeOf, Tensor } from '../ir/index.js';
// Finished samples leave running batches by the same copy.
import { keepSamples } from '../exits/session-rows.js';

/** Tensors joined along an axis. Contract: equal types, equal dims elsewhere. Throws InvalidGraphError otherwise. */
export function joinSamples(tensors: readonly Tensor[], axis: number): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new InvalidGraphError('there are no tensors to join');
  if (tensors.length === 1) return first;
  const { dtype, dims } = first;
  const fits = tensors.every(
    (tensor) =>
      tensor.dtype === dtype &&
      tensor.dims.length === dims.length &&
      tensor.dims.every((dim, at) => at === axis || dim === dims[at]),
  );
  if (!fits) throw new InvalidGraphError('tensors of different types or shapes cannot be joined');
  const samples = tensors.reduce((sum, tensor) => sum + tensor.dims[axis]!, 0);
  const joined = [...dims.slice(0, axis), samples, ...dims.slice(axis + 1)];
  const outer = sizeOf(dims.slice(0, axis));
  if (dtype === 'string')
    return Tensor.ofStrings(
      joined,
      interleaved(
        tensors.map(({ strings = [] }) => strings),
        outer,
      ),
    );
  const row = byteLength(dtype, sizeOf(dims.slice(axis + 1)));
  const bytes = new Uint8Array(outer * samples * row);
  let at = 0;
  for (let block = 0; block < outer; block++)
    for (const tensor of tensors) {
      const length = tensor.dims[axis]! * row;
      bytes.set(tensor.bytes.subarray(block * length, (block + 1) * length), at);
      at += length;
    }
  return Tensor.fromBytes(dtype, joined, bytes);
}

function interleaved(lists: readonly (readonly string[])[], blocks: number): string[] {
  return Array.from({ length: blocks }, (_, block) =>
    lists.flatMap((list) => {
      const length = list.length / blocks;
      return list.slice(block * length, (block + 1) * length);
    }),
  ).flat();
}

/** Samples `from` to `from + count` of a tensor along an axis, copied. */
export function sliceSamples(tensor: Tensor, axis: number, from: number, count: number): Tensor {
  const { dims, strings } = tensor;
  if (from === 0 && count === dims[axis]) return tensor;
  if (strings === undefined)
    return keepSamples(
      tensor,
      axis,
      Array.from({ length: count }, (_, i) => from + i),
    );
  const inner = sizeOf(dims.slice(axis + 1));
  const kept = Array.from({ length: sizeOf(dims.slice(0, axis)) }, (_, block) => {
    const start = (block * dims[axis]! + from) * inner;
    return strings.slice(start, start + count * inner);
  }).flat();
  return Tensor.ofStrings([...dims.slice(0, axis), count, ...dims.slice(axis + 1)], kept);
}
