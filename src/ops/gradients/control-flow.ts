/** @file Gradients of operators with sub-graphs. */
import type { VjpRule } from '../record.js';
import { ifGradient } from './control-flow-branches.js';
import { iterationGradients } from './control-flow-iteration.js';

export const controlFlowGradients: Readonly<Record<string, VjpRule>> = { If: ifGradient, ...iterationGradients };
