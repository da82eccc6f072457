/** @file `cuttle/train`: losses, optimisers, schedules, the step graph, the loop, checkpoints. Runs in Node and browsers. */
export * from './checkpoint.js';
export * from './errors.js';
export * from './execution-profile.js';
export * from './export.js';
export * from './losses.js';
export * from './optimizers.js';
export * from './parameters.js';
export * from './schedules.js';
export * from './step-graph.js';
export * from './trainer.js';
export type { DropoutMask } from './training-form.js';
export * from './evaluate.js';
export * from './evaluate-text.js';
export * from './fit.js';
export * from './sample-text.js';
export * from './train-model.js';
export * from './train-text.js';
export * from './tune.js';
