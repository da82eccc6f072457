/** @file Where a user's cache lies, and where files of installed dependencies are. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

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

/** The path that a file's URL stands for. */
export function pathOfUrl(url: URL): string {
  return fileURLToPath(url);
}

/** The folder of an installed dependency, whatever its exports hide; `undefined` where it is missing. */
export function packageFolder(name: string): string | undefined {
  const paths = createRequire(import.meta.url).resolve.paths(name) ?? [];
  return paths.map((folder) => join(folder, name)).find((folder) => existsSync(join(folder, 'package.json')));
}

/** A compiled file of this package by its path below dist/, also where the sources run directly. */
export function ownFile(path: string): string {
  return fileURLToPath(new URL(`../../../dist/${path}`, import.meta.url));
}
