/** @file Whether two measures put things into the same order: Spearman's and Kendall's rank correlation; trends over time. */
import { normalCdf } from './statistics.js';

/** Ranks from 1; equal values share the mean of theirs. */
export function ranks(values: readonly number[]): readonly number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const result = new Array<number>(values.length);
  for (let from = 0; from < order.length;) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) result[order[i]!] = (from + 1 + to) / 2;
    from = to;
  }
  return result;
}

/** Pearson's correlation; NaN where one side does not vary. */
export function pearson(x: readonly number[], y: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [mx, my] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    xy += (x[i]! - mx) * (y[i]! - my);
    xx += (x[i]! - mx) ** 2;
    yy += (y[i]! - my) ** 2;
  }
  return xy / Math.sqrt(xx * yy);
}

/** Spearman's ρ, equal values counted by their mean rank. Lists of one length, at least two. */
export function spearman(x: readonly number[], y: readonly number[]): number {
  return pearson(ranks(x), ranks(y));
}

/** Kendall's τ-b: pairs in the same order less pairs in opposite order, of all pairs without ties. Lists of one length. */
export function kendall(x: readonly number[], y: readonly number[]): number {
  let [balance, untiedX, untiedY] = [0, 0, 0];
  for (let i = 0; i < x.length; i++)
    for (let j = 0; j < i; j++) {
      const [dx, dy] = [Math.sign(x[i]! - x[j]!), Math.sign(y[i]! - y[j]!)];
      balance += dx * dy;
      untiedX += dx * dx;
      untiedY += dy * dy;
    }
  return balance / Math.sqrt(untiedX * untiedY);
}

/** A trend of values over equal steps of time. */
export interface Trend {
  /** Theil–Sen: the median slope of all pairs, per step. */
  readonly slope: number;
  /** Two-sided p of the Mann–Kendall test, corrected for values that resemble their neighbours. */
  readonly p: number;
}

/**
 * The trend of a series: Theil–Sen's slope and the Mann–Kendall test with the variance corrected for autocorrelation of the
 * detrended ranks (Hamed and Rao 1998, J. Hydrol. 204, eq. 10). Under three values there is no trend to see: p is 1.
 */
export function trendOf(values: readonly number[]): Trend {
  const n = values.length;
  if (n < 3) return { slope: 0, p: 1 };
  const slopes: number[] = [];
  let s = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      slopes.push((values[i]! - values[j]!) / (i - j));
      s += Math.sign(values[i]! - values[j]!);
    }
  slopes.sort((a, b) => a - b);
  const slope = (slopes[(slopes.length - 1) >> 1]! + slopes[slopes.length >> 1]!) / 2;
  const ties = new Map<number, number>();
  for (const value of values) ties.set(value, (ties.get(value) ?? 0) + 1);
  const term = (size: number): number => size * (size - 1) * (2 * size + 5);
  const variance =
    ((term(n) - [...ties.values()].reduce((sum, size) => sum + term(size), 0)) / 18) * inflation(values, slope);
  if (s === 0 || !(variance > 0)) return { slope, p: 1 };
  const z = (Math.abs(s) - 1) / Math.sqrt(variance);
  return { slope, p: Math.min(1, 2 * (1 - normalCdf(z))) };
}

/** n/n* of Hamed and Rao: how many values count as one. Autocorrelations inside their 95 % band count as none; never below 1. */
function inflation(values: readonly number[], slope: number): number {
  const n = values.length;
  const detrended = ranks(values.map((value, i) => value - slope * i));
  const mean = (n + 1) / 2;
  const squares = detrended.reduce((sum, rank) => sum + (rank - mean) ** 2, 0);
  if (squares === 0) return 1;
  let sum = 0;
  for (let lag = 1; lag < n - 2; lag++) {
    let products = 0;
    for (let i = 0; i + lag < n; i++) products += (detrended[i]! - mean) * (detrended[i + lag]! - mean);
    const correlation = products / squares;
    if (Math.abs(correlation) > 1.96 / Math.sqrt(n)) sum += (n - lag) * (n - lag - 1) * (n - lag - 2) * correlation;
  }
  return Math.max(1, 1 + (2 / (n * (n - 1) * (n - 2))) * sum);
}
