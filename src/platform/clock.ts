/** @file Time: a monotonic clock for measurements, and a sleep that an AbortSignal ends. */

/** Milliseconds on a monotonic clock, with sub-millisecond parts. Only differences mean anything. */
export function now(): number {
  return performance.now();
}

/** Resolves after `ms` milliseconds; rejects with the signal's reason where it aborts first. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
