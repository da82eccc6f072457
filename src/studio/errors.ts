/** @file What the studio refuses, with the status of HTTP that says so. */
import { CuttleError } from '../ir/index.js';

/** A request that is answered with a refusal. Exit code 2. */
export class RefusedError extends CuttleError {
  readonly status: number;

  constructor(status: number, code: string, message: string, hint?: string) {
    super('usage', `studio/${code}`, message, hint === undefined ? {} : { hint });
    this.status = status;
  }
}
