/** @file Run-time side of a design: follows a batch of samples from exit to exit and says who leaves where, with which answer. */
import { InvalidDesignError, type DesignChoice } from '../design.js';
import { instantiatedExits } from '../rates.js';
import { nextStreak, rowEvidence, type RowEvidence } from '../scores.js';
import { gateAt, leavesAt, temperatureAt } from './index.js';
import type { Evidence } from './policy.js';

/** What a design answered for one sample. Exits are indices into the network's exits, the final one included. */
export interface Answer {
  readonly prediction: number;
  /** Top-1 probability of the exit that answered. */
  readonly confidence: number;
  /** Where execution stopped. */
  readonly exit: number;
  /** Whose prediction it is: another exit than `exit` only where the fallback found an earlier one more confident. */
  readonly answeredBy: number;
}

/**
 * Follows `samples` samples through a design. `final` is the index of the network's final exit (its number of
 * candidates). Feed it each exit's logits in order with `visit`; results are in `answer` once a sample has left.
 * Bit-identical to look-up in the memo.
 */
export class ExitProgress {
  readonly instantiated: readonly number[];
  readonly #choice: DesignChoice;
  readonly #classes: number;
  readonly #streak: Int32Array;
  readonly #prediction: Int32Array;
  readonly #confidence: Float32Array;
  readonly #position: Int32Array;
  readonly #best: Float32Array;
  readonly #bestPrediction: Int32Array;
  readonly #bestExit: Int32Array;
  readonly #answers: (Answer | undefined)[];
  readonly #row: RowEvidence = { prediction: 0, top1: 0, entropy: 0, margin: 0 };

  constructor(choice: DesignChoice, classes: number, final: number, samples: number) {
    this.instantiated = instantiatedExits(choice, final);
    this.#choice = choice;
    this.#classes = classes;
    this.#streak = new Int32Array(samples);
    this.#prediction = new Int32Array(samples);
    this.#confidence = new Float32Array(samples);
    this.#position = new Int32Array(samples).fill(-1);
    this.#best = new Float32Array(samples);
    this.#bestPrediction = new Int32Array(samples);
    this.#bestExit = new Int32Array(samples).fill(-1);
    this.#answers = Array.from({ length: samples }, () => undefined);
  }

  /**
   * Takes the logits that instantiated exit number `position` computed for one sample (`logits[offset ..]`), and returns
   * whether the sample leaves here. At the last exit every sample leaves.
   */
  visit(position: number, sample: number, logits: Float32Array, offset: number): boolean {
    const { policy } = this.#choice;
    const exit = this.instantiated[position];
    if (exit === undefined) throw new InvalidDesignError(`the design has no exit number ${position + 1}`);
    const row = rowEvidence(logits, offset, this.#classes, temperatureAt(policy, position), this.#row);
    const streak = position === 0 ? 0 : nextStreak(this.#streak[sample]!, this.#prediction[sample], row.prediction);
    this.#streak[sample] = streak;
    this.#prediction[sample] = row.prediction;
    this.#confidence[sample] = row.top1;
    this.#position[sample] = position;
    // Strictly greater: among equally confident exits the earliest answers.
    if (this.#bestExit[sample]! < 0 || row.top1 > this.#best[sample]!) {
      this.#best[sample] = row.top1;
      this.#bestPrediction[sample] = row.prediction;
      this.#bestExit[sample] = exit;
    }
    const evidence: Evidence = { ...row, streak, gate: gateAt(policy, position, row) };
    if (position === this.instantiated.length - 1) this.#answers[sample] = this.current(sample);
    else if (leavesAt(policy, position, evidence))
      this.#answers[sample] = { prediction: row.prediction, confidence: row.top1, exit, answeredBy: exit };
    else return false;
    return true;
  }

  /**
   * The best answer so far: the final one for a sample that has left; for another, what the fallback makes of the exits that
   * it has visited, as if the last of them were the design's last. Throws InvalidDesignError before the first visit.
   */
  current(sample: number): Answer {
    const left = this.#answers[sample];
    if (left !== undefined) return left;
    const exit = this.instantiated[this.#position[sample]!];
    if (exit === undefined) throw new InvalidDesignError(`sample ${sample} has visited no exit yet`);
    return this.#choice.fallback === 'most-confident'
      ? {
          prediction: this.#bestPrediction[sample]!,
          confidence: this.#best[sample]!,
          exit,
          answeredBy: this.#bestExit[sample]!,
        }
      : { prediction: this.#prediction[sample]!, confidence: this.#confidence[sample]!, exit, answeredBy: exit };
  }

  /** The answer for a sample that has left; undefined before. */
  answer(sample: number): Answer | undefined {
    return this.#answers[sample];
  }
}
