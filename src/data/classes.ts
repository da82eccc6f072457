/** @file Class names in a model's metadata. */
import * as z from 'zod/mini';
import type { Model } from '../ir/index.js';

/** Metadata key of the class names (a JSON array, by label). */
export const CLASSES_KEY = 'cuttle.classes';

const classesSchema = z.optional(z.array(z.string()));

/** The class names that a model carries; `undefined` where it carries none that can be read. */
export function readClasses(model: Pick<Model, 'metadata'>): readonly string[] | undefined {
  try {
    return classesSchema.parse(JSON.parse(model.metadata.get(CLASSES_KEY) ?? 'null') ?? undefined);
  } catch {
    // Names are for people only: a damaged entry must not stop a model from running.
    return undefined;
  }
}

/** The model with these class names. */
export function writeClasses(model: Model, classes: readonly string[]): Model {
  return { ...model, metadata: new Map(model.metadata).set(CLASSES_KEY, JSON.stringify(classes)) };
}
