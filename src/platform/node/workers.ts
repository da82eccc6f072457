/** @file Where worker threads' scripts lie, and what goes wrong with them. */
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CuttleError, type ErrorKind } from '../../ir/error.js';

/** A worker could not start, died, or threw. Carries the kind, code and hint of a Cuttle error thrown inside it. */
export class WorkerError extends CuttleError {
  constructor(kind: ErrorKind, code: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(kind, code, message, options);
  }
}

/**
 * The URL of a worker's script beside the calling module. Run from TypeScript sources (tests), it points to the compiled
 * file in `dist/`, since worker threads start plain JavaScript only. Throws WorkerError where that file is not built.
 * @param base the caller's `import.meta.url`
 * @param script relative path of the compiled script: './decode-worker.js'
 */
export function workerUrl(base: string, script: string): URL {
  const url = new URL(script, base);
  if (!base.endsWith('.ts')) return url;
  const path = fileURLToPath(url).replace(/([\\/])src([\\/])(?!.*[\\/]src[\\/])/, '$1dist$2');
  if (!existsSync(path))
    throw new WorkerError('failed', 'platform/worker-missing', `the compiled worker '${path}' is missing`, {
      hint: 'Build it with: npx tsc -p .',
    });
  return pathToFileURL(path);
}
