/** @file The error for goals and tables that the scheduler cannot work with. */
import { CuttleError } from '../../ir/index.js';

/** Tables whose sizes do not fit each other, or goals that make no sense. Exit code 2. */
export class SchedulerError extends CuttleError {
  constructor(message: string, hint?: string) {
    super('usage', 'split/scheduler', message, hint === undefined ? {} : { hint });
  }
}
