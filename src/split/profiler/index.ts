/** @file The profiler: tables measured offline, conditions followed online. */
export { measurePacked, type LabelledFeeds, type MeasuredCut, type MeasurePackedOptions } from './measure-packed.js';
export { cutTimes } from './cut-times.js';
export { measureSplit, SPLIT_BITS, SPLIT_THRESHOLDS, type MeasureSplitOptions } from './measure-split.js';
export type { LabelledInputs } from './measure-cut.js';
export { splitOutcome, type OutcomeQuestion } from './outcomes.js';
export { sideTimes } from './side-times.js';
export * from './split-profile.js';
export { outcomeAt, packedAt, pathCosts, splitTables, type PathCost, type SplitTablesOptions } from './split-tables.js';
export {
  LinkEstimate,
  LoadEstimate,
  OnlineProfile,
  ProbeSchedule,
  REAL_TIME_MS,
  serverMsBySubtraction,
  type LinkOptions,
  type Observation,
  type ProbeOptions,
} from './online.js';
export { SPINN_EXITS, spreadExits } from './spread-exits.js';
