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

/** Throws InvalidCostsError unless segments and heads have the same length, are finite and not negative, and the final head is 0. */
export function checkCosts(costs: ExitCosts): void {
  const parts: [string, Float64Array][] = [
    ['segment', costs.segments],
    ['head', costs.heads],
  ];
  if (costs.memory) parts.push(['memory of segment', costs.memory.segments], ['memory of head', costs.memory.heads]);
  const exits = costs.segments.length;
  if (exits === 0) throw new InvalidCostsError('costs need at least the final exit');
  for (const [name, values] of parts) {
    if (values.length !== exits)
      throw new InvalidCostsError(`${values.length} values (${name}) for ${exits} exits, the final one counted`);
    values.forEach((value, i) => {
      if (!(value >= 0 && value < Infinity)) throw new InvalidCostsError(`${name} ${i} costs ${value}`);
    });
  }
  if (costs.heads[exits - 1] !== 0)
    throw new InvalidCostsError(
      `the final exit has a head of cost ${costs.heads[exits - 1]}`,
      'Count the final classifier in the last segment and give its head 0.',
    );
}

/** Cost of the plain backbone, from input to final output: L_max of HAPI Eq. 4. */
export function backboneCost(costs: ExitCosts): number {
  return costs.segments.reduce((sum, value) => sum + value, 0);
}

/** Backbone cost from the input up to each exit: N + 1 running sums of the segments. */
export function cumulativeCosts(segments: Float64Array): Float64Array {
  let sum = 0;
  return segments.map((value) => (sum += value));
}
