/** @file Patience: leave when successive exits keep agreeing. */
import type { ExitPolicy } from './policy.js';

/**
 * PABEE's patience t: leave at the first exit whose prediction has stayed the same t times in a row, that is, after t + 1
 * agreeing exits. Exits that the design leaves out do not take part.
 */
export const patience: ExitPolicy = {
  kind: 'patience',
  title: 'patience (agreements in a row)',
  source: 'PABEE (2020)',
  evidence: 'streak',
  leaves: 'at-least',
  range: () => ({ min: 1, max: 64 }),
  integer: true,
  defaultThreshold: 2,
};
