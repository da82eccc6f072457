/** @file `cuttle/passes`: graph → graph transformations. */
export * from './autodiff.js';
export * from './dead-nodes.js';
export * from './extract.js';
export * from './fold-batch-norm.js';
export * from './freeze.js';
export * from './infer-shapes.js';
