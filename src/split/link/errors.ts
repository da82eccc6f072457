/** @file The error for links that cannot be. */
import { CuttleError } from '../../ir/index.js';

/** A rate, a trace or another property of an emulated link that makes no sense. Exit code 3. */
export class LinkError extends CuttleError {
  constructor(message: string, hint?: string) {
    super('invalid', 'split/link', message, hint === undefined ? {} : { hint });
  }
}
