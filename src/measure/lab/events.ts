/** @file What the lab's journal holds, line by line: everything that happened to devices and jobs. */
import * as z from 'zod/mini';
import { deviceDescriptionSchema, jobSpecSchema, outcomeSchema } from './protocol.js';

const at = z.number();

/** One line of the journal. Fields and kinds may be added; none is renamed. */
export const labEventSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('joined'),
    at,
    device: z.object({ id: z.string(), name: z.string(), secretHash: z.string() }),
    description: deviceDescriptionSchema,
  }),
  z.object({ kind: z.literal('submitted'), at, id: z.string(), device: z.nullable(z.string()), spec: jobSpecSchema }),
  z.object({ kind: z.literal('leased'), at, job: z.string(), lease: z.string(), device: z.string() }),
  z.object({ kind: z.literal('lost'), at, job: z.string(), lease: z.string(), why: z.string() }),
  z.object({
    kind: z.literal('settled'),
    at,
    job: z.string(),
    /** Absent where the lab itself gave the job up. */
    lease: z.optional(z.string()),
    device: z.optional(z.string()),
    outcome: outcomeSchema,
  }),
  z.object({ kind: z.literal('cancelled'), at, job: z.string() }),
]);
export type LabEvent = z.infer<typeof labEventSchema>;
