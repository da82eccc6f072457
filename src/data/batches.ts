/** @file Batches of normalised images, shuffled and augmented by seed, made ahead while the engine computes. */
import { Tensor } from '../ir/index.js';
import { createRandom } from '../platform/random.js';
import { channelTables, writeAugmentedSample, writeSample } from './assemble.js';
import { checkAugmentation, drawAugmentation, identityDraw, mix, type Augmentation } from './augment.js';
import { type ImageDataset } from './dataset.js';
import { DataError } from './errors.js';
import { type Preprocessing } from './preprocessing.js';

/** One step's input. */
export interface Batch {
  /** N×C×H×W, normalised. */
  readonly images: Tensor<'float32'>;
  /** N class indices. */
  readonly labels: Tensor<'int64'>;
  /** The samples' positions in the data set. */
  readonly indices: Uint32Array;
}

export interface BatchOptions {
  readonly batchSize: number;
  readonly preprocessing: Preprocessing;
  /** Shuffle, and draw augmentations, with this seed; in stored order where omitted. */
  readonly shuffleSeed?: number;
  /** Together with the seed decides order and augmentations; the same pair always gives the same batches. */
  readonly epoch?: number;
  readonly augment?: Augmentation;
  /** Leave out a last batch that is not full. */
  readonly dropLast?: boolean;
  /** Start at this batch of the epoch, as if the ones before had been taken (for resuming). */
  readonly firstBatch?: number;
  readonly signal?: AbortSignal;
}

/** How many batches one epoch has. */
export function batchCount(size: number, batchSize: number, dropLast = false): number {
  return dropLast ? Math.floor(size / batchSize) : Math.ceil(size / batchSize);
}

/** The order in which an epoch visits the samples. */
export function epochOrder(size: number, shuffleSeed: number | undefined, epoch = 0): Uint32Array {
  const order = new Uint32Array(size);
  for (let i = 0; i < size; i++) order[i] = i;
  return shuffleSeed === undefined ? order : createRandom(mix(mix(shuffleSeed) ^ epoch)).shuffle(order);
}

/**
 * One epoch of batches. While the caller awaits its engine (ORT computes off this thread), the next batch is made.
 * Making a batch of 128 CIFAR images takes 1 to 2 ms, under a hundredth of a training step, so it stays on this thread: a worker
 * would cost more in message passing than it saves. Throws DataError where sizes do not fit, the signal's reason on abort.
 */
export async function* batches(dataset: ImageDataset, options: BatchOptions): AsyncGenerator<Batch, void, undefined> {
  const { batchSize, dropLast = false, firstBatch = 0, signal } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new DataError('batch-size', `the batch size must be a positive whole number, not ${batchSize}`, {
      kind: 'usage',
    });
  const make = batchMaker(dataset, options);
  const count = batchCount(dataset.size, batchSize, dropLast);
  let ahead: Ahead<Batch> | undefined;
  try {
    for (let b = firstBatch; b < count; b++) {
      signal?.throwIfAborted();
      const batch: Batch = ahead?.take() ?? make(b);
      ahead = b + 1 < count ? makeAhead(() => make(b + 1)) : undefined;
      yield batch;
    }
  } finally {
    ahead?.cancel();
  }
}

/** Makes any batch of the epoch by its number. */
function batchMaker(dataset: ImageDataset, options: BatchOptions): (number: number) => Batch {
  const { batchSize, preprocessing, shuffleSeed, epoch = 0, augment } = options;
  const tables = channelTables(dataset, preprocessing);
  const order = epochOrder(dataset.size, shuffleSeed, epoch);
  const channels = tables.source.length;
  const { height, width } = preprocessing;
  const sample = channels * height * width;
  const draw = identityDraw();
  const active = augment !== undefined && Boolean(augment.crop || augment.flip || augment.cutout);
  if (augment) checkAugmentation(augment, height, width);
  return (number) => {
    const indices = order.slice(number * batchSize, (number + 1) * batchSize);
    const images = new Float32Array(indices.length * sample);
    const labels = new BigInt64Array(indices.length);
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i]!;
      if (active) {
        drawAugmentation(augment, preprocessing, shuffleSeed ?? 0, epoch, index, draw);
        writeAugmentedSample(dataset, index, tables, draw, images, i * sample);
      } else writeSample(dataset, index, tables, images, i * sample);
      labels[i] = BigInt(dataset.labels[index]!);
    }
    return {
      images: Tensor.of('float32', [indices.length, channels, height, width], images),
      labels: Tensor.of('int64', [indices.length], labels),
      indices,
    };
  };
}

interface Ahead<T> {
  /** The value, made now where the timer has not fired yet. */
  take(): T;
  cancel(): void;
}

/** Makes a value in a later turn of the event loop: after the caller has handed its current batch to the engine. */
function makeAhead<T>(make: () => T): Ahead<T> {
  let made: { readonly value: T } | undefined;
  const timer = setTimeout(() => {
    try {
      made ??= { value: make() };
    } catch {
      // `take` makes it again and throws there, where the caller is listening.
    }
  }, 0);
  return {
    take() {
      clearTimeout(timer);
      return (made ??= { value: make() }).value;
    },
    cancel: () => clearTimeout(timer),
  };
}
