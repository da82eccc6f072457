/** @file One benchmark of a found model on a device, as `measurements/*.json` of a run holds it. */
import * as z from 'zod/mini';

const positive = z.number().check(z.gte(0));

/** What a file of measurements holds: one of these, or a list of them. */
export const measurementSchema = z.object({
  schema: z.literal(1),
  /** SHA-256 of the model's bytes. */
  model: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  /** Name of the device: `Pixel 7`, `this host`. */
  device: z.string(),
  /** What ran it: `cpu`, `xnnpack`, `nnapi`, `gpu` … */
  backend: z.string(),
  threads: z.optional(z.number()),
  /** Processors that it was bound to, as the device writes it. */
  affinity: z.optional(z.string()),
  batch: z.number(),
  /** Of a batch. Absent where it failed. */
  latencyMs: z.optional(z.object({ p50: positive, p90: positive, mean: positive })),
  /** Coefficient of variation of the latency. */
  cv: z.optional(positive),
  /** Millijoules of one inference, idle power taken off. */
  energyMj: z.optional(z.number()),
  peakMemoryBytes: z.optional(positive),
  /** Why there is no latency. */
  failure: z.optional(z.string()),
});

export type Measurement = z.infer<typeof measurementSchema>;
