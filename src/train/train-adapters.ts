/** @file Parameter-efficient tuning: trains adapters beside a frozen classifier. */
import { CLASSES_KEY, PREPROCESSING_KEY } from '../data/index.js';
import type { Model } from '../ir/index.js';
import { attachAdapters, detachAdapters, freshAdapters, mergeAdapters } from '../passes/index.js';
import type { AdapterOptions, AdapterSet } from '../passes/index.js';
import { trainModel, type TrainedModel, type TrainModelOptions } from './train-model.js';

export interface TrainAdaptersOptions extends Omit<TrainModelOptions, 'model' | 'trains'> {
  readonly model: Model;
  readonly adapters: AdapterOptions;
}

export interface TrainedAdapters extends Omit<TrainedModel, 'model'> {
  readonly adapters: AdapterSet;
  /** The backbone with the adapters merged into its weights. */
  readonly merged: Model;
}

/**
 * Trains adapters; nothing else of the model changes, and normalisation layers keep their averages. The rest is as `trainModel`;
 * `params` counts the elements of the adapters. Throws AdapterError, and what `trainModel` throws.
 */
export async function trainAdapters(options: TrainAdaptersOptions): Promise<TrainedAdapters> {
  const { adapters: wanted, model, ...rest } = options;
  // Training untangles exported weights (constants, shared initializers): adapters hang on the weights as they are in the file.
  const fresh = freshAdapters(model, { seed: options.seed, ...wanted });
  const attached = attachAdapters(model, fresh);
  const names = new Set(attached.factors.flatMap(({ a, b }) => [a, b]));
  const trained = await trainModel({ ...rest, model: attached.model, trains: ({ name }) => names.has(name) });
  const metadata = new Map(
    [PREPROCESSING_KEY, CLASSES_KEY].flatMap((key) => {
      const value = trained.model.metadata.get(key);
      return value === undefined ? [] : [[key, value] as const];
    }),
  );
  const adapters = { ...detachAdapters(trained.model, fresh, attached.factors), metadata };
  const { accuracy, loss, imagesPerSecond, epochs, history, preprocessing, assumed, stopped } = trained;
  return {
    ...{ accuracy, loss, imagesPerSecond, epochs, history, preprocessing, assumed, stopped },
    params: adapters.adapters.reduce((sum, { a, b }) => sum + a.size + b.size, 0),
    adapters,
    merged: mergeAdapters(model, adapters).model,
  };
}
