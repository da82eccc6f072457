/** @file Score tables: what exit policies look at, for every exit and sample; and the one function that computes it from logits. */
import { InvalidDesignError } from './design-error.js';
import { checkMemo, InvalidMemoError, MAX_CLASSES, type Memo } from './memo.js';
import { checkGate, gateScore, type Gate } from './policies/gate.js';
import type { Evidence, EvidenceName } from './policies/policy.js';

/** Evidence of one row of logits; the streak depends on the exits before it, the gate on the design: they are the caller's. */
export type RowEvidence = { -readonly [K in Exclude<keyof Evidence, 'streak' | 'gate'>]: Evidence[K] };

/**
 * Per exit (final included, in execution order) and sample, what the policies need. 14 bytes each, against 4 × classes
 * for the memo's logits.
 */
export interface ScoreTables {
  readonly samples: number;
  readonly classes: number;
  /** N + 1 for N candidates. */
  readonly exits: number;
  readonly labels: Int32Array;
  /** Softmax temperature that each exit's scores were computed with. */
  readonly temperatures: Float64Array;
  readonly prediction: readonly Uint16Array[];
  readonly top1: readonly Float32Array[];
  readonly entropy: readonly Float32Array[];
  readonly margin: readonly Float32Array[];
  /** Trained gate of each candidate, where the learned policy is to be evaluated (`withGates`), and what it says of each sample. */
  readonly gates?: readonly Gate[];
  readonly gate?: readonly Float32Array[];
}

/** Bytes of score tables; `exits` counts the final one. */
export function scoreTableBytes(samples: number, exits: number): number {
  return samples * (4 + 14 * exits);
}

/**
 * Prediction, top-1 probability, entropy and margin of the logits `logits[offset .. offset + classes)`, softened by
 * `temperature`. Both the look-up tables and the running network call this and nothing else, so their decisions agree to
 * the bit. Sums are taken in float64 and each result is rounded to float32 once. A baked ONNX graph computes the same
 * quantities in float32 and may differ in the last bits; `snapThresholds` (thresholds.ts) keeps thresholds away from scores
 * so that the decisions agree all the same. Non-finite logits give NaN scores, with which no policy leaves.
 */
export function rowEvidence(
  logits: Float32Array,
  offset: number,
  classes: number,
  temperature: number,
  out: RowEvidence,
): RowEvidence {
  let prediction = 0;
  let max = logits[offset]!;
  let second = -Infinity;
  for (let c = 1; c < classes; c++) {
    const logit = logits[offset + c]!;
    if (logit > max) {
      second = max;
      max = logit;
      prediction = c;
    } else if (logit > second) second = logit;
  }
  const beta = 1 / temperature;
  let sum = 0;
  let weighted = 0;
  for (let c = 0; c < classes; c++) {
    const below = (logits[offset + c]! - max) * beta;
    const power = Math.exp(below);
    sum += power;
    // Where the power vanishes so does its share of the entropy, however large `below` is.
    if (power > 0) weighted += power * below;
  }
  out.prediction = prediction;
  out.top1 = Math.fround(1 / sum);
  out.entropy = Math.fround(Math.log(sum) - weighted / sum);
  out.margin = Math.fround((1 - Math.exp((second - max) * beta)) / sum);
  return out;
}

/** How often in a row the prediction has stayed the same, given the one before (undefined at a design's first exit). */
export function nextStreak(streak: number, previous: number | undefined, prediction: number): number {
  return previous === prediction ? streak + 1 : 0;
}

/** Fills score tables batch by batch without keeping logits: for many classes, where a memo would not fit in memory. */
export class ScoreCollector {
  readonly tables: ScoreTables;
  readonly #row: RowEvidence = { prediction: 0, top1: 0, entropy: 0, margin: 0 };

  /** `temperatures`: one per exit, final included. */
  constructor(labels: Int32Array, classes: number, temperatures: Float64Array) {
    if (classes < 2 || classes > MAX_CLASSES)
      throw new InvalidMemoError(`${classes} classes are not between 2 and ${MAX_CLASSES}`);
    const column = (): Float32Array[] => Array.from(temperatures, () => new Float32Array(labels.length));
    temperatures.forEach((temperature, exit) => {
      if (!(temperature > 0 && temperature < Infinity))
        throw new InvalidMemoError(`the temperature of exit ${exit} is ${temperature}, not a positive number`);
    });
    this.tables = {
      samples: labels.length,
      classes,
      exits: temperatures.length,
      labels,
      temperatures,
      prediction: Array.from(temperatures, () => new Uint16Array(labels.length)),
      top1: column(),
      entropy: column(),
      margin: column(),
    };
  }

  /** Scores the rows of one exit: `logits` is rows × classes, for the samples from `first` on. */
  add(exit: number, first: number, logits: Float32Array): void {
    const { classes, samples, temperatures, prediction, top1, entropy, margin } = this.tables;
    const rows = logits.length / classes;
    if (!Number.isInteger(rows) || first + rows > samples || exit >= temperatures.length)
      throw new InvalidMemoError(
        `${logits.length} logits of exit ${exit} from sample ${first} do not fit ${samples} samples of ${classes} classes`,
      );
    const row = this.#row;
    for (let i = 0; i < rows; i++) {
      rowEvidence(logits, i * classes, classes, temperatures[exit]!, row);
      prediction[exit]![first + i] = row.prediction;
      top1[exit]![first + i] = row.top1;
      entropy[exit]![first + i] = row.entropy;
      margin[exit]![first + i] = row.margin;
    }
  }
}

/** Score tables of a memo. `temperatures`: one per exit, final included; 1 everywhere where absent. Throws InvalidMemoError. */
export function scoreTables(memo: Memo, temperatures?: ArrayLike<number>): ScoreTables {
  checkMemo(memo);
  const exits = memo.logits.length;
  if (temperatures !== undefined && temperatures.length !== exits)
    throw new InvalidMemoError(`${temperatures.length} temperatures for ${exits} exits`);
  const collector = new ScoreCollector(
    memo.labels,
    memo.classes,
    temperatures === undefined ? new Float64Array(exits).fill(1) : Float64Array.from(temperatures),
  );
  memo.logits.forEach((logits, exit) => collector.add(exit, 0, logits));
  return collector.tables;
}

/**
 * What a policy on this evidence compares with its thresholds at an exit: one number per sample.
 * Throws InvalidDesignError for gates where the tables have none.
 */
export function evidenceColumn(
  scores: ScoreTables,
  evidence: Exclude<EvidenceName, 'streak'>,
  exit: number,
): Float32Array {
  const column = scores[evidence]?.[exit];
  if (column !== undefined) return column;
  throw new InvalidDesignError(`the scores say nothing of the ${evidence} at exit ${exit}`, {
    hint: 'The learned policy needs trained gates: withGates(scores, fitGates(scores)).',
  });
}

/** The columns that gates add to score tables: one gate per candidate. Throws InvalidDesignError where they do not fit. */
export function gateColumns(
  scores: ScoreTables,
  gates: readonly Gate[],
): { readonly gates: readonly Gate[]; readonly gate: readonly Float32Array[] } {
  if (gates.length !== scores.exits - 1)
    throw new InvalidDesignError(`${gates.length} gates for ${scores.exits - 1} candidate exits`);
  const gate = gates.map((parameters, exit) => {
    checkGate(parameters, scores.classes);
    const [prediction, top1] = [scores.prediction[exit]!, scores.top1[exit]!];
    const [margin, entropy] = [scores.margin[exit]!, scores.entropy[exit]!];
    return top1.map((value, s) =>
      gateScore(parameters, { prediction: prediction[s]!, top1: value, margin: margin[s]!, entropy: entropy[s]! }),
    );
  });
  return { gates, gate };
}

/** Share of samples that one exit gets right alone. */
export function exitAccuracy(scores: ScoreTables, exit: number): number {
  const prediction = scores.prediction[exit]!;
  let right = 0;
  for (let s = 0; s < scores.samples; s++) if (prediction[s] === scores.labels[s]) right++;
  return scores.samples === 0 ? NaN : right / scores.samples;
}
