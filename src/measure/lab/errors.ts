/** @file The lab's own errors. */
import { CuttleError, type ErrorKind } from '../../ir/index.js';

/** Something that the lab refuses or cannot do; `code` begins with `lab/`. */
export class LabError extends CuttleError {
  constructor(
    kind: ErrorKind,
    code: `lab/${string}`,
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(kind, code, message, options);
  }
}
