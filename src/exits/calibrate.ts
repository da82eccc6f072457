/** @file Temperature calibration per exit: softens each exit's softmax so that its confidence means its accuracy. */
import type { Memo } from './memo.js';
import { rowEvidence, type RowEvidence, type ScoreTables } from './scores.js';

/** What calibration did to one exit. NLL in nats per sample; ECE in [0, 1]. */
export interface ExitCalibration {
  readonly temperature: number;
  readonly nll: { readonly before: number; readonly after: number };
  readonly ece: { readonly before: number; readonly after: number };
}

/** Temperatures are sought in this range: beyond it a softmax is flat or a step for any practical purpose. */
const RANGE = { min: 0.05, max: 20 };
const MAX_STEPS = 60;
const TOLERANCE = 1e-7;

/** Calibrates every exit of a memo, the final one included (Guo et al. 2017). Accuracy does not change. */
export function calibrateExits(memo: Memo): readonly ExitCalibration[] {
  return memo.logits.map((logits) => {
    const temperature = fitTemperature(logits, memo.labels, memo.classes);
    return {
      temperature,
      nll: {
        before: negativeLogLikelihood(logits, memo.labels, memo.classes, 1),
        after: negativeLogLikelihood(logits, memo.labels, memo.classes, temperature),
      },
      ece: {
        before: expectedCalibrationError(logits, memo.labels, memo.classes, 1),
        after: expectedCalibrationError(logits, memo.labels, memo.classes, temperature),
      },
    };
  });
}

/**
 * The temperature that minimises the mean negative log-likelihood of the labels. In β = 1/T that is a convex problem
 * (log-sum-exp of a line): Newton steps on the slope, kept inside a shrinking bracket by bisection. Clamped to 0.05 … 20;
 * where every sample is right by any margin, the optimum lies at the lower end.
 * `logits`: samples × classes, row-major.
 */
export function fitTemperature(logits: Float32Array, labels: Int32Array, classes: number): number {
  let low = 1 / RANGE.max;
  let high = 1 / RANGE.min;
  if (slope(logits, labels, classes, low)[0] >= 0) return RANGE.max;
  if (slope(logits, labels, classes, high)[0] <= 0) return RANGE.min;
  let beta = 1;
  for (let step = 0; step < MAX_STEPS && high - low > TOLERANCE * low; step++) {
    const [first, second] = slope(logits, labels, classes, beta);
    if (first === 0) break;
    if (first < 0) low = beta;
    else high = beta;
    const newton = beta - first / second;
    const next = newton > low && newton < high ? newton : (low + high) / 2;
    if (Math.abs(next - beta) <= TOLERANCE * beta) {
      beta = next;
      break;
    }
    beta = next;
  }
  return 1 / beta;
}

/** First and second derivative of the mean NLL in β: E_p[z] − z_label, and the variance of z under p. */
function slope(logits: Float32Array, labels: Int32Array, classes: number, beta: number): [number, number] {
  let first = 0;
  let second = 0;
  const samples = labels.length;
  for (let s = 0; s < samples; s++) {
    const row = s * classes;
    let max = logits[row]!;
    for (let c = 1; c < classes; c++) if (logits[row + c]! > max) max = logits[row + c]!;
    let sum = 0;
    let mean = 0;
    let square = 0;
    for (let c = 0; c < classes; c++) {
      const below = logits[row + c]! - max;
      const power = Math.exp(below * beta);
      sum += power;
      mean += power * below;
      square += power * below * below;
    }
    mean /= sum;
    first += mean - (logits[row + labels[s]!]! - max);
    second += square / sum - mean * mean;
  }
  return [first / samples, second / samples];
}

/** Mean −ln p(label) in nats, of softmax(logits / temperature). `logits`: samples × classes. */
export function negativeLogLikelihood(
  logits: Float32Array,
  labels: Int32Array,
  classes: number,
  temperature: number,
): number {
  let total = 0;
  for (let s = 0; s < labels.length; s++) {
    const row = s * classes;
    let max = logits[row]!;
    for (let c = 1; c < classes; c++) if (logits[row + c]! > max) max = logits[row + c]!;
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp((logits[row + c]! - max) / temperature);
    total += Math.log(sum) - (logits[row + labels[s]!]! - max) / temperature;
  }
  return total / labels.length;
}

/** Accuracy of answers, and how far their confidence is from it. */
export interface CalibratedAnswers {
  readonly accuracy: number;
  /** Expected calibration error, in [0, 1]. */
  readonly ece: number;
}

/** Bins of the expected calibration error (Guo et al. 2017). */
const BINS = 15;

/**
 * Expected calibration error: mean |accuracy − confidence| over equally wide confidence bins, weighted by their samples
 * (Guo et al. 2017, 15 bins). Of one exit alone; `logits`: samples × classes.
 */
export function expectedCalibrationError(
  logits: Float32Array,
  labels: Int32Array,
  classes: number,
  temperature: number,
  bins = BINS,
): number {
  const binned = new Binned(bins);
  const row: RowEvidence = { prediction: 0, top1: 0, entropy: 0, margin: 0 };
  for (let s = 0; s < labels.length; s++) {
    rowEvidence(logits, s * classes, classes, temperature, row);
    binned.add(row.top1, row.prediction === labels[s]);
  }
  return binned.error();
}

/** Accuracy and calibration of a whole design: each sample is answered by one exit (`answeredBy`, as `traceDesign` gives it). */
export function answersCalibration(scores: ScoreTables, answeredBy: ArrayLike<number>, bins = BINS): CalibratedAnswers {
  const binned = new Binned(bins);
  for (let s = 0; s < scores.samples; s++) {
    const exit = answeredBy[s]!;
    binned.add(scores.top1[exit]![s]!, scores.prediction[exit]![s] === scores.labels[s]);
  }
  return { accuracy: binned.right() / scores.samples, ece: binned.error() };
}

/** Confidences and hits in bins (k/B, (k+1)/B]: confidence 1 belongs to the last one. */
class Binned {
  readonly #confidence: Float64Array;
  readonly #right: Float64Array;
  #samples = 0;

  constructor(bins: number) {
    this.#confidence = new Float64Array(bins);
    this.#right = new Float64Array(bins);
  }

  add(confidence: number, right: boolean): void {
    const bins = this.#right.length;
    const bin = Math.max(0, Math.min(bins - 1, Math.ceil(confidence * bins) - 1));
    this.#confidence[bin]! += confidence;
    if (right) this.#right[bin]!++;
    this.#samples++;
  }

  right(): number {
    return this.#right.reduce((sum, count) => sum + count, 0);
  }

  error(): number {
    return this.#right.reduce((sum, right, bin) => sum + Math.abs(right - this.#confidence[bin]!), 0) / this.#samples;
  }
}
