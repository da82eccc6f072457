/** @file What the parts of an early-exit network cost: backbone segments between neighbouring candidates, and exit heads. */
import { CuttleError } from '../ir/index.js';

/** Costs that do not fit the network or are no finite, non-negative numbers. Exit code 3. */
export class InvalidCostsError extends CuttleError {
  constructor(message: string, hint?: string) {
    super('invalid', 'exits/invalid-costs', message, hint === undefined ? {} : { hint });
  }
}

/** Bytes that a part holds while the design is loaded (weights and activations), by the same indices as the costs. */
export interface ExitMemory {
  readonly segments: Float64Array;
  readonly heads: Float64Array;
}

/**
 * Cost of each part of a network with N candidates, for one sample (batch 1).
 * `segments[i]` is the backbone work that candidate `i` needs and no earlier candidate does; `segments[N]` is the rest up
 * to the final output. `heads[i]` is exit head `i`; `heads[N]` is 0, the final classifier being part of the backbone.
 */
export interface ExitCosts {
  /** N + 1 values. */
  readonly segments: Float64Array;
  /** N + 1 values, the last 0. */
  readonly heads: Float64Array;
  readonly unit: 'ms' | 'macs';
  /** Where known, allows memory constraints (HAPI §1.7). */
  readonly memory?: ExitMemory;
}
