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

const queueAddress = z.url({ protocol: /^rediss?$/, error: 'is no address that begins with redis:// or rediss://' });

export const auditFlags = [
  ['--out <folder>', 'folder of the run: plan, journal, records; the same command resumes it'],
  ['--fdroid <url>', 'apps of an F-Droid repository, such as https://f-droid.org/repo'],
  ['--versions <which>', 'of each of its apps: newest (default) or all'],
  ['--androzoo <file>', 'apps of AndroZoo that a CSV of it lists (.gz allowed); its key is taken from ANDROZOO_KEY'],
  ['--urls <file>', 'apps at addresses in a text file, one per line, SHA-256 after it where known'],
  ['--limit <count>', 'audit so many at most, the first of the plan'],
  ['--rate <number>', 'requests to one host in a second (default 1)'],
  ['--connections <count>', 'connections to one host at a time (default 1)'],
  ['--queue <url>', 'have workers elsewhere do it (cuttle audit worker) over a Redis, such as redis://127.0.0.1:6379'],
  ['--downloads <folder>', 'keep what is fetched here, and fetch nothing that is there'],
  ...workerFlags,
] as const;

export const auditOptions = z.object({
  out: option.text(),
  fdroid: z.url({ protocol: /^https?$/, error: 'is no address that begins with http:// or https://' }).optional(),
  versions: z.enum(['newest', 'all'], { error: 'must be newest or all' }).default('newest'),
  androzoo: option.text().optional(),
  urls: option.text().optional(),
  limit: option.count().optional(),
  rate: option.positive().default(1),
  connections: option.count().default(1),
  queue: queueAddress.optional(),
  downloads: option.text().optional(),
  ...workerOptions,
  json: option.flag(),
});

export type AuditOptions = z.infer<typeof auditOptions>;

export const auditWorkerFlags = [
  ['--queue <url>', 'Redis that jobs come from, such as redis://127.0.0.1:6379'],
  ...workerFlags,
  ['--map <paths...>', 'FROM=TO: paths of the run that begin with FROM lie below TO here'],
  ['--idle <seconds>', 'end when there was no job for so long (default: never)'],
  ['--lock <seconds>', 'a worker without a sign of life for so long loses its jobs to others (default 30)'],
] as const;

export const auditWorkerOptions = z.object({
  queue: queueAddress,
  ...workerOptions,
  map: z
    .array(z.string().regex(/^[^=]+=[^=]+$/, 'must be FROM=TO'))
    .default([])
    .transform((pairs) => pairs.map((pair) => pair.split('=') as [string, string])),
  idle: option.positive().optional(),
  lock: option.positive().default(30),
  json: option.flag(),
});

export type AuditWorkerOptions = z.infer<typeof auditWorkerOptions>;
