/** @file Files and folders: whole and ranged reads, atomic writes that overwrite only when told to, temporary folders. */
import { constants } from 'node:fs';
import {
  access,
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  type FileHandle,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { CuttleError } from '../../ir/error.js';

export { basename, dirname, extname, join as joinPath, resolve as resolvePath };

/** A file or folder could not be read or written. `kind` is 'invalid' for an input that is missing, else 'failed'. */
export class FileError extends CuttleError {
  readonly path: string;

  constructor(
    kind: 'invalid' | 'failed',
    code: string,
    path: string,
    message: string,
    options: { hint?: string; cause?: unknown } = {},
  ) {
    super(kind, code, message, options);
    this.path = path;
  }
}

/** A write would replace a file that the user has not agreed to lose. Exit code 2. */
export class FileExistsError extends CuttleError {
  readonly path: string;

  constructor(path: string) {
    super('usage', 'platform/file-exists', `'${path}' already exists`, {
      hint: 'Choose another path, or overwrite it with --force.',
    });
    this.path = path;
  }
}

/** What a path points to. */
export interface FileInfo {
  readonly kind: 'file' | 'folder' | 'other';
  readonly size: number;
  readonly modifiedMs: number;
}

/** Kind, size and time of a path, or `undefined` where there is nothing. */
export async function fileInfo(path: string): Promise<FileInfo | undefined> {
  try {
    const found = await stat(path);
    return {
      kind: found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other',
      size: found.size,
      modifiedMs: found.mtimeMs,
    };
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw readError(path, cause);
  }
}

/** True where the path exists, whatever it is. */
export async function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}

/** The whole file, in memory of its own (never Node's shared pool). Throws FileError. */
export async function readBytes(path: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const buffer = await readFile(path, { signal });
    // Small reads come from a pooled ArrayBuffer with an arbitrary offset, which would force copies for alignment later.
    return buffer.byteOffset === 0 && buffer.byteLength === buffer.buffer.byteLength
      ? new Uint8Array(buffer.buffer)
      : new Uint8Array(buffer);
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw readError(path, cause);
  }
}

/** The whole file as UTF-8 text. Throws FileError. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

/** A file as parsed JSON, unchecked. Throws FileError of kind 'invalid' where it is no JSON. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new FileError('invalid', 'platform/no-json', path, `'${path}' is not JSON: ${messageOf(cause)}`, {
      hint: 'Repair the file, or make it again.',
      cause,
    });
  }
}

/** `length` bytes from `offset`. Throws FileError where the file is shorter. */
export async function readRange(path: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const file = await openFile(path);
  try {
    return await file.read(offset, length);
  } finally {
    await file.close();
  }
}

/** A file held open for many ranged reads. */
export interface OpenFile extends AsyncDisposable {
  readonly path: string;
  readonly size: number;
  /** `length` bytes from `offset`; throws FileError where the file is shorter. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** Opens a file for ranged reads. Throws FileError. */
export async function openFile(path: string): Promise<OpenFile> {
  let handle: FileHandle;
  let size: number;
  try {
    handle = await open(path, 'r');
    size = (await handle.stat()).size;
  } catch (cause) {
    throw readError(path, cause);
  }
  const close = async (): Promise<void> => handle.close();
  return {
    path,
    size,
    close,
    [Symbol.asyncDispose]: close,
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > size)
        throw new FileError(
          'invalid',
          'platform/short-file',
          path,
          `'${path}' has ${size} bytes; bytes ${offset} to ${offset + length} are wanted`,
        );
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0)
          throw new FileError('invalid', 'platform/short-file', path, `'${path}' became shorter while it was read`);
        done += bytesRead;
      }
      return bytes;
    },
  };
}

export interface WriteOptions {
  /** Replace a file that already exists; otherwise FileExistsError. */
  readonly force?: boolean;
}

/**
 * Writes a file so that it appears complete or not at all: a temporary file beside it, then a rename (or a hard link,
 * which refuses to replace, without `force`). Chunks may be generated. Makes missing parent folders.
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: WriteOptions = {},
): Promise<void> {
  const { force = false } = options;
  if (!force && (await exists(path))) throw new FileExistsError(path);
  const temporary = join(dirname(path), `.${basename(path)}.${uniqueSuffix()}.tmp`);
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(temporary, 'wx');
    try {
      for await (const chunk of chunksOf(data)) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (force) await rename(temporary, path);
    else await place(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    if (cause instanceof CuttleError) throw cause;
    if (errorCode(cause) === undefined) throw cause;
    throw new FileError('failed', 'platform/write', path, `'${path}' cannot be written: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** Writes a value as indented JSON with a final newline, atomically. */
export async function writeJson(path: string, value: unknown, options: WriteOptions = {}): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`, options);
}

/** Makes a folder and its parents; one that is there already is fine. Throws FileError. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    throw new FileError('failed', 'platform/write', path, `folder '${path}' cannot be made: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** One entry of a folder. */
export interface FolderEntry {
  readonly name: string;
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'other';
}

/** A folder's entries, sorted by name (byte order, the same on every machine). Symbolic links are followed. */
export async function listFolder(path: string): Promise<readonly FolderEntry[]> {
  try {
    const found = await readdir(path, { withFileTypes: true });
    const entries = await Promise.all(
      found.map(async (entry): Promise<FolderEntry> => {
        const full = join(path, entry.name);
        if (entry.isSymbolicLink())
          return { name: entry.name, path: full, kind: (await fileInfo(full))?.kind ?? 'other' };
        return {
          name: entry.name,
          path: full,
          kind: entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : 'other',
        };
      }),
    );
    return entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  } catch (cause) {
    if (cause instanceof CuttleError) throw cause;
    throw readError(path, cause);
  }
}

/** A fresh folder under the system's temporary one; the caller removes it (`removeFolder`). */
export async function makeTemporaryFolder(prefix = 'cuttle-'): Promise<string> {
  return mkdtemp(join(tmpdir(), prefix));
}

/** Runs `body` with a temporary folder that is removed afterwards, whatever happens. */
export async function withTemporaryFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await makeTemporaryFolder();
  try {
    return await body(folder);
  } finally {
    await removeFolder(folder);
  }
}

/** Gives a file another name, over a file that has it. Throws FileError. */
export async function renameFile(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (cause) {
    throw new FileError('failed', 'platform/write', to, `'${to}' cannot be written: ${messageOf(cause)}`, { cause });
  }
}

/** Removes a file; nothing there is fine. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** Removes what writes that were killed left in a folder. Only for a folder into which nobody is writing. */
export async function removeTemporaries(folder: string): Promise<void> {
  for (const { name, path, kind } of await listFolder(folder))
    if (kind === 'file' && TEMPORARY.test(name)) await removeFile(path);
}

/** Removes a folder and all it holds; nothing there is fine. */
export async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

/** Gives the temporary file its name without ever replacing another file, even one that appeared meanwhile. */
async function place(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (cause) {
    if (errorCode(cause) === 'EEXIST') throw new FileExistsError(path);
    // Some file systems have no hard links: a rename after a last look is the best they offer.
    if (await exists(path)) throw new FileExistsError(path);
    await rename(temporary, path);
    return;
  }
  await rm(temporary, { force: true });
}

function chunksOf(
  data: Uint8Array | string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof data === 'string') return [new TextEncoder().encode(data)];
  return data instanceof Uint8Array ? [data] : data;
}

let counter = 0;
/** Names of the temporary files of `writeFileAtomic`. */
const TEMPORARY = /^\..+\.\d+-[0-9a-z]+-\d+\.tmp$/;

const uniqueSuffix = (): string => `${process.pid}-${Date.now().toString(36)}-${counter++}`;

function readError(path: string, cause: unknown): FileError {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'does not exist',
    ENOTDIR: 'does not exist',
    EISDIR: 'is a folder',
    EACCES: 'may not be read',
    EPERM: 'may not be read',
  };
  const code = errorCode(cause);
  const reason = (code === undefined ? undefined : reasons[code]) ?? `cannot be read: ${messageOf(cause)}`;
  return new FileError(
    code === undefined || !(code in reasons) ? 'failed' : 'invalid',
    'platform/read',
    path,
    `'${path}' ${reason}`,
    { hint: 'Give the path of a file that can be read.', cause },
  );
}

const errorCode = (cause: unknown): string | undefined =>
  typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string'
    ? cause.code
    : undefined;
const isMissing = (cause: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(errorCode(cause) ?? '');
const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
