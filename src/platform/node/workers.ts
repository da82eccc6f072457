/** @file A small pool of worker threads: one request at a time per worker, in order of arrival, abortable. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parentPort, Worker, type Transferable } from 'node:worker_threads';
import { CuttleError, type ErrorKind } from '../../ir/error.js';

/** A worker could not start, died, or threw. Carries the kind, code and hint of a Cuttle error thrown inside it. */
export class WorkerError extends CuttleError {
  constructor(kind: ErrorKind, code: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(kind, code, message, options);
  }
}

/**
 * The URL of a worker's script beside the calling module. Run from TypeScript sources (tests), it points to the compiled
 * file in `dist/`, since worker threads start plain JavaScript only. Throws WorkerError where that file is not built.
 * @param base the caller's `import.meta.url`
 * @param script relative path of the compiled script: './decode-worker.js'
 */
export function workerUrl(base: string, script: string): URL {
  const url = new URL(script, base);
  if (!base.endsWith('.ts')) return url;
  const path = fileURLToPath(url).replace(/([\\/])src([\\/])(?!.*[\\/]src[\\/])/, '$1dist$2');
  if (!existsSync(path))
    throw new WorkerError('failed', 'platform/worker-missing', `the compiled worker '${path}' is missing`, {
      hint: 'Build it with: npx tsc -p .',
    });
  return pathToFileURL(path);
}

export interface WorkerPoolOptions {
  /** Workers at most; one fewer than the usable cores (at least 1) where omitted. They start on demand. */
  readonly size?: number;
  /** Passed to every worker as `workerData`. */
  readonly workerData?: unknown;
}

export interface WorkerPool<Request, Response> extends AsyncDisposable {
  /**
   * Has one worker handle a request. Rejects with WorkerError where the handler throws or the worker dies (the next
   * request gets a new one), and with the signal's reason on abort; a handler that has begun then runs on unheard.
   */
  run(request: Request, options?: { transfer?: readonly Transferable[]; signal?: AbortSignal }): Promise<Response>;
  /** Ends all workers; requests not yet answered are rejected. */
  close(): Promise<void>;
}

interface Task {
  readonly request: unknown;
  readonly transfer: readonly Transferable[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: Error) => void;
}

type Reply =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false;
      readonly error: { kind: ErrorKind; code: string; message: string; hint: string | undefined };
    };

/** A pool over one worker script, which calls `serveRequests`. */
export function createWorkerPool<Request, Response>(
  script: URL,
  options: WorkerPoolOptions = {},
): WorkerPool<Request, Response> {
  const size = Math.max(1, options.size ?? availableParallelism() - 1);
  const waiting: Task[] = [];
  const idle: Worker[] = [];
  const busy = new Map<Worker, Task>();
  let closed = false;

  const settle = (worker: Worker): Task | undefined => {
    const task = busy.get(worker);
    busy.delete(worker);
    return task;
  };

  const start = (): Worker => {
    const worker = new Worker(script, { workerData: options.workerData });
    worker.on('message', (reply: Reply) => {
      const task = settle(worker);
      // An idle pool must not keep the process alive.
      worker.unref();
      idle.push(worker);
      if (reply.ok) task?.resolve(reply.value);
      else {
        const { kind, code, message, hint } = reply.error;
        task?.reject(new WorkerError(kind, code, message, { hint }));
      }
      next();
    });
    const died = (why: string, cause?: unknown): void => {
      const at = idle.indexOf(worker);
      if (at >= 0) idle.splice(at, 1);
      settle(worker)?.reject(new WorkerError('failed', 'platform/worker-died', `a worker thread ${why}`, { cause }));
      next();
    };
    worker.on('error', (cause) => died(`failed: ${cause instanceof Error ? cause.message : String(cause)}`, cause));
    worker.on('exit', (code) => died(`ended with code ${code}`));
    return worker;
  };

  const next = (): void => {
    while (!closed && waiting.length > 0 && (idle.length > 0 || busy.size < size)) {
      const worker = idle.pop() ?? start();
      const task = waiting.shift()!;
      busy.set(worker, task);
      worker.ref();
      try {
        worker.postMessage(task.request, task.transfer);
      } catch (cause) {
        // A request that cannot be cloned never reached the worker.
        settle(worker);
        worker.unref();
        idle.push(worker);
        task.reject(cause as Error);
      }
    }
  };

  const close = async (): Promise<void> => {
    closed = true;
    const reason = new WorkerError('failed', 'platform/pool-closed', 'the worker pool has been closed');
    for (const task of waiting.splice(0)) task.reject(reason);
    const workers = [...idle.splice(0), ...busy.keys()];
    for (const task of busy.values()) task.reject(reason);
    busy.clear();
    await Promise.all(workers.map((worker) => worker.terminate()));
  };

  return {
    close,
    [Symbol.asyncDispose]: close,
    async run(request, { transfer = [], signal } = {}) {
      signal?.throwIfAborted();
      if (closed) throw new WorkerError('failed', 'platform/pool-closed', 'the worker pool has been closed');
      return new Promise<Response>((resolve, reject) => {
        const abort = (): void => {
          const at = waiting.indexOf(task);
          if (at >= 0) waiting.splice(at, 1);
          reject(signal!.reason as Error);
        };
        const done = (): void => signal?.removeEventListener('abort', abort);
        const task: Task = {
          request,
          transfer,
          resolve: (value) => {
            done();
            resolve(value as Response);
          },
          reject: (reason) => {
            done();
            reject(reason);
          },
        };
        signal?.addEventListener('abort', abort, { once: true });
        waiting.push(task);
        next();
      });
    },
  };
}

/** A handler's answer with the buffers to move rather than copy. */
export interface WorkerAnswer<Response> {
  readonly value: Response;
  readonly transfer?: readonly Transferable[];
}

/** Called once by a worker's script: answers the pool's requests with `handle`. Throws where no pool started this thread. */
export function serveRequests<Request, Response>(
  handle: (request: Request) => WorkerAnswer<Response> | Promise<WorkerAnswer<Response>>,
): void {
  const port = parentPort;
  if (port === null)
    throw new WorkerError('failed', 'platform/no-pool', 'this script is a worker: a worker pool must start it');
  port.on('message', (request: Request) => {
    void (async () => {
      try {
        const { value, transfer = [] } = await handle(request);
        port.postMessage({ ok: true, value } satisfies Reply, transfer);
      } catch (cause) {
        const known = cause instanceof CuttleError ? cause : undefined;
        const error = {
          kind: known?.kind ?? 'failed',
          code: known?.code ?? 'platform/worker-threw',
          message: cause instanceof Error ? cause.message : String(cause),
          hint: known?.hint,
        };
        port.postMessage({ ok: false, error } satisfies Reply);
      }
    })();
  });
}
