/** @file The `cuttle.baked` metadata of a baked model: which design it is, and what its outputs mean. */
import * as z from 'zod/mini';
import { CuttleError, type Model } from '../ir/index.js';
import { inEnglish } from '../platform/index.js';
import { policyKinds } from './policies/index.js';
import type { PolicyKind } from './policies/policy.js';

/** Key among the model's `metadata_props`. */
export const BAKED_KEY = 'cuttle.baked';

const name = z.string().check(z.minLength(1));
const count = z.int().check(z.nonnegative());
// Infinity ("never leaves") is a threshold, but no JSON number.
const threshold = z.union([z.number(), z.pipe(z.enum(['Infinity', '-Infinity']), z.transform(Number))]);

export const bakedInfoSchema = z.object({
  version: z.literal(1),
  input: name,
  classes: z.int().check(z.gte(2)),
  /** Names of the outputs. */
  outputs: z.object({ logits: name, exit: name, label: name }),
  /** Instantiated exits in order, by their number in the progressive model, and the value that each hangs on (`final`: the network's own classifier). */
  exits: z.array(z.object({ exit: count, at: name })).check(z.minLength(1)),
  policy: z.object({
    kind: z.enum(policyKinds as [PolicyKind, ...PolicyKind[]]),
    thresholds: z.union([threshold, z.array(threshold)]),
    temperatures: z.optional(z.array(z.number().check(z.positive()))),
    gates: z.optional(
      z.array(
        z.object({
          weights: z.object({ top1: z.number(), margin: z.number(), entropy: z.number() }),
          classes: z.array(z.number()),
        }),
      ),
    ),
  }),
  fallback: z.enum(['most-confident', 'last']),
});

export type BakedInfo = z.infer<typeof bakedInfoSchema>;

/** A model whose `cuttle.baked` entry is malformed. Exit code 3. */
export class InvalidBakedError extends CuttleError {
  constructor(why: string, cause?: unknown) {
    super('invalid', 'exits/invalid-baked', `the metadata entry cuttle.baked is damaged: ${why}`, {
      hint: 'Bake the design again.',
      cause,
    });
  }
}

/** The entry's text. */
export function writeBaked(info: BakedInfo): string {
  return JSON.stringify(info, (_, value: unknown) =>
    value === Infinity || value === -Infinity ? String(value) : value,
  );
}

/** What a baked model says of itself; `undefined` for any other model. Throws InvalidBakedError. */
export function readBaked(model: Model): BakedInfo | undefined {
  const text = model.metadata.get(BAKED_KEY);
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new InvalidBakedError('it is not JSON', cause);
  }
  const parsed = bakedInfoSchema.safeParse(json, inEnglish);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InvalidBakedError(`${issue!.path.join('.')}: ${issue!.message}`, parsed.error);
}
