/** @file Wall-clock times: warm-up, percentiles, and interleaved comparison for machines that are not quiet. */
import * as z from 'zod/mini';
import { now } from '../platform/index.js';

/** JSON schema of a latency summary, in milliseconds. */
export const latencySchema = z.object({
  p50: z.number().check(z.nonnegative()),
  p90: z.number().check(z.nonnegative()),
  p99: z.number().check(z.nonnegative()),
  mean: z.number().check(z.nonnegative()),
  min: z.number().check(z.nonnegative()),
  std: z.number().check(z.nonnegative()),
  runs: z.int().check(z.positive()),
});

/** Milliseconds per call. */
export type LatencySummary = z.infer<typeof latencySchema>;

export interface Latency extends LatencySummary {
  /** Every measured call in order, where `samples` was asked for. */
  readonly samples?: Float64Array;
}

export interface MeasureOptions {
  /** Calls before the clock counts; 5 where omitted. */
  readonly warmup?: number;
  /** Fewest measured calls; 20 where omitted. */
  readonly runs?: number;
  /** Goes on measuring for at least this long; 0 where omitted. */
  readonly minSeconds?: number;
  /** Stops after this long even if `runs` is not reached (one call is always measured); no limit where omitted. */
  readonly maxSeconds?: number;
  /** Keeps every sample in the result. */
  readonly samples?: boolean;
  /** Checked between calls. */
  readonly signal?: AbortSignal;
}

type Call = () => unknown;

/** Times a function, awaited. Throws what the function throws, and the signal's reason. */
export async function measureLatency(call: Call, options: MeasureOptions = {}): Promise<Latency> {
  return (await measureInterleaved([call], options))[0]!;
}

/**
 * Times several functions in turn: one call of each per round, every round beginning with another one, so that a slow
 * spell of the machine falls on all of them and their ratios hold. `runs`, `minSeconds` and `maxSeconds` count per function.
 */
export async function measureInterleaved(calls: readonly Call[], options: MeasureOptions = {}): Promise<Latency[]> {
  const { warmup = 5, runs = 20, minSeconds = 0, maxSeconds = Infinity, signal } = options;
  if (calls.length === 0) return [];
  for (let round = 0; round < warmup; round++)
    for (const call of calls) {
      signal?.throwIfAborted();
      await call();
    }
  const samples = calls.map((): number[] => []);
  const start = now();
  for (let round = 0; ; round++) {
    for (let turn = 0; turn < calls.length; turn++) {
      signal?.throwIfAborted();
      const index = (round + turn) % calls.length;
      const begin = now();
      await calls[index]!();
      samples[index]!.push(now() - begin);
    }
    const seconds = (now() - start) / 1000 / calls.length;
    if (seconds >= maxSeconds || (round + 1 >= runs && seconds >= minSeconds)) break;
  }
  return samples.map((list) => {
    const summary = summarise(list);
    return options.samples ? { ...summary, samples: Float64Array.from(list) } : summary;
  });
}

/** Percentiles, mean, minimum and standard deviation of samples in milliseconds. There must be at least one. */
export function summarise(samples: readonly number[]): LatencySummary {
  const sorted = [...samples].sort((a, b) => a - b);
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const variance = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length;
  return {
    p50: percentile(sorted, 0.5),
    p90: percentile(sorted, 0.9),
    p99: percentile(sorted, 0.99),
    mean,
    min: sorted[0]!,
    std: Math.sqrt(variance),
    runs: sorted.length,
  };
}

/** The p-quantile of ascending numbers, linear between neighbours (R type 7, NumPy's default). */
export function percentile(sorted: readonly number[], p: number): number {
  const position = (sorted.length - 1) * p;
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (sorted[above]! - sorted[below]!) * (position - below);
}

/** Mean of the middle half: as deaf to outliers as the median, but not stuck to the clock's whole microseconds. */
export function middleMean(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const cut = Math.floor(sorted.length / 4);
  const middle = sorted.slice(cut, sorted.length - cut);
  return middle.reduce((sum, value) => sum + value, 0) / middle.length;
}

/**
 * The middle mean of the faster half (at least four): what a call takes where the machine does nothing else meanwhile. Kernel
 * times of profiles are taken in the same way, so that they can be added up to it.
 */
export function quietMean(samples: readonly number[]): number {
  return middleMean([...samples].sort((a, b) => a - b).slice(0, Math.max(4, Math.ceil(samples.length / 2))));
}
