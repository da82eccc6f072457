/** @file Image files in a folder or a tar archive, read one after another with bounded memory. */
import { joinPath, readBytes } from '../platform/node/files.js';
import { sha256 } from '../platform/node/hash.js';
import { readTar } from '../platform/node/tar.js';
import { walkFolder } from '../platform/node/walk.js';
import { type BadFile } from './errors.js';

/** A file to decode. `load` may be called later for folders, but for tars only before the next file is asked for. */
export interface SourceFile {
  readonly entry: number;
  readonly name: string;
  load(): Promise<Uint8Array>;
}

export interface ImageSource {
  readonly path: string;
  /** Names of all files, in the order they are read in. */
  readonly names: readonly string[];
  /** Files already known to be unusable. */
  readonly bad: readonly BadFile[];
  /** Changes when any file's name, size or time changes. */
  readonly fingerprint: string;
  /** Contents must be loaded before the next file is asked for. */
  readonly sequential: boolean;
  /** The wanted files, ascending. */
  read(wanted: ReadonlySet<number>, signal?: AbortSignal): AsyncIterable<SourceFile>;
}

/** Files below a folder. */
export function folderSource(path: string): ImageSource {
  const { files, unreadable } = walkFolder(path);
  return {
    path,
    names: files.map(({ name }) => name),
    bad: unreadable,
    fingerprint: sha256(files.map(({ name, size, modifiedMs }) => `${name}\0${size}\0${modifiedMs}\n`).join('')),
    sequential: false,
    async *read(wanted, signal) {
      for (let entry = 0; entry < files.length; entry++) {
        if (!wanted.has(entry)) continue;
        const { name } = files[entry]!;
        yield { entry, name, load: () => readBytes(joinPath(path, name), signal) };
      }
    },
  };
}

/** Entries of a tar archive. Its names are listed by one pass; links and unsafe names count as bad. */
export async function tarSource(
  path: string,
  info: { readonly size: number; readonly modifiedMs: number },
  signal?: AbortSignal,
): Promise<ImageSource> {
  const names: string[] = [];
  const bad: BadFile[] = [];
  const entries: number[] = [];
  let at = -1;
  for await (const entry of readTar(path, { signal })) {
    at++;
    if (entry.kind === 'link') bad.push({ name: entry.name, reason: 'a link, not followed' });
    if (entry.kind !== 'file') continue;
    // macOS writes ._name companions; they carry image endings but hold no image.
    if (/(?:^|\/)\./.test(entry.name.replace(/^\.\//, '')) && !entry.name.includes('../')) continue;
    if (entry.name.startsWith('/') || entry.name.split('/').includes('..')) {
      bad.push({ name: entry.name, reason: 'an unsafe path' });
      continue;
    }
    names.push(entry.name);
    entries.push(at);
  }
  return {
    path,
    names,
    bad,
    fingerprint: `${info.size} ${info.modifiedMs}`,
    sequential: true,
    async *read(wanted, inner) {
      let position = -1;
      let next = 0;
      for await (const entry of readTar(path, { signal: inner })) {
        position++;
        if (entries[next] !== position) continue;
        const index = next++;
        if (wanted.has(index)) yield { entry: index, name: entry.name, load: () => entry.bytes() };
      }
    },
  };
}
