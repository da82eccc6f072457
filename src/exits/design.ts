/** @file A design: which exits of the trained network are kept, and when to leave at them. */
import { InvalidDesignError } from './design-error.js';
import { checkGate } from './policies/gate.js';
import { exitPolicies } from './policies/index.js';
import type { Fallback, PolicyConfig } from './policies/policy.js';

export { InvalidDesignError } from './design-error.js';

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

/**
 * Throws InvalidDesignError unless the design fits a network with `candidates` candidate exits: exits ascending and in
 * range, one threshold or one per exit, positive temperatures one per instantiated exit, at least one exit if truncated.
 */
export function checkDesign(choice: DesignChoice, candidates: number): void {
  const { exits, policy, truncated } = choice;
  const fail = (why: string): never => {
    throw new InvalidDesignError(`the design does not fit the network: ${why}`);
  };
  exits.forEach((exit, i) => {
    if (!Number.isInteger(exit) || exit < 0 || exit >= candidates)
      fail(`exit ${exit} is not one of its ${candidates} candidates`);
    if (i > 0 && exit <= exits[i - 1]!) fail(`exits ${exits.join(', ')} are not in ascending order`);
  });
  if (truncated === true && exits.length === 0) fail('it is truncated and has no exit left');
  if (typeof policy.thresholds !== 'number' && policy.thresholds.length !== exits.length)
    fail(`${policy.thresholds.length} thresholds for ${exits.length} exits`);
  for (const threshold of typeof policy.thresholds === 'number' ? [policy.thresholds] : policy.thresholds)
    if (Number.isNaN(threshold)) fail('a threshold is not a number');
  if (exitPolicies[policy.kind].evidence === 'gate' && policy.gates?.length !== exits.length)
    fail(`${policy.gates?.length ?? 0} gates for ${exits.length} exits: the learned policy needs one for each`);
  for (const gate of policy.gates ?? []) checkGate(gate);
  const instantiated = exits.length + (truncated === true ? 0 : 1);
  if (policy.temperatures !== undefined && policy.temperatures.length !== instantiated)
    fail(`${policy.temperatures.length} temperatures for ${instantiated} exits, the final one counted`);
  for (const temperature of policy.temperatures ?? [])
    if (!(temperature > 0 && temperature < Infinity)) fail(`temperature ${temperature} is not a positive number`);
}
