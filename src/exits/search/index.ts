/** @file Search for the best design under a budget. */
export * from './problem.js';
export { anneal, type AnnealSettings } from './anneal.js';
export { designCount, EXHAUSTIVE_LIMIT, searchExhaustively } from './exhaustive.js';
export { keepsGap, neighbour, randomPoint } from './moves.js';
export { tunePerExit } from './per-exit.js';
export { searchRandomly } from './random.js';
export { refine, refineThresholds } from './refine.js';
export * from './search.js';
