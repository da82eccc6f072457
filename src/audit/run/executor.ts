/** @file Who does the jobs of a run: processes of this machine, or whoever listens to a queue. */
import { CuttleError } from '../../ir/index.js';
import { ChildDeathError, createChildPool, type ChildPool } from '../../platform/node/child-pool.js';
import { workerUrl } from '../../platform/node/workers.js';
import type { AuditJob, JobOutcome } from './outcome.js';
import { recordFailure } from './records.js';

export interface Executor extends AsyncDisposable {
  /** Jobs that are worth handing over at a time. */
  readonly capacity: number;
  /** Has a job done. Rejects where the run cannot go on (disk full, queue gone), and with the signal's reason. */
  run(job: AuditJob, signal: AbortSignal): Promise<JobOutcome>;
}

export interface WorkerOptions {
  /** Processes at a time. */
  readonly workers: number;
  /** Resident bytes of one, beyond which it is ended. 400 MiB where omitted. */
  readonly memoryBytes?: number;
  /** Time for one app; by its size where omitted. */
  readonly timeMs?: number;
  /** For temporary files. */
  readonly workFolder: string;
  /** The script of a worker; the package's own where omitted. */
  readonly script?: URL;
}

export const DEFAULT_WORKER_BYTES = 400 * 2 ** 20;
/** Apps after which a process is replaced: what libraries leak does not add up. */
const JOBS_PER_CHILD = 2000;
const MiB = 2 ** 20;

/** Processes of this machine. What kills or hangs its process is tried once more, then recorded as failed. */
export function localExecutor(options: WorkerOptions): Executor {
  const { workers, memoryBytes = DEFAULT_WORKER_BYTES, workFolder } = options;
  const pool: ChildPool<AuditJob, JobOutcome> = createChildPool({
    script: options.script ?? workerUrl(import.meta.url, './worker.js'),
    size: workers,
    memoryBytes,
    workFolder,
    jobsPerChild: JOBS_PER_CHILD,
  });
  return {
    capacity: workers,
    run: (job, signal) => runGuarded(pool, job, options.timeMs ?? timeFor(job.item.bytes ?? 0), signal),
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

/** Two minutes, and a second for each MiB. */
const timeFor = (bytes: number): number => 120_000 + (bytes / MiB) * 1000;

async function runGuarded(
  pool: ChildPool<AuditJob, JobOutcome>,
  job: AuditJob,
  timeMs: number,
  signal: AbortSignal,
): Promise<JobOutcome> {
  let why = '';
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      return await pool.run(job, { timeMs, signal });
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof ChildDeathError) why = cause.message;
      else if (cause instanceof CuttleError && cause.code === 'platform/job-threw')
        return recordFailure(job, `internal error: ${cause.message}`);
      else throw cause;
    }
  }
  return recordFailure(job, `the audit failed twice: ${why}`);
}

/** How much of a worker's memory one model may take: its bytes, what is read of it, and a copy while it is unpacked. */
export const modelBytesWithin = (memoryBytes: number): number =>
  Math.max(4 * MiB, Math.floor((memoryBytes - 120 * MiB) / 3));
