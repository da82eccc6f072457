/** @file The scheduler: which cut, exit rule and bit-width to use now. */
export { SchedulerError } from './errors.js';
export { NO_EXITS, ruleText, sameRule, type ExitRule } from './rule.js';
export { checkTables, type SplitTables, type TailTables } from './tables.js';
export type { Conditions, Metric } from './metrics.js';
export { Scheduler, type Constraint, type Decision, type Goals, type Target } from './schedule.js';
export { ChangeDetector, type ChangeOptions } from './change.js';
