/** @file A file that arrives in parts, over several attempts and processes; it gets its name when it is whole. */
import { open, readFile, rename, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FileError, makeFolder } from './files.js';
import { openSha256, type RunningHash } from './hash.js';

export interface PartFile extends AsyncDisposable {
  /** Bytes that are there. */
  readonly size: number;
  /** What identifies the version that they are of, as noted with `note`; `undefined` where nothing was. */
  readonly validator: string | undefined;
  append(chunk: Uint8Array): Promise<void>;
  note(validator: string | undefined): Promise<void>;
  /** Forgets what is there. */
  restart(): Promise<void>;
  /** SHA-256 of what is there, 64 hex digits. */
  sha256(): Promise<string>;
  /** Gives the file its name. */
  finish(): Promise<void>;
}

/** Opens `path`.part for what is still to come. Throws FileError where it cannot be written. */
export async function openPartFile(path: string): Promise<PartFile> {
  const part = `${path}.part`;
  const noteFile = `${path}.part-of`;
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      throw new FileError('failed', 'platform/write', part, `'${part}' cannot be written: ${String(cause)}`, { cause });
    }
  };
  await makeFolder(dirname(path));
  const handle: FileHandle = await guard(() => open(part, 'a+'));
  let size = (await handle.stat()).size;
  let validator = await readFile(noteFile, 'utf8').catch(() => undefined);
  let hash: RunningHash | undefined = size === 0 ? openSha256() : undefined;
  const close = (): Promise<void> => handle.close().catch(() => undefined);
  return {
    get size() {
      return size;
    },
    get validator() {
      return validator;
    },
    append: (chunk) =>
      guard(async () => {
        await handle.appendFile(chunk);
        hash?.update(chunk);
        size += chunk.length;
      }),
    note: (of) =>
      guard(async () => {
        validator = of;
        if (of === undefined) await rm(noteFile, { force: true });
        else await writeFile(noteFile, of);
      }),
    restart: () =>
      guard(async () => {
        await handle.truncate(0);
        await rm(noteFile, { force: true });
        [size, validator, hash] = [0, undefined, openSha256()];
      }),
    async sha256() {
      if (hash !== undefined) {
        const done = hash;
        hash = undefined;
        return done.hex();
      }
      const again = openSha256();
      const buffer = new Uint8Array(1 << 20);
      for (let at = 0; ;) {
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
        if (bytesRead === 0) return again.hex();
        again.update(buffer.subarray(0, bytesRead));
        at += bytesRead;
      }
    },
    finish: () =>
      guard(async () => {
        await handle.sync();
        await handle.close();
        await rename(part, path);
        await rm(noteFile, { force: true });
      }),
    [Symbol.asyncDispose]: close,
  };
}
