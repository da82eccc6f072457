/** @file Made-up feeds for a model that is to be timed: normal noise for floats, zeros for the rest. */
import { dataTypes, requiredInputs, sizeOf, Tensor, type Model } from '../ir/index.js';
import { createRandom } from '../platform/index.js';
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
    const size = sizeOf(dims);
    if (type.dtype === 'string')
      feeds[name] = Tensor.ofStrings(
        dims,
        Array.from({ length: size }, () => ''),
      );
    else if (type.dtype === 'float32' || type.dtype === 'float64')
      feeds[name] = Tensor.of(
        type.dtype,
        dims,
        Array.from({ length: size }, () => random.normal()),
      );
    else feeds[name] = Tensor.fromBytes(type.dtype, dims, new Uint8Array((size * dataTypes[type.dtype].bits) / 8));
  }
  return feeds;
}
