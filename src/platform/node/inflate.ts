/** @file Raw deflate and gzip by the native zlib, CRC-32, and streams kept in temporary files. */
import { type Transform } from 'node:stream';
import { createGunzip, createInflateRaw, crc32 as nativeCrc32, inflateRawSync } from 'node:zlib';
import { joinPath, makeTemporaryFolder, openFile, removeFolder, writeFileAtomic } from './files.js';

/** Unpacks raw deflate data. Throws where it is broken, ends early or gives more than `maxBytes`. */
export function inflateRaw(bytes: Uint8Array, maxBytes: number): Uint8Array {
  // zlib refuses a limit of nothing.
  return plain(inflateRawSync(bytes, { maxOutputLength: Math.max(1, maxBytes) }));
}

/** The same bytes as an ordinary array: a Buffer's `slice` would be a view rather than a copy. */
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Unpacks raw deflate data as it comes; bytes after its end are ignored. */
export function inflateRawStream(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return through(chunks, createInflateRaw({ chunkSize: 1 << 17 }));
}

/** Unpacks gzip, one member or several. */
export function gunzipChunks(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return through(chunks, createGunzip({ chunkSize: 1 << 17 }));
}

/** CRC-32 of bytes, continuing from `seed`. */
export function crc32(bytes: Uint8Array, seed: number): number {
  return nativeCrc32(bytes, seed);
}

/** Feeds a transform no faster than its output is taken; stops feeding once it has ended. */
async function* through(chunks: AsyncIterable<Uint8Array>, transform: Transform): AsyncGenerator<Uint8Array> {
  const feed = async (): Promise<void> => {
    try {
      for await (const chunk of chunks) {
        if (transform.destroyed || transform.readableEnded) return;
        if (!transform.write(chunk)) await drained(transform);
      }
      transform.end();
    } catch (cause) {
      transform.destroy(cause instanceof Error ? cause : new Error(String(cause)));
    }
  };
  const fed = feed();
  try {
    for await (const chunk of transform as AsyncIterable<Uint8Array>) yield plain(chunk);
  } finally {
    transform.destroy();
    await fed;
  }
}

async function drained(transform: Transform): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'end', 'error']) transform.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'close', 'end', 'error']) transform.on(event, done);
  });
}

/** A temporary file with ranged reads, removed when it is disposed. */
export interface TemporaryFile extends AsyncDisposable {
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Writes a stream to a temporary file, of a name of its own. */
export async function keepInFile(chunks: AsyncIterable<Uint8Array>): Promise<TemporaryFile> {
  const folder = await makeTemporaryFolder('cuttle-audit-');
  try {
    const path = joinPath(folder, 'content');
    await writeFileAtomic(path, chunks);
    const file = await openFile(path);
    return {
      size: file.size,
      read: (offset, length) => file.read(offset, length),
      async [Symbol.asyncDispose]() {
        await file.close();
        await removeFolder(folder);
      },
    };
  } catch (cause) {
    await removeFolder(folder);
    throw cause;
  }
}
