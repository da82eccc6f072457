/** @file Which values a model's activations take on calibration samples: what static quantisation is calibrated with. */
import { InvalidGraphError, type Model, type Tensor } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import type { ActivationRange } from '../passes/index.js';
import type { SessionOptions } from './options.js';
import { openSession } from './session.js';

export interface MeasureRangesOptions extends SessionOptions {
  /**
   * 100 (default): the smallest and the largest value of all samples. Less: the values between which this percentage lies,
   * cut evenly at both ends, of each batch, averaged over the batches; outliers then saturate and the others are resolved better.
   */
  readonly percentile?: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs a model on batches and returns the range of each named float32 value. Throws InvalidGraphError where there are no batches,
 * and what the runtime throws.
 */
export async function measureRanges(
  model: Model,
  values: readonly string[],
  batches: AsyncIterable<Readonly<Record<string, Tensor>>> | Iterable<Readonly<Record<string, Tensor>>>,
  options: MeasureRangesOptions = {},
): Promise<ReadonlyMap<string, ActivationRange>> {
  const { percentile = 100, signal, ...session } = options;
  const inputs = new Set(model.graph.inputs.map(({ name }) => name));
  const made = values.filter((name) => !inputs.has(name));
  const shown = new Set(model.graph.outputs.map(({ name }) => name));
  const outputs = [
    ...model.graph.outputs,
    ...made.filter((name) => !shown.has(name)).map((name) => ({ name, type: undefined })),
  ];
  const ranges = new Map<string, { min: number; max: number }>();
  let count = 0;
  // Unoptimised: a fused activation would not be there to look at.
  await using opened = await openSession(encodeModel({ ...model, graph: { ...model.graph, outputs } }), {
    ...session,
    optimization: 'disabled',
  });
  for await (const feeds of batches) {
    signal?.throwIfAborted();
    const results = made.length === 0 ? {} : await opened.run(feeds, { outputs: made, ...(signal && { signal }) });
    count++;
    for (const name of values) {
      const tensor = inputs.has(name) ? feeds[name] : results[name];
      const seen = rangeOf(tensor!.data as Float32Array, percentile);
      const known = ranges.get(name);
      if (known === undefined) ranges.set(name, seen);
      else if (percentile === 100) {
        known.min = Math.min(known.min, seen.min);
        known.max = Math.max(known.max, seen.max);
      } else {
        known.min += (seen.min - known.min) / count;
        known.max += (seen.max - known.max) / count;
      }
    }
  }
  if (count === 0) throw new InvalidGraphError('there are no calibration samples to measure activations on');
  return ranges;
}

function rangeOf(values: Float32Array, percentile: number): { min: number; max: number } {
  if (percentile < 100) {
    const sorted = values.slice().sort();
    const cut = Math.floor(((1 - percentile / 100) / 2) * sorted.length);
    return { min: sorted[cut]!, max: sorted[sorted.length - 1 - cut]! };
  }
  let [min, max] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}
