/** @file Statistics of times: spread, intervals over several openings, permutation tests. */
import { createRandom } from '../platform/index.js';
import { percentile } from '../runtime/index.js';

/** A value with the interval that holds it with probability `level`. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly level: number;
}

export interface ResampleOptions {
  /** 0.95 where omitted. */
  readonly level?: number;
  /** 2,000 where omitted. */
  readonly resamples?: number;
  readonly seed?: number;
}

/** The middle value; NaN of none. */
export function median(values: Iterable<number>): number {
  const sorted = Float64Array.from(values).sort();
  return sorted.length === 0 ? NaN : percentile(sorted as unknown as readonly number[], 0.5);
}

/** Standard deviation over mean (of the population); 0 for fewer than two values. */
export function variation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return mean === 0 ? 0 : Math.sqrt(squares / values.length) / Math.abs(mean);
}

/**
 * The typical time over groups of samples (one group per opened session), with a bootstrap interval: the groups' medians are
 * drawn with replacement. Few groups make such an interval too narrow, so its width on the logarithmic scale is stretched by
 * √(n/(n−1)) · t/z (Hesterberg 2015, arXiv 1411.5279: the "expanded" percentile interval, here applied to the width). It is never
 * narrower than what the samples inside the groups leave open; with one group it is that alone.
 * Groups must not be empty, samples must be positive.
 */
export function typicalInterval(groups: readonly ArrayLike<number>[], options: ResampleOptions = {}): Interval {
  const { level = 0.95, resamples = 2000, seed = 1 } = options;
  const random = createRandom(seed);
  const n = groups.length;
  const sorted = groups.map((group) => Float64Array.from(group).sort());
  const centres = sorted.map((group) => Math.log(median(group)));
  const centre = centres.reduce((sum, value) => sum + value, 0) / n;
  const quantiles = (draw: (i: number) => number, stretch: number): readonly [number, number] => {
    const means = Array.from({ length: resamples }, () => {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += draw(i);
      return sum / n;
    }).sort((a, b) => a - b);
    const bound = (p: number): number => (percentile(means, p) - centre) * stretch;
    return [bound((1 - level) / 2), bound((1 + level) / 2)];
  };
  const [belowWithin, aboveWithin] = quantiles((i) => Math.log(resampledMedian(sorted[i]!, random.next())), 1);
  const [belowBetween, aboveBetween] =
    n < 2 ? [0, 0] : quantiles(() => centres[random.int(n)]!, Math.sqrt(n / (n - 1)) * studentOverNormal(n - 1, level));
  return {
    value: Math.exp(centre),
    low: Math.exp(centre + Math.min(0, belowWithin, belowBetween)),
    high: Math.exp(centre + Math.max(0, aboveWithin, aboveBetween)),
    level,
  };
}

/**
 * The median of a resample of sorted values, drawn directly: its rank is that of the middle one of n uniform numbers, close to
 * normal around n/2 with deviation √n/2. `uniform` is turned into that rank.
 */
function resampledMedian(sorted: Float64Array, uniform: number): number {
  const n = sorted.length;
  const position = (n - 1) / 2 + (Math.sqrt(n) / 2) * normalQuantile(Math.min(1 - 1e-12, Math.max(1e-12, uniform)));
  const clamped = Math.max(0, Math.min(n - 1, position));
  const below = Math.floor(clamped);
  const above = Math.min(n - 1, below + 1);
  return sorted[below]! + (sorted[above]! - sorted[below]!) * (clamped - below);
}

export interface PermutationTest {
  /** Mean of a less mean of b. */
  readonly difference: number;
  /** Share of all ways to deal the values out that differ at least as much; never 0. */
  readonly p: number;
  /** The smallest p that so many values can give at all. */
  readonly smallest: number;
}

/** Splits beyond which they are drawn instead of counted. */
const EXACT = 20_000;

/**
 * Two-sided permutation test of the difference of means: exact where there are at most 20,000 ways to split the values, else
 * over 20,000 random ones. Both lists must hold something.
 */
export function permutationTest(a: readonly number[], b: readonly number[], seed = 1): PermutationTest {
  const all = [...a, ...b];
  const total = all.reduce((sum, value) => sum + value, 0);
  const differenceOf = (sumA: number): number => sumA / a.length - (total - sumA) / b.length;
  const observed = differenceOf(a.reduce((sum, value) => sum + value, 0));
  // Rounding must not make the observed split less extreme than itself.
  const least = Math.abs(observed) - 1e-12 * (1 + Math.abs(observed));
  const ways = binomial(all.length, a.length);
  let [extreme, seen] = [0, 0];
  const count = (sumA: number): void => {
    seen++;
    if (Math.abs(differenceOf(sumA)) >= least) extreme++;
  };
  if (ways <= EXACT) {
    const choose = (from: number, left: number, sum: number): void => {
      if (left === 0) return count(sum);
      for (let i = from; i <= all.length - left; i++) choose(i + 1, left - 1, sum + all[i]!);
    };
    choose(0, a.length, 0);
  } else {
    const random = createRandom(seed);
    // The observed split counts as one of the drawn ones, so that p is never 0.
    count(a.reduce((sum, value) => sum + value, 0));
    for (let i = 1; i < EXACT; i++)
      count(
        random
          .shuffle([...all])
          .slice(0, a.length)
          .reduce((sum, value) => sum + value, 0),
      );
  }
  const mirrored = a.length === b.length ? 2 : 1;
  return { difference: observed, p: extreme / seen, smallest: Math.min(1, mirrored / Math.min(ways, EXACT)) };
}

function binomial(n: number, k: number): number {
  let ways = 1;
  for (let i = 1; i <= Math.min(k, n - k); i++) ways = (ways * (n - Math.min(k, n - k) + i)) / i;
  return Math.round(ways);
}

/** Quantile of the standard normal distribution (Acklam's rational approximation, relative error below 1.2e-9). */
export function normalQuantile(p: number): number {
  const a = [
    -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239,
  ];
  const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1];
  const c = [
    -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
    2.938163982698783,
  ];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1];
  const polynomial = (coefficients: readonly number[], x: number): number =>
    coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return polynomial(c, q) / polynomial(d, q);
  }
  if (p > 1 - 0.02425) return -normalQuantile(1 - p);
  const q = p - 0.5;
  return (polynomial(a, q * q) * q) / polynomial(b, q * q);
}

/** Probability that a standard normal number is below x (Abramowitz and Stegun 26.2.17 refined by one series; error below 1e-7). */
export function normalCdf(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const tail =
    (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x >= 0 ? 1 - tail : tail;
}

/**
 * How much wider Student's quantile is than the normal one (Hill 1970, algorithm 396, by its expansion in 1/n, exact for one
 * and two degrees of freedom).
 */
function studentOverNormal(degrees: number, level: number): number {
  const p = (1 + level) / 2;
  const z = normalQuantile(p);
  if (degrees === 1) return Math.tan(Math.PI * (p - 0.5)) / z;
  if (degrees === 2) return ((2 * p - 1) * Math.sqrt(2 / (4 * p * (1 - p)))) / z;
  const n = degrees;
  const g1 = (z ** 3 + z) / 4;
  const g2 = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  const g3 = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384;
  const g4 = (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160;
  return (z + g1 / n + g2 / n ** 2 + g3 / n ** 3 + g4 / n ** 4) / z;
}
