/** @file `cuttle/passes`: graph → graph transformations. */
export * from './autodiff.js';
export * from './bind-dims.js';
export * from './cost.js';
export * from './dead-nodes.js';
export * from './extract.js';
export * from './fold-batch-norm.js';
export * from './freeze.js';
export * from './infer-shapes.js';
export * from './peak-memory.js';
