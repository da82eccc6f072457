/** @file What an exit policy is: one piece of evidence about a sample at an exit, and how it is compared with a threshold. */
import type { Gate } from './gate.js';

/** Names of the policies in the table of `policies/index.ts`. */
export type PolicyKind = 'confidence' | 'entropy' | 'margin' | 'patience' | 'learned';

/** What to return for a sample that reaches the last exit. */
export type Fallback = 'most-confident' | 'last';

/**
 * What is known of one sample when one exit has computed its logits. All reals are float32 values, computed by
 * `rowEvidence` (scores.ts) and by nothing else, so that look-up and execution decide from the same bits.
 */
export interface Evidence {
  /** Class with the largest logit; the lowest index among equals, as ONNX ArgMax picks. */
  readonly prediction: number;
  /** Largest softmax probability. */
  readonly top1: number;
  /** −Σ p ln p, in nats. */
  readonly entropy: number;
  /** Largest minus second-largest softmax probability. */
  readonly margin: number;
  /** How many times in a row the prediction has stayed the same over the design's exits, this one included; 0 at the first. */
  readonly streak: number;
  /** The exit's trained gate: probability that going on would not help; NaN where the design has no gates. */
  readonly gate: number;
}

export type EvidenceName = 'top1' | 'entropy' | 'margin' | 'streak' | 'gate';

/**
 * A policy leaves at the first exit whose evidence compares well with the threshold. The last instantiated exit has no
 * threshold: what reaches it is settled by the fallback. With a shared confidence threshold this is HAPI's rule to the
 * letter: the samples that reach the last exit were all below the threshold before, so the last exit passing it implies
 * that it is also the most confident.
 */
export interface ExitPolicy {
  readonly kind: PolicyKind;
  /** For users: what it looks at. */
  readonly title: string;
  /** Where it was published. */
  readonly source: string;
  readonly evidence: EvidenceName;
  /** Leave where `evidence ≥ threshold`, or where `evidence < threshold`. */
  readonly leaves: 'at-least' | 'below';
  /** The values a threshold may take, whatever the number of classes: both ends allowed. */
  range(classes: number): { readonly min: number; readonly max: number };
  /** Whether thresholds are whole numbers. */
  readonly integer: boolean;
  /** What to use where nothing was searched. */
  readonly defaultThreshold: number;
}

/** How a design decides when to leave. */
export interface PolicyConfig {
  readonly kind: PolicyKind;
  /** One for all exits, or one per early exit of the design, in their order. Compared as float32. */
  readonly thresholds: number | readonly number[];
  /**
   * Softmax temperature of each instantiated exit, in order: the design's exits, then the final one where it is
   * instantiated. Absent: 1 everywhere.
   */
  readonly temperatures?: readonly number[];
  /** Trained gate of each early exit of the design, in their order: what the learned policy looks at. */
  readonly gates?: readonly Gate[];
}
