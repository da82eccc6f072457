/** @file Execution rates: which share of the samples reaches each part of a network with exits. */
import type { DesignChoice } from './design.js';

/** The exits that a design executes, in order: its own, then the final one (index `final`) unless it is truncated. */
export function instantiatedExits(choice: Pick<DesignChoice, 'exits' | 'truncated'>, final: number): readonly number[] {
  return choice.truncated === true ? choice.exits : [...choice.exits, final];
}

/**
 * Share of the samples that reach each instantiated exit, from how many stop at each: p_{n−1} of the survey's
 * input-dependent cost, q of the exits in HAPI. The first is 1.
 */
export function reachRates(exitCounts: ArrayLike<number>, samples: number): Float64Array {
  const rates = new Float64Array(exitCounts.length);
  let left = samples;
  for (let i = 0; i < rates.length; i++) {
    rates[i] = left / samples;
    left -= exitCounts[i]!;
  }
  return rates;
}

/** Share of the samples that arrive at each instantiated exit and leave there (conditional exit rate e_n); 1 at the last. */
export function conditionalExitRates(exitCounts: ArrayLike<number>): Float64Array {
  const rates = new Float64Array(exitCounts.length);
  let arriving = 0;
  for (let i = 0; i < rates.length; i++) arriving += exitCounts[i]!;
  for (let i = 0; i < rates.length; i++) {
    // Nobody arrives: whatever is behind is dead, and so is this exit's rate.
    rates[i] = arriving === 0 ? 0 : exitCounts[i]! / arriving;
    arriving -= exitCounts[i]!;
  }
  return rates;
}

/** Forward recursion q_{j+1} = q_j · (1 − e_j), q_1 = 1: what Γq = 0 says of a chain whose layer j carries exit rate e_j. */
export function forwardRates(exitRates: ArrayLike<number>): Float64Array {
  const rates = new Float64Array(exitRates.length);
  let rate = 1;
  for (let j = 0; j < rates.length; j++) {
    rates[j] = rate;
    rate *= 1 - exitRates[j]!;
  }
  return rates;
}
