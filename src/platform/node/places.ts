/** @file Where a user's cache lies, and where files of installed dependencies are. */
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import process from 'node:process';

/** `$XDG_CACHE_HOME/cuttle`, else `~/.cache/cuttle` (XDG Base Directory Specification 0.8; relative values are ignored). */
export function cacheFolder(): string {
  const home = process.env['XDG_CACHE_HOME'];
  return join(home !== undefined && isAbsolute(home) ? home : join(homedir(), '.cache'), 'cuttle');
}

/** The path of a file inside an installed dependency, e.g. `mnist/src/digits/0.json`; `undefined` where it is missing. */
export function dependencyFile(specifier: string): string | undefined {
  try {
    return createRequire(import.meta.url).resolve(specifier);
  } catch {
    return undefined;
  }
}
