/** @file The scheduler: which cut, threshold and bit-width to use now. */
export { SchedulerError } from './errors.js';
export { checkTables, type SplitTables, type TailTables } from './tables.js';
export type { Conditions, Metric } from './metrics.js';
export { Scheduler, type Constraint, type Decision, type Goals, type Target } from './schedule.js';
export { ChangeDetector, type ChangeOptions } from './change.js';
