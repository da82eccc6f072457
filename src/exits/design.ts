/** @file A design: which exits of the trained network are kept, and when to leave at them. Its choice, and the artefact that records it. */
import { CuttleError } from '../ir/index.js';
import type { Fallback, PolicyConfig } from './policies/policy.js';

/** A design that does not fit the network, or a design file that is none. Exit code 3. */
export class InvalidDesignError extends CuttleError {
  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('invalid', 'exits/invalid-design', message, options);
  }
}

/** The decision variables of a search, and all that running a design needs to know. */
export interface DesignChoice {
  /** Candidate indices, strictly ascending. The final exit is implied unless `truncated`. */
  readonly exits: readonly number[];
  readonly policy: PolicyConfig;
  readonly fallback: Fallback;
  /**
   * The final exit is not instantiated: the network ends at the last of `exits` (a deadline that the final exit would
   * miss). That exit then answers for whatever reaches it; its own threshold, where there is one, is unused.
   */
  readonly truncated?: boolean;
}
