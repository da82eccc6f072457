/** @file What can be wrong with a data set, its description or its files. */
import { CuttleError, type ErrorKind } from '../ir/index.js';

/** A sample that could not be used: which file, and why. */
export interface BadFile {
  readonly name: string;
  readonly reason: string;
}

/** Image data that is missing, broken or does not fit. Usually of kind 'invalid' (exit code 3). */
export class DataError extends CuttleError {
  /** The files concerned, where it is about files. */
  readonly bad: readonly BadFile[];

  constructor(
    code: string,
    message: string,
    options: { kind?: ErrorKind; hint?: string; cause?: unknown; bad?: readonly BadFile[] } = {},
  ) {
    const { kind = 'invalid', hint = kind === 'invalid' ? 'Check the file, or give another one.' : undefined } =
      options;
    super(kind, `data/${code}`, message, { ...options, hint });
    this.bad = options.bad ?? [];
  }
}

/** How many bad files a message lists by name. */
const LISTED = 5;

/** `3 files cannot be used: a.jpg (truncated), …` for messages and reports; every file counted, the first few named. */
export function describeBadFiles(bad: readonly BadFile[]): string {
  const listed = bad.slice(0, LISTED).map(({ name, reason }) => `${name} (${reason})`);
  const more = bad.length > LISTED ? `, and ${bad.length - LISTED} more` : '';
  return `${bad.length} ${bad.length === 1 ? 'file' : 'files'} cannot be used: ${listed.join(', ')}${more}`;
}
