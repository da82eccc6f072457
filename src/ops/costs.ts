/** @file Arithmetic cost of each operator, joined from its families. If, Loop and Scan are the cost pass's own business. */
import { elementwiseCosts } from './costs/elementwise.js';
import { movementCosts } from './costs/movement.js';
import { productCosts } from './costs/products.js';
import { summaryCosts } from './costs/summaries.js';
import type { CostRule } from './record.js';

export const costRules: Readonly<Record<string, CostRule>> = {
  ...elementwiseCosts,
  ...movementCosts,
  ...productCosts,
  ...summaryCosts,
};
