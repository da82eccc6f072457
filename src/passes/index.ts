/** @file `cuttle/passes`: graph → graph transformations. */
export * from './autodiff.js';
export * from './batch-statistics.js';
export * from './bind-dims.js';
export * from './cost.js';
export * from './dead-nodes.js';
export * from './extract.js';
export * from './fold-batch-norm.js';
export * from './fold-constants.js';
export * from './formulations.js';
export * from './freeze.js';
export * from './infer-shapes.js';
export * from './inline-functions.js';
export * from './peak-memory.js';
export { OpsetUpgradeError } from './upgrade-opset-context.js';
export * from './upgrade-opset.js';
