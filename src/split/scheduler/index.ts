/** @file The scheduler: which cut, threshold and bit-width to use now. */
export { SchedulerError } from './errors.js';
export { checkTables, type SplitTables } from './tables.js';
export { metricOf, type Conditions, type Metric } from './metrics.js';
export { Scheduler, type Constraint, type Decision, type Goals, type Target } from './schedule.js';
export { ChangeDetector, type ChangeOptions } from './change.js';
