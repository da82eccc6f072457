/** @file `cuttle/ops`: what is known of each operator. */
export * from './errors.js';
export * from './record.js';
export * from './registry.js';
export { gradientNotes } from './gradients/notes.js';
export { tripCount } from './shapes/control-flow.js';
export { coverageMarkdown, operatorCoverage, type OpCoverage } from './coverage.js';
