/** @file Score margin: leave when the best class leads the second best by enough. */
import type { ExitPolicy } from './policy.js';

/** Leave where top-1 − top-2 ≥ threshold (best-versus-second-best, as in active learning and the early-exit survey's list). */
export const margin: ExitPolicy = {
  kind: 'margin',
  title: 'top-1 − top-2 margin',
  source: 'Adaptive Inference through Early-Exit Networks (2021)',
  evidence: 'margin',
  leaves: 'at-least',
  range: () => ({ min: 0, max: 1 }),
  integer: false,
  defaultThreshold: 0.6,
};
