/** @file Top-1 confidence: leave when the largest softmax probability is high enough. */
import type { ExitPolicy } from './policy.js';

/** HAPI leaves where top-1 ≥ threshold; SPINN and SDN print `>`. They differ only for a score equal to the threshold; Cuttle follows HAPI. */
export const confidence: ExitPolicy = {
  kind: 'confidence',
  title: 'top-1 confidence',
  source: 'HAPI (2020); SDN (2019)',
  evidence: 'top1',
  leaves: 'at-least',
  range: () => ({ min: 0, max: 1 }),
  integer: false,
  defaultThreshold: 0.8,
};
