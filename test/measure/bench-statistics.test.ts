/** @file Statistics of benchmarks against numbers made elsewhere or by hand, and Pareto fronts against the definition. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  holm,
  kendall,
  median,
  paretoFront,
  permutationTest,
  ranks,
  spearman,
  summariseSustained,
  trendOf,
  typicalInterval,
  variation,
} from '../../src/measure/index.js';
import { createRandom } from '../../src/platform/index.js';

describe('rank correlation', () => {
  // By hand: the ranks' deviations give 13.75 / 17; 14 untied pairs on either side, 9 more in order than not.
  const x = [1, 2, 2, 4, 5, 7];
  const y = [3, 1, 4, 4, 9, 6];

  test('equal values share their mean rank', () => {
    expect(ranks([30, 10, 20, 20])).toEqual([4, 1, 2.5, 2.5]);
  });

  test('Spearman and Kendall with ties', () => {
    expect(spearman(x, y)).toBeCloseTo(13.75 / 17, 12);
    expect(kendall(x, y)).toBeCloseTo(9 / 14, 12);
  });

  test('the same order is 1, the opposite −1, a constant nothing', () => {
    expect(kendall([1, 2, 3], [2, 4, 9])).toBe(1);
    expect(spearman([1, 2, 3], [9, 4, 2])).toBeCloseTo(-1);
    expect(kendall([1, 2, 3], [5, 5, 5])).toBeNaN();
  });
});

describe('permutation test', () => {
  test('counts every split of small lists', () => {
    // 20 splits of six values; only the observed one and its mirror image differ this much.
    expect(permutationTest([1, 2, 3], [4, 5, 6])).toEqual({ difference: -3, p: 2 / 20, smallest: 2 / 20 });
    expect(permutationTest([1, 1], [1, 1]).p).toBe(1);
  });

  test('draws splits of large lists, and does not call chance a difference', () => {
    const random = createRandom(3);
    const list = (shift: number): number[] => Array.from({ length: 30 }, () => random.normal() + shift);
    expect(permutationTest(list(0), list(1)).p).toBeLessThan(0.01);
    const alarms = Array.from({ length: 40 }, () => permutationTest(list(0).slice(0, 5), list(0).slice(0, 5)).p).filter(
      (p) => p < 0.05,
    );
    expect(alarms.length).toBeLessThan(8);
  });

  test("Holm's correction", () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
  });
});

describe('typical time', () => {
  test('is the geometric mean of medians, inside its interval', () => {
    const { value, low, high } = typicalInterval([
      [1, 1, 1],
      [4, 4, 4],
    ]);
    expect(value).toBeCloseTo(2);
    expect(low).toBeLessThan(1);
    expect(high).toBeGreaterThan(4);
  });

  test('the interval holds the truth about as often as it says, where sessions differ', () => {
    const random = createRandom(11);
    const trials = 200;
    let held = 0;
    for (let trial = 0; trial < trials; trial++) {
      const groups = Array.from({ length: 5 }, () => {
        const session = 0.1 * random.normal();
        return Array.from({ length: 30 }, () => Math.exp(session + 0.02 * random.normal()));
      });
      const { low, high } = typicalInterval(groups, { resamples: 400, seed: trial });
      if (low <= 1 && high >= 1) held++;
    }
    expect(held / trials).toBeGreaterThan(0.9);
    expect(held / trials).toBeLessThan(0.995);
  });

  test('many equal sessions make it narrow, one alone keeps its own noise', () => {
    const steady = typicalInterval(Array.from({ length: 10 }, () => [2, 2.0001, 1.9999]));
    expect(steady.high - steady.low).toBeLessThan(0.001);
    const single = typicalInterval([[1, 2, 3, 4, 5]]);
    expect(single.low).toBeLessThan(3);
    expect(single.high).toBeGreaterThan(3);
  });

  test('median and variation', () => {
    expect(median([3, 1, 2, 10])).toBe(2.5);
    expect(variation([1, 3])).toBe(0.5);
    expect(variation([5])).toBe(0);
  });
});

describe('trends', () => {
  test('a rise is found, noise is not', () => {
    const random = createRandom(5);
    const noise = Array.from({ length: 60 }, () => random.normal());
    const flat = trendOf(noise);
    expect(flat.p).toBeGreaterThan(0.05);
    const rising = trendOf(noise.map((value, i) => value + 0.1 * i));
    expect(rising.slope).toBeCloseTo(0.1, 1);
    expect(rising.p).toBeLessThan(0.001);
  });

  test('wandering is not taken for a trend as readily as by the plain test', () => {
    const random = createRandom(8);
    let alarms = 0;
    for (let trial = 0; trial < 60; trial++) {
      let value = 0;
      const walk = Array.from({ length: 50 }, () => (value = 0.5 * value + random.normal()));
      if (trendOf(walk).p < 0.05) alarms++;
    }
    // The uncorrected test alarms in about a quarter of such series.
    expect(alarms).toBeLessThan(12);
  });

  test('a device that slows down by a fifth', () => {
    const random = createRandom(2);
    const curve = Array.from({ length: 100 }, (_, i) => ({
      at: i * 6,
      p50: 10 * (1 + 0.2 * Math.min(1, i / 50)) + 0.05 * random.normal(),
      p90: 11,
      runs: 10,
    }));
    const slowing = summariseSustained(curve, 600, 6);
    expect(slowing).toMatchObject({ verdict: 'slower', stretchSeconds: 60 });
    expect(slowing.change).toBeCloseTo(0.18, 1);
    const steady = summariseSustained(
      curve.map((window) => ({ ...window, p50: 10 + 0.05 * random.normal() })),
      600,
      6,
    );
    expect(steady.verdict).toBe('steady');
  });
});

describe('Pareto fronts', () => {
  interface Item {
    readonly ms: number;
    readonly accuracy: number;
  }
  const cost = ({ ms }: Item): number => ms;
  const value = ({ accuracy }: Item): number => accuracy;
  const item = fc.record({ ms: fc.integer({ min: 0, max: 20 }), accuracy: fc.integer({ min: 0, max: 20 }) });

  test('hold exactly what nothing dominates', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 40 }), (items) => {
        const front = new Set(paretoFront(items, { cost, value }));
        for (const candidate of items) {
          const dominated = items.some(
            ({ ms, accuracy }) =>
              ms <= candidate.ms &&
              accuracy >= candidate.accuracy &&
              (ms < candidate.ms || accuracy > candidate.accuracy),
          );
          expect(front.has(candidate)).toBe(!dominated);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('rise in both respects, and leave out what is unknown', () => {
    const items = [
      { ms: 3, accuracy: 0.9 },
      { ms: 1, accuracy: 0.5 },
      { ms: NaN, accuracy: 1 },
      { ms: 2, accuracy: 0.4 },
    ];
    expect(paretoFront(items, { cost, value })).toEqual([items[1], items[0]]);
  });
});
