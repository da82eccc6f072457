/** @file The table of exit policies, and the one comparison all of them share. A new policy is one file and one line here. */
import { InvalidDesignError } from '../design-error.js';
import { confidence } from './confidence.js';
import { entropy } from './entropy.js';
import { gateScore, type GateFeatures } from './gate.js';
import { learned } from './learned.js';
import { margin } from './margin.js';
import { patience } from './patience.js';
import type { Evidence, ExitPolicy, PolicyConfig, PolicyKind } from './policy.js';

export const exitPolicies: Readonly<Record<PolicyKind, ExitPolicy>> = {
  confidence,
  entropy,
  margin,
  patience,
  learned,
};

/** The names of all policies, for option lists. */
export const policyKinds = Object.keys(exitPolicies) as readonly PolicyKind[];

/** The policies that need no training: rules on an exit's scores. */
export const rulePolicies: readonly PolicyKind[] = policyKinds.filter((kind) => exitPolicies[kind].evidence !== 'gate');

/**
 * Whether a sample with this evidence leaves. The threshold is taken as float32, as an ONNX graph holds it.
 * NaN evidence (non-finite logits) never leaves.
 */
export function leaves(policy: ExitPolicy, value: number, threshold: number): boolean {
  const limit = Math.fround(threshold);
  return policy.leaves === 'at-least' ? value >= limit : value < limit;
}

/** Run-time form of `leaves`: the decision of a configured policy at the design's exit number `position` (0 is its first). */
export function leavesAt(config: PolicyConfig, position: number, evidence: Evidence): boolean {
  const policy = exitPolicies[config.kind];
  return leaves(policy, evidence[policy.evidence], thresholdAt(config, position));
}

/** The threshold of the design's exit number `position`. Throws InvalidDesignError where a per-exit list is too short. */
export function thresholdAt(config: PolicyConfig, position: number): number {
  if (typeof config.thresholds === 'number') return config.thresholds;
  const threshold = config.thresholds[position];
  if (threshold === undefined)
    throw new InvalidDesignError(`the design has no threshold for its exit number ${position + 1}`, {
      hint: 'Give one shared threshold, or one per early exit.',
    });
  return threshold;
}

/** What the gate of the design's exit number `position` says; NaN, with which nothing leaves, where it has none. */
export function gateAt(config: PolicyConfig, position: number, row: GateFeatures): number {
  const gate = config.gates?.[position];
  return gate === undefined ? NaN : gateScore(gate, row);
}

/** The temperature of the design's instantiated exit number `position`; 1 where none is given. */
export function temperatureAt(config: PolicyConfig, position: number): number {
  return config.temperatures?.[position] ?? 1;
}
