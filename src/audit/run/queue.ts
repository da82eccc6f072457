/** @file Jobs over Redis, by BullMQ: the run's side hands them out and hears of their ends, a worker's side does them, on any machine that sees the same files. */
import type * as Bull from 'bullmq';
import type { Job, Queue, QueueEvents, Worker } from 'bullmq';
import { z } from 'zod';
import { sleep } from '../../platform/index.js';
import { dirname, fileInfo, joinPath } from '../../platform/node/files.js';
import { sha256 } from '../../platform/node/hash.js';
import { AuditError } from '../errors.js';
import type { Executor } from './executor.js';
import type { AuditJob, JobOutcome } from './outcome.js';
import { recordFailure } from './records.js';

export interface QueueOptions {
  /** `redis://[user:password@]host[:port][/database]` */
  readonly url: string;
  /** Runs and workers with the same name meet. `cuttle-audit` where omitted. */
  readonly name?: string;
  /** A worker that gives no sign of life for so long has lost its jobs to others. 30 s where omitted. */
  readonly lockMs?: number;
}

const QUEUE_NAME = 'cuttle-audit';
const LOCK_MS = 30_000;
/** Jobs that are handed out at a time: enough for many workers, few to hold. */
const OUTSTANDING = 64;
/** How often a job may lose its worker before it is recorded as failed. */
const MAX_LOST = 3;
/** Tries of a job whose worker says that it cannot do it: a full disk there, a folder that it does not see. */
const ATTEMPTS = 3;
/** Results that nobody asked for (their run was killed) are kept for a week. */
const KEEP_SECONDS = 7 * 24 * 3600;
const CONNECT_MS = 10_000;
/** A message may be lost: jobs that are out are asked for in between. */
const SWEEP_MS = 2_000;

async function loadBull(): Promise<typeof Bull> {
  try {
    // BullMQ loads its client for Redis by itself; what is missing shows here.
    await import('ioredis');
    return await import('bullmq');
  } catch (cause) {
    throw new AuditError('no-bullmq', 'queues need the packages bullmq and ioredis', {
      kind: 'failed',
      hint: 'Install them with: npm install bullmq ioredis',
      cause,
    });
  }
}

/** As it may be shown: without a password. */
function shownAddress(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    throw new AuditError('queue', 'the queue is no address such as redis://127.0.0.1:6379', { kind: 'usage' });
  }
}

const connectionOf = (
  url: string,
): {
  readonly url: string;
  readonly maxRetriesPerRequest: null;
  readonly retryStrategy: (times: number) => number;
} => ({
  url,
  maxRetriesPerRequest: null,
  retryStrategy: (times) => Math.min(times * 100, 2000),
});

/** Waits until Redis answers. Throws AuditError where it does not within ten seconds. */
async function ready(part: { waitUntilReady(): Promise<unknown> }, url: string): Promise<void> {
  const controller = new AbortController();
  const late = sleep(CONNECT_MS, controller.signal).then(() => {
    throw new AuditError('queue', `no Redis answers at ${shownAddress(url)}`, {
      kind: 'failed',
      hint: 'Start one (redis-server), or correct the address.',
    });
  });
  try {
    await Promise.race([part.waitUntilReady(), late]);
  } finally {
    controller.abort();
    late.catch(() => undefined);
  }
}

/**
 * Hands jobs of a run to whoever listens. `runId` tells runs apart: a run that was killed finds its jobs again.
 * Throws AuditError where Redis does not answer or the libraries are missing.
 */
export async function queueExecutor(options: QueueOptions & { readonly runId: string }): Promise<Executor> {
  const { url, name = QUEUE_NAME, runId } = options;
  shownAddress(url);
  const { Queue: QueueClass, QueueEvents: EventsClass } = await loadBull();
  const connection = connectionOf(url);
  const queue: Queue<AuditJob, JobOutcome> = new QueueClass(name, { connection });
  const events: QueueEvents = new EventsClass(name, { connection });
  const waiting = new Map<string, () => void>();
  const hear = ({ jobId }: { readonly jobId: string }): void => waiting.get(jobId)?.();
  // The client connects again by itself.
  queue.on('error', () => undefined);
  events.on('error', () => undefined);
  const close = async (): Promise<void> => {
    await Promise.all([...waiting.keys()].map((id) => queue.remove(id).catch(() => 0)));
    await Promise.all([queue.close(), events.close()]);
  };
  try {
    await ready(queue, url);
    await ready(events, url);
  } catch (cause) {
    // Parts that never connected do not close in good order.
    void queue.disconnect().catch(() => undefined);
    void events.disconnect().catch(() => undefined);
    throw cause;
  }
  events.on('completed', hear);
  events.on('failed', hear);

  const run = async (job: AuditJob, signal: AbortSignal): Promise<JobOutcome> => {
    const { kind, locator } = job.item;
    const id = `${runId}-${sha256(`${kind} ${locator}`).slice(0, 32)}`;
    for (;;) {
      signal.throwIfAborted();
      await queue.add('app', job, {
        jobId: id,
        attempts: ATTEMPTS,
        backoff: { type: 'fixed', delay: 1000 },
        removeOnComplete: { age: KEEP_SECONDS },
        removeOnFail: { age: KEEP_SECONDS },
      });
      const ended = await endOf(id, signal);
      if (ended === undefined) continue;
      await queue.remove(id);
      if (ended.state === 'completed') return ended.job.returnvalue;
      const reason = ended.job.failedReason;
      if (/stalled/i.test(reason)) return recordFailure(job, `its worker was lost ${MAX_LOST + 1} times`);
      throw new AuditError('queue-job', `workers cannot audit '${locator}': ${reason}`, {
        kind: 'failed',
        hint: 'Every worker must see the files and the folder of the run at the same paths, or map them with --map.',
      });
    }
  };

  /** Waits for a job's end; `undefined` where it is gone. */
  const endOf = async (
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly state: 'completed' | 'failed'; readonly job: Job<AuditJob, JobOutcome> } | undefined> => {
    for (;;) {
      const heard = new Promise<void>((resolve) => waiting.set(id, resolve));
      try {
        // The state first: what is read before a job's end does not hold its result.
        const state = await queue.getJobState(id);
        if (state === 'unknown') return undefined;
        if (state === 'completed' || state === 'failed') {
          const job = await queue.getJob(id);
          return job && { state, job };
        }
        const pause = new AbortController();
        await Promise.race([heard, sleep(SWEEP_MS, AbortSignal.any([signal, pause.signal]))]).finally(() =>
          pause.abort(),
        );
      } finally {
        if (!signal.aborted) waiting.delete(id);
      }
    }
  };
  return { capacity: OUTSTANDING, run, [Symbol.asyncDispose]: close };
}

export interface ServeOptions extends QueueOptions {
  /** Who does the jobs here. */
  readonly executor: Executor;
  /** Paths as runs say them, and where the same lies here: the first that fits. */
  readonly map?: readonly (readonly [from: string, to: string])[];
  /** Stops taking jobs; those under way are finished. */
  readonly signal: AbortSignal;
  /** Ends when there was nothing to do for so long; never where omitted. */
  readonly idleMs?: number;
  readonly onJob?: (outcome: JobOutcome) => void;
}

const jobSchema = z.object({
  item: z.looseObject({ kind: z.enum(['file', 'fdroid', 'androzoo', 'url']), locator: z.string() }),
  file: z.string(),
  records: z.string(),
  maxModelBytes: z.number().int().min(1),
});

/** Does jobs of a queue until the signal says stop. Throws AuditError where Redis does not answer or the libraries are missing. */
export async function serveQueue(options: ServeOptions): Promise<void> {
  const { url, name = QUEUE_NAME, lockMs = LOCK_MS, executor, signal, idleMs } = options;
  shownAddress(url);
  const { Worker: WorkerClass } = await loadBull();
  signal.throwIfAborted();
  let [busy, lastEnd] = [0, Date.now()];
  // An abort stops the taking of jobs; the jobs themselves go on.
  const never = new AbortController().signal;
  const worker: Worker<AuditJob, JobOutcome> = new WorkerClass(
    name,
    async ({ data }) => {
      busy++;
      try {
        const job = await jobHere(data, options.map ?? []);
        const outcome = await executor.run(job, never);
        options.onJob?.(outcome);
        return outcome;
      } finally {
        busy--;
        lastEnd = Date.now();
      }
    },
    {
      connection: connectionOf(url),
      concurrency: executor.capacity,
      lockDuration: lockMs,
      stalledInterval: lockMs,
      maxStalledCount: MAX_LOST,
      autorun: false,
    },
  );
  worker.on('error', () => undefined);
  try {
    await ready(worker, url);
  } catch (cause) {
    void worker.disconnect().catch(() => undefined);
    throw cause;
  }
  // It ends when the worker is closed; what it says of broken connections is heard as an event.
  worker.run().catch(() => undefined);
  try {
    while (!signal.aborted && !(idleMs !== undefined && busy === 0 && Date.now() - lastEnd > idleMs))
      await sleep(Math.min(500, idleMs ?? 500), signal).catch(() => undefined);
  } finally {
    await worker.close();
  }
}

/** A job as it is on this machine. Throws AuditError for what no run asked, and where this machine does not see the run's folder. */
async function jobHere(data: unknown, map: readonly (readonly [string, string])[]): Promise<AuditJob> {
  const parsed = jobSchema.safeParse(data);
  if (!parsed.success) throw new AuditError('queue-job', `this is no job: ${parsed.error.issues[0]!.message}`);
  const here = (path: string): string => {
    const found = map.find(([from]) => path === from || path.startsWith(`${from}/`));
    return found === undefined ? path : found[1] + path.slice(found[0].length);
  };
  const job = data as AuditJob;
  const records = here(job.records);
  // Records go into folders of runs, and nowhere else.
  if ((await fileInfo(joinPath(dirname(records), 'run.json'))) === undefined)
    throw new AuditError('queue-job', `the folder of the run, '${dirname(records)}', is not here`);
  return { ...job, file: here(job.file), records };
}
