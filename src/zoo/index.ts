/** @file `cuttle/zoo`: architectures built with the graph builder. Pure TypeScript. */
export { ARCHITECTURE_KEY, type ArchitectureOptions } from './layers.js';
export * from './registry.js';
export type { RecurrentCell, SequenceArchitectureOptions, TextArchitectureOptions } from './recurrent.js';
export * from './text-registry.js';
export * from './transformer.js';
