/** @file Options of `cuttle audit`. */
import { z } from 'zod';
import { option } from './verb.js';

/** How workers are bounded: the same for a run and for a worker that listens to a queue. */
export const workerFlags = [
  ['--workers <count>', 'processes that audit apps (default: one per core)'],
  ['--memory <size>', 'memory that one of them may take before it is ended (default 400MiB)'],
  ['--time-limit <seconds>', 'time for one app (default: 2 minutes and 1 s per MiB)'],
] as const;

/** The same, checked and typed. */
export const workerOptions = {
  workers: option.count().optional(),
  memory: option
    .bytes()
    .refine((bytes) => bytes >= 160 * 2 ** 20, 'must be at least 160MiB')
    .optional(),
  timeLimit: option.positive().optional(),
};

export const auditFlags = [
  ['--out <folder>', 'folder of the run: plan, journal, records; the same command resumes it'],
  ['--limit <count>', 'audit so many at most, the first of the plan'],
  ...workerFlags,
] as const;

export const auditOptions = z.object({
  out: option.text(),
  limit: option.count().optional(),
  ...workerOptions,
  json: option.flag(),
});

export type AuditOptions = z.infer<typeof auditOptions>;
