/** @file Two results compared, configuration by configuration: faster, slower, the same, or nothing that can be told. */
import { permutationTest } from '../statistics.js';
import { configurationName } from './configuration.js';
import type { BenchEntry, BenchResult } from './schema.js';

/**
 * `faster` and `slower`: the difference is no accident and large enough to matter. `same`: whatever difference there is lies
 * below what matters. `noise`: neither can be said. `too-few`: so few openings can prove nothing.
 */
export type Verdict = 'faster' | 'slower' | 'same' | 'noise' | 'too-few';

export interface Comparison {
  readonly model: string;
  readonly configuration: string;
  /** Typical time in each, ms. */
  readonly before: number;
  readonly after: number;
  /** after / before, with an interval from both results' intervals. */
  readonly ratio: { readonly value: number; readonly low: number; readonly high: number };
  /** Permutation test over the openings' medians, corrected for the number of comparisons (Holm). */
  readonly p: number;
  readonly verdict: Verdict;
  /** What makes either side unreliable. */
  readonly noise: readonly string[];
}

export interface BenchComparison {
  readonly comparisons: readonly Comparison[];
  /** In one result only. */
  readonly unmatched: readonly {
    readonly model: string;
    readonly configuration: string;
    readonly only: 'before' | 'after';
  }[];
  readonly sameDevice: boolean;
}

export interface CompareOptions {
  /** Probability of a false alarm in all comparisons together; 0.05 where omitted. */
  readonly alpha?: number;
  /** Smallest difference that matters, as a share; 0.02 where omitted. */
  readonly margin?: number;
}

/**
 * Compares what both results measured. Openings are what is permuted: runs inside one session resemble each other, so that a test
 * over them would call any two sessions different. Two results of one machine still differ by what changed between them besides
 * the model; the verdict speaks of the results.
 */
export function compareBenches(before: BenchResult, after: BenchResult, options: CompareOptions = {}): BenchComparison {
  const { alpha = 0.05, margin = 0.02 } = options;
  const keyOf = ({ model, configuration }: BenchEntry): string =>
    JSON.stringify([model.name, configurationName(configuration)]);
  const later = new Map(after.entries.map((entry) => [keyOf(entry), entry]));
  const earlier = new Set(before.entries.map(keyOf));
  const pairs = before.entries.flatMap((entry) => {
    const match = later.get(keyOf(entry));
    return match === undefined ? [] : [[entry, match] as const];
  });
  const logs = (entry: BenchEntry): number[] => entry.openings.map(({ p50 }) => Math.log(p50));
  const tests = pairs.map(([a, b]) => permutationTest(logs(b), logs(a)));
  const corrected = holm(tests.map(({ p }) => p));
  const comparisons = pairs.map(([a, b], i): Comparison => {
    const value = b.typicalMs.value / a.typicalMs.value;
    // Both sides' uncertainties on the logarithmic scale, as of independent values.
    const half = (side: 'low' | 'high', other: 'low' | 'high'): number =>
      Math.hypot(Math.log(b.typicalMs[side] / b.typicalMs.value), Math.log(a.typicalMs[other] / a.typicalMs.value));
    const ratio = { value, low: value * Math.exp(-half('low', 'high')), high: value * Math.exp(half('high', 'low')) };
    const p = corrected[i]!;
    return {
      model: a.model.name,
      configuration: configurationName(a.configuration),
      ...{ before: a.typicalMs.value, after: b.typicalMs.value, ratio, p },
      verdict: verdictOf(ratio, p, { alpha, margin, attainable: tests[i]!.smallest * pairs.length <= alpha }),
      noise: [...new Set([...a.noise, ...b.noise])],
    };
  });
  const unmatchedOf = (
    entries: readonly BenchEntry[],
    others: { has(key: string): boolean },
    only: 'before' | 'after',
  ) =>
    entries
      .filter((entry) => !others.has(keyOf(entry)))
      .map((entry) => ({ model: entry.model.name, configuration: configurationName(entry.configuration), only }));
  return {
    comparisons,
    unmatched: [...unmatchedOf(before.entries, later, 'before'), ...unmatchedOf(after.entries, earlier, 'after')],
    sameDevice: before.device.fingerprint === after.device.fingerprint,
  };
}

function verdictOf(
  { value, low, high }: Comparison['ratio'],
  p: number,
  { alpha, margin, attainable }: { readonly alpha: number; readonly margin: number; readonly attainable: boolean },
): Verdict {
  if (low >= 1 - margin && high <= 1 + margin) return 'same';
  if (p < alpha && Math.abs(value - 1) >= margin) return value < 1 ? 'faster' : 'slower';
  return attainable ? 'noise' : 'too-few';
}

/** Holm's step-down correction: p values that hold together. */
export function holm(values: readonly number[]): readonly number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const corrected = new Array<number>(values.length);
  let largest = 0;
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, values[index]! * (values.length - rank)));
    corrected[index] = largest;
  });
  return corrected;
}
