/** @file Learned gate: leave when a small trained unit expects nothing from going on. */
import type { ExitPolicy } from './policy.js';

/**
 * Leaves where the exit's gate (`gate.ts`) gives "going on would not help" at least this probability. Unlike the rules, it
 * weighs several scores together and knows that some classes are harder than others. Needs trained gates: `fitGates`.
 */
export const learned: ExitPolicy = {
  kind: 'learned',
  title: 'trained gate on top-1, margin, entropy and class',
  source: 'learnable policies of Adaptive Inference through Early-Exit Networks (2021)',
  evidence: 'gate',
  leaves: 'at-least',
  range: () => ({ min: 0, max: 1 }),
  integer: false,
  defaultThreshold: 0.95,
};
