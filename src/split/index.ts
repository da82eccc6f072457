/** @file `cuttle/split`: device and cloud together — cuts, packing, profiles, the scheduler. Runs in Node and browsers. */
export * from './cuts.js';
export { openSplitNetwork, SplitNetworkError, type SplitExit, type SplitNetwork } from './network.js';
export { SegmentsReleasedError, SegmentSessions, type SegmentSessionsOptions } from './segment-sessions.js';
export * from './segment-walk.js';
export * from './oip/index.js';
export * from './packing/index.js';
export * from './client/index.js';
export * from './link/index.js';
export * from './profiler/index.js';
export * from './scheduler/index.js';
export * from './simulate/index.js';
export { cheapCuts, exportTails, NotATensorError, type RepositoryModel, type TailsOptions } from './tails.js';
