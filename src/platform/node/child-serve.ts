/** @file A pool's child: answers jobs, ends with its parent, and ends itself before it eats the machine's memory. */
import { Worker } from 'node:worker_threads';
import { CuttleError } from '../../ir/error.js';
import type { ChildStart } from './child-pool.js';

/** Called once by a child's script: answers the pool's jobs with `handle`. */
export function serveParent<Request, Response>(handle: (request: Request) => Promise<Response>): void {
  // Ctrl-C reaches the whole group; the parent decides what it means.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  process.on('disconnect', () => process.exit(0));
  const start = JSON.parse(process.argv[2]!) as ChildStart;
  const guard = new Worker(new URL('./child-guard.js', import.meta.url), {
    workerData: start,
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 },
  });
  guard.unref();
  process.on('message', (request: Request) => {
    void (async () => {
      try {
        const value = await handle(request);
        freeMuch();
        process.send!({ ok: true, value });
      } catch (cause) {
        const known = cause instanceof CuttleError ? cause : undefined;
        const error = {
          kind: known?.kind ?? 'failed',
          code: known?.code ?? 'platform/job-threw',
          message: cause instanceof Error ? cause.message : String(cause),
          ...(known?.hint !== undefined && { hint: known.hint }),
        };
        process.send!({ ok: false, error });
      }
    })();
  });
  process.send!({ ok: 'ready' });
}

/** Bytes that are worth a collection, which costs as much as a small job. */
const MUCH = 24 * 2 ** 20;

/** Gives back what the last job held: buffers outside the heap would wait for a collection that the heap has no cause for. */
function freeMuch(): void {
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  if (arrayBuffers > MUCH || heapUsed > 2 * MUCH) globalThis.gc?.();
}
