/** @file Accuracy, exits and latency of an opened classifier on a data set, by really running it. */
import { takeSamples, type Batch, type ImageDataset } from '../data/index.js';
import { now } from '../platform/index.js';
import { summarise, type LatencySummary } from '../runtime/index.js';
import type { OpenedClassifier } from './open-classifier.js';

export interface EvaluateClassifierOptions {
  /** Makes the classifier's input from images. */
  readonly batches: (dataset: ImageDataset, batchSize: number) => AsyncIterable<Batch>;
  readonly batchSize: number;
  /** Samples that are timed one by one; 200 where omitted. */
  readonly latencySamples?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number) => void;
}

export interface ClassifierEvaluation {
  readonly samples: number;
  readonly accuracy: number;
  readonly exits: readonly {
    readonly name: string;
    /** Share of the samples that this exit answered. */
    readonly share: number;
    /** Share of these that are right; `null` where there are none. */
    readonly accuracy: number | null;
  }[];
  /** Of one sample at a time, input tensor to answer. */
  readonly latencyMs: LatencySummary;
  /** Class and exit (place in `exitNames`) per sample. */
  readonly labels: Int32Array;
  readonly exitOf: Int32Array;
}

/** Runs of the same sample before timing starts. */
const WARM_UP = 20;

/** Classifies a whole data set, then times single samples of it. Throws what the classifier throws. */
export async function evaluateClassifier(
  classifier: OpenedClassifier,
  dataset: ImageDataset,
  options: EvaluateClassifierOptions,
): Promise<ClassifierEvaluation> {
  const { signal } = options;
  const labels = new Int32Array(dataset.size);
  const exitOf = new Int32Array(dataset.size);
  let done = 0;
  for await (const { images } of options.batches(dataset, options.batchSize)) {
    const result = await classifier.classify(images, signal);
    labels.set(result.labels, done);
    exitOf.set(result.exits, done);
    done += result.labels.length;
    options.onProgress?.(done);
  }

  const answered = new Float64Array(classifier.exitNames.length);
  const right = new Float64Array(classifier.exitNames.length);
  for (let s = 0; s < dataset.size; s++) {
    answered[exitOf[s]!]!++;
    if (labels[s] === dataset.labels[s]) right[exitOf[s]!]!++;
  }
  return {
    samples: dataset.size,
    accuracy: right.reduce((sum, count) => sum + count, 0) / dataset.size,
    exits: classifier.exitNames.map((name, i) => ({
      name,
      share: answered[i]! / dataset.size,
      accuracy: answered[i] === 0 ? null : right[i]! / answered[i]!,
    })),
    latencyMs: await timeSingles(classifier, dataset, options),
    labels,
    exitOf,
  };
}

async function timeSingles(
  classifier: OpenedClassifier,
  dataset: ImageDataset,
  options: EvaluateClassifierOptions,
): Promise<LatencySummary> {
  const count = Math.min(dataset.size, options.latencySamples ?? 200);
  // Spread over the set, because the order may go by class.
  const chosen = takeSamples(
    dataset,
    Uint32Array.from({ length: count }, (_, i) => Math.floor((i * dataset.size) / count)),
  );
  const times: number[] = [];
  let warm = false;
  for await (const { images } of options.batches(chosen, 1)) {
    if (!warm) for (let i = 0; i < WARM_UP; i++) await classifier.classify(images, options.signal);
    warm = true;
    const start = now();
    await classifier.classify(images, options.signal);
    times.push(now() - start);
  }
  return summarise(times);
}
