/** @file The gate of the learned policy: a logistic unit per exit that judges, from the exit's own scores, whether going on would help. */
import { InvalidDesignError } from '../design-error.js';

/**
 * A trained gate of one exit. Its log-odds that going on would not help are
 * `classes[prediction] + top1 · weights.top1 + margin · weights.margin + entropy · weights.entropy`.
 */
export interface Gate {
  readonly weights: { readonly top1: number; readonly margin: number; readonly entropy: number };
  /** Bias per predicted class. */
  readonly classes: readonly number[];
}

/** What a gate looks at: part of the evidence of one sample at one exit. */
export interface GateFeatures {
  readonly prediction: number;
  readonly top1: number;
  readonly margin: number;
  readonly entropy: number;
}

/** The gate's log-odds, in float64 from float32 features. */
export function gateLogOdds({ weights, classes }: Gate, row: GateFeatures): number {
  return (
    classes[row.prediction]! + weights.top1 * row.top1 + weights.margin * row.margin + weights.entropy * row.entropy
  );
}

/** The gate's probability that going on would not help, rounded to float32 once. */
export function gateScore(gate: Gate, row: GateFeatures): number {
  return Math.fround(1 / (1 + Math.exp(-gateLogOdds(gate, row))));
}

/** Whether two gates decide alike. */
export function sameGate(a: Gate, b: Gate | undefined): boolean {
  if (a === b) return true;
  const numbers = ({ weights, classes }: Gate): readonly number[] => [
    weights.top1,
    weights.margin,
    weights.entropy,
    ...classes,
  ];
  return b !== undefined && numbers(a).join() === numbers(b).join();
}

/** Throws InvalidDesignError unless a gate is made of finite numbers and, where `classes` is given, has a bias for each. */
export function checkGate(gate: Gate, classes?: number): void {
  const { weights } = gate;
  if (classes !== undefined && gate.classes.length !== classes)
    throw new InvalidDesignError(`a gate has biases for ${gate.classes.length} classes, the network has ${classes}`);
  for (const number of [weights.top1, weights.margin, weights.entropy, ...gate.classes])
    if (!Number.isFinite(number)) throw new InvalidDesignError(`a gate holds ${number}`);
}
