/** @file Arithmetic cost of each operator, as one table. */
import type { CostRule } from './record.js';

export const costRules: Readonly<Record<string, CostRule>> = {};
