/** @file The error for designs that do not fit their network. */
import { CuttleError } from '../ir/index.js';

/** A design that does not fit the network, or a design file that is none. Exit code 3. */
export class InvalidDesignError extends CuttleError {
  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('invalid', 'exits/invalid-design', message, {
      hint: 'Give a design that cuttle adapt wrote for this model.',
      ...options,
    });
  }
}
