/** @file `cuttle/zoo`: architectures built with the graph builder. Pure TypeScript. */
export { ARCHITECTURE_KEY, type ArchitectureOptions } from './layers.js';
export * from './registry.js';
