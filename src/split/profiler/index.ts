/** @file The profiler: tables measured offline, conditions followed online. */
export { measurePacked, type LabelledFeeds, type MeasuredCut, type MeasurePackedOptions } from './measure-packed.js';
export { cutTimes } from './cut-times.js';
export { tablesWithoutExits, type PlainMeasurements } from './plain-tables.js';
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
