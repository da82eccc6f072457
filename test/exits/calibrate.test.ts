/** @file Temperature calibration: recovers a known temperature, matches a brute-force minimum, keeps accuracy. */
import { describe, expect, it } from 'vitest';
import {
  calibrateExits,
  expectedCalibrationError,
  fitTemperature,
  negativeLogLikelihood,
} from '../../src/exits/calibrate.js';
import { exitAccuracy, scoreTables } from '../../src/exits/scores.js';
import { createRandom } from '../../src/platform/random.js';
import { syntheticMemo } from './synthetic.js';

/** Logits whose labels are drawn from softmax(logits / temperature): calibrated at exactly that temperature. */
function drawn(temperature: number, samples: number): { logits: Float32Array; labels: Int32Array; classes: number } {
  const classes = 6;
  const random = createRandom(9);
  const logits = Float32Array.from({ length: samples * classes }, () => 3 * random.normal());
  const labels = Int32Array.from({ length: samples }, (_, s) => {
    const powers = Array.from(logits.subarray(s * classes, (s + 1) * classes), (logit) =>
      Math.exp(logit / temperature),
    );
    let left = random.next() * powers.reduce((a, b) => a + b, 0);
    return Math.min(
      classes - 1,
      powers.findIndex((power) => (left -= power) < 0),
    );
  });
  return { logits, labels, classes };
}

describe('temperature calibration', () => {
  it.each([0.5, 1, 2.5])('recovers temperature %s and removes the calibration error', (temperature) => {
    const { logits, labels, classes } = drawn(temperature, 20000);
    const fitted = fitTemperature(logits, labels, classes);
    expect(Math.abs(fitted / temperature - 1)).toBeLessThan(0.05);
    const after = expectedCalibrationError(logits, labels, classes, fitted);
    expect(after).toBeLessThan(0.015);
    if (temperature !== 1) expect(expectedCalibrationError(logits, labels, classes, 1)).toBeGreaterThan(3 * after);
  });

  it('finds the minimum that a scan finds', () => {
    const { labels, classes, logits } = syntheticMemo({ candidates: 4, samples: 800, classes: 5, seed: 2 });
    for (const exit of logits) {
      const fitted = fitTemperature(exit, labels, classes);
      const at = (temperature: number): number => negativeLogLikelihood(exit, labels, classes, temperature);
      for (let log = -3; log <= 3; log += 0.02)
        expect(at(fitted)).toBeLessThanOrEqual(at(Math.max(0.05, Math.min(20, Math.exp(log)))) + 1e-10);
    }
  });

  it('stays in its range where the optimum is at infinity', () => {
    const right = Float32Array.of(5, 0, 0, 5);
    expect(fitTemperature(right, Int32Array.of(0, 1), 2)).toBe(0.05);
    expect(fitTemperature(right, Int32Array.of(1, 0), 2)).toBe(20);
  });

  it('lowers NLL at every exit and changes no prediction', () => {
    const memo = syntheticMemo({ candidates: 5, samples: 1000, classes: 8, seed: 3 });
    const calibrations = calibrateExits(memo);
    for (const { nll } of calibrations) expect(nll.after).toBeLessThanOrEqual(nll.before);
    expect(calibrations.at(-1)!.ece.after).toBeLessThan(calibrations.at(-1)!.ece.before);
    const [plain, tuned] = [
      scoreTables(memo),
      scoreTables(
        memo,
        calibrations.map(({ temperature }) => temperature),
      ),
    ];
    memo.logits.forEach((_, exit) => expect(exitAccuracy(tuned, exit)).toBe(exitAccuracy(plain, exit)));
  });
});

describe('expected calibration error', () => {
  it('is the gap between confidence and accuracy, by hand', () => {
    // Confidence 0.8 twice, right once; confidence 0.6 twice, right twice: (2 · |0.5 − 0.8| + 2 · |1 − 0.6|) / 4.
    const logit = (p: number): number => Math.log(p / (1 - p));
    const logits = Float32Array.of(logit(0.8), 0, logit(0.8), 0, logit(0.6), 0, logit(0.6), 0);
    expect(expectedCalibrationError(logits, Int32Array.of(0, 1, 0, 0), 2, 1, 10)).toBeCloseTo(0.35, 6);
  });
});
