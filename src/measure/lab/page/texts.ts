/** @file What a job gave, in a few words for the agent's page. */

/** `1 thread`, `2 threads`. */
export function threadCount(threads: number): string {
  return `${threads} thread${threads === 1 ? '' : 's'}`;
}

/** The typical time in a job's value, whatever its kind. */
export function milliseconds(value: unknown): string {
  const { latencyMs, backboneMs } = value as {
    readonly latencyMs?: { readonly p50?: number; readonly mean: number };
    readonly backboneMs?: number;
  };
  const ms = latencyMs?.p50 ?? latencyMs?.mean ?? backboneMs;
  return ms === undefined ? 'done' : `${ms.toPrecision(3)} ms`;
}
