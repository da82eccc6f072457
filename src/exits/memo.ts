/** @file The memo: every exit's logits for every calibration sample, taken in one pass, from which any design is evaluated by look-up. */
import { CuttleError } from '../ir/index.js';

/** A memo whose parts do not fit each other, or whose bytes are not a memo. Exit code 3. */
export class InvalidMemoError extends CuttleError {
  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('invalid', 'exits/invalid-memo', message, options);
  }
}

/**
 * Logits of all exits over one set of samples. Exits are in execution order; the last is the network's own (final) one,
 * so a network with N candidates has N + 1 entries.
 */
export interface Memo {
  /** Right class per sample, in [0, classes). */
  readonly labels: Int32Array;
  readonly classes: number;
  /** Per exit: samples × classes, row-major, before softmax and temperature. */
  readonly logits: readonly Float32Array[];
}
