/** @file What jobs give, by kind: schemas of the values that agents send. */
import * as z from 'zod/mini';
import { exitCostsFileSchema } from '../../exits/costs-file.js';
import { deviceSchema, latencySchema, profileSchema } from '../../runtime/index.js';
import { parseMessage, type JobKind } from './protocol.js';

const ms = z.number().check(z.nonnegative());

/** JSON schema of what a latency job gives: one model, one configuration, one device. */
export const latencyResultSchema = z.object({
  /** What it was measured on, as in profiles. */
  device: deviceSchema,
  /** Until the model could run, ms; the first run, ms. Absent where the program that ran the model does not tell. */
  loadMs: z.optional(ms),
  firstMs: z.optional(ms),
  /** Programs on phones print some of these alone; the mean they all do. */
  latencyMs: z.extend(z.partial(latencySchema), { mean: ms }),
  /** The sizes that the inputs had; empty where the program that ran the model chose them itself. */
  inputs: z.record(z.string(), z.array(z.int().check(z.nonnegative()))),
  /** Most that the process ever held, bytes; absent where the host does not tell. */
  peakBytes: z.optional(z.int()),
  /** What was chosen without being asked for, in sentences. */
  remarks: z.array(z.string()),
});
export type LatencyResult = z.infer<typeof latencyResultSchema>;

/** What a job of each kind gives. */
export interface JobValues {
  readonly latency: LatencyResult;
  readonly profile: z.infer<typeof profileSchema>;
  readonly 'exit-costs': z.infer<typeof exitCostsFileSchema>;
}

const schemas: { readonly [Kind in JobKind]: z.ZodMiniType<JobValues[Kind]> } = {
  latency: latencyResultSchema,
  profile: profileSchema,
  'exit-costs': exitCostsFileSchema,
};

/** Checks what an agent says to have measured. Throws LabError 'invalid'. */
export function parseValue<Kind extends JobKind>(kind: Kind, value: unknown): JobValues[Kind] {
  return parseMessage(schemas[kind], value, `the result of a '${kind}' job`);
}
