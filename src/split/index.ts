/** @file `cuttle/split`: device and cloud together — cuts, packing, profiles, the scheduler. Runs in Node and browsers. */
export * from './cuts.js';
export * from './packing/index.js';
export * from './profiler/index.js';
export * from './scheduler/index.js';
