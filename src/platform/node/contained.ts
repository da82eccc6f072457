/** @file Paths that must not leave a folder, whatever links stand in it: what may be read and written on behalf of others. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { CuttleError } from '../../ir/error.js';
import { FileError } from './files.js';

/** A path that leads out of the folder it must stay in, or names something hidden. Exit code 2. */
export class PathOutsideError extends CuttleError {
  constructor(relative: string) {
    super('usage', 'platform/path-outside', `'${relative.slice(0, 200)}' is not inside the folder that is open`, {
      hint: 'Give a path relative to that folder; links that lead out of it are not followed.',
    });
  }
}

/** The real path of a folder. Throws FileError where there is none. */
export async function realFolder(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    throw missing(path, cause);
  }
}

/**
 * The real path of `relative`, which must exist and lie inside `root` (itself a real path) after all links are followed.
 * `''` is the folder itself. Throws PathOutsideError for absolute paths, `..`, hidden names and links that lead out, and
 * FileError where there is nothing.
 */
export async function containedPath(root: string, relative: string): Promise<string> {
  const joined = join(root, ...segmentsOf(relative));
  let real: string;
  try {
    real = await realpath(joined);
  } catch (cause) {
    throw missing(relative, cause);
  }
  if (real !== root && !real.startsWith(root.endsWith(sep) ? root : root + sep)) throw new PathOutsideError(relative);
  return real;
}

/** Where a new file may be written: its folder must exist inside `root`. Throws as `containedPath` does. */
export async function containedTarget(root: string, relative: string): Promise<string> {
  const segments = segmentsOf(relative);
  if (segments.length === 0) throw new PathOutsideError(relative);
  return join(await containedPath(root, dirname(segments.join('/')).replace(/^\.$/, '')), basename(segments.join('/')));
}

function segmentsOf(relative: string): readonly string[] {
  // A drive, a root, a backslash that some system takes for a separator, a NUL that cuts the name short.
  if (/^([a-z]:|[\\/])|[\\\u0000-\u001f]/i.test(relative)) throw new PathOutsideError(relative);
  const segments = relative.split('/').filter((segment) => segment !== '');
  if (segments.some((segment) => segment.startsWith('.'))) throw new PathOutsideError(relative);
  return segments;
}

function missing(path: string, cause: unknown): FileError {
  return new FileError('invalid', 'platform/read', path, `'${path}' does not exist`, {
    hint: 'Look at what the folder holds now; it may have been moved.',
    cause,
  });
}
