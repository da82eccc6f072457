/** @file What is odd or broken in an app, as data: the reading goes on. */
import { shown } from './errors.js';

/**
 * Every kind of problem. `odd`: readers may disagree about the file, or it hides something; what was read is whole.
 * `damaged`: something could not be read.
 */
export const problemKinds = {
  'archive/trailing-bytes': 'odd',
  'archive/second-end': 'odd',
  'archive/shifted': 'odd',
  'archive/entry-count': 'odd',
  'archive/duplicate-name': 'odd',
  'archive/unsafe-name': 'odd',
  'archive/overlap': 'odd',
  'archive/header-mismatch': 'odd',
  'archive/unlisted-entry': 'odd',
  'archive/false-encryption': 'odd',
  'archive/false-method': 'odd',
  'archive/link': 'odd',
  'archive/too-deep': 'damaged',
  'archive/no-directory': 'damaged',
  'archive/broken-entry': 'damaged',
  'archive/encrypted': 'damaged',
  'archive/method': 'damaged',
  'archive/limit': 'damaged',
  'archive/broken': 'damaged',
  'app/broken-file': 'damaged',
  'app/odd-file': 'odd',
  'app/no-manifest': 'damaged',
  'app/unsupported-file': 'odd',
  'models/broken-file': 'damaged',
} as const satisfies Readonly<Record<string, 'odd' | 'damaged'>>;

export type ProblemCode = keyof typeof problemKinds;

/** One problem, and the file it is about (`outer.apk!/inner` for files in archives). */
export interface Problem {
  readonly code: ProblemCode;
  readonly path: string;
  readonly message: string;
}

/** A problem whose texts are safe to print. */
export function problem(code: ProblemCode, path: string, message: string): Problem {
  return { code, path: shown(path, 400), message: shown(message, 400) };
}

/** Problems that are kept per app; a hostile archive could make millions. */
export const MAX_PROBLEMS = 1000;
