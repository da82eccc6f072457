/** @file `cuttle/ir`: the graph, its types and its builder. Pure TypeScript. */
export * from './attribute.js';
export * from './builder.js';
export * from './constant.js';
export * from './dim.js';
export * from './dtype.js';
export * from './error.js';
export * from './graph.js';
export * from './patch.js';
export * from './tensor.js';
export * from './topology.js';
export * from './type.js';
