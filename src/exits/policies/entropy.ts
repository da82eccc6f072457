/** @file Entropy: leave when the softmax distribution is peaked enough. */
import type { ExitPolicy } from './policy.js';

/** BranchyNet leaves where −Σ p ln p < threshold, in nats, not normalised by the number of classes. */
export const entropy: ExitPolicy = {
  kind: 'entropy',
  title: 'entropy (nats)',
  source: 'BranchyNet (2016)',
  evidence: 'entropy',
  leaves: 'below',
  range: (classes) => ({ min: 0, max: Math.log(classes) }),
  integer: false,
  defaultThreshold: 0.5,
};
