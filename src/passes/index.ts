/** @file `cuttle/passes`: graph → graph transformations. */
export * from './autodiff.js';
export * from './infer-shapes.js';
