/** @file Made-up feeds for a model that is to be timed: normal noise for floats, zeros for the rest. */
import { dataTypes, requiredInputs, sizeOf, Tensor, type DataType, type Model } from '../ir/index.js';
import { createRandom, type Random } from '../platform/index.js';
import { SessionOptionsError, UnsupportedDataTypeError } from './errors.js';
import { isCarried } from './tensors.js';

/**
 * One tensor per required input. A symbolic dim takes its size from `symbols`; on the first axis (the batch) it is 1 by
 * default. Float inputs hold seeded normal noise, others zeros.
 * Throws SessionOptionsError where a dim has no size, UnsupportedDataTypeError for a type that cannot be fed.
 */
export function syntheticFeeds(model: Model, symbols: Readonly<Record<string, number>> = {}): Record<string, Tensor> {
  const random = createRandom(1);
  const feeds: Record<string, Tensor> = {};
  for (const { name, type } of requiredInputs(model.graph)) {
    if (type?.kind !== 'tensor' || type.shape === undefined)
      throw new SessionOptionsError(`input '${name}' declares no tensor shape`, 'Give `feeds` for this model.');
    const dims = type.shape.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      const size = dim === null ? undefined : symbols[dim];
      if (size !== undefined) return size;
      if (axis === 0) return 1;
      throw new SessionOptionsError(
        `input '${name}' has no size for its dim '${dim ?? '?'}' (axis ${axis})`,
        `Give a size for it, or feeds.`,
      );
    });
    if (!isCarried(type.dtype)) throw new UnsupportedDataTypeError(type.dtype, `input '${name}'`);
    feeds[name] = syntheticTensor(type.dtype, dims, random);
  }
  return feeds;
}

/** One made-up tensor of a type that can be fed: normal noise for floats, zeros (or empty strings) for the rest. */
export function syntheticTensor(dtype: DataType, dims: readonly number[], random: Random): Tensor {
  const size = sizeOf(dims);
  if (dtype === 'string') return Tensor.ofStrings(dims, new Array<string>(size).fill(''));
  if (dtype === 'float32' || dtype === 'float64')
    return Tensor.of(
      dtype,
      dims,
      Array.from({ length: size }, () => random.normal()),
    );
  return Tensor.fromBytes(dtype, dims, new Uint8Array((size * dataTypes[dtype].bits) / 8));
}
