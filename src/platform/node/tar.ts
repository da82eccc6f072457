/** @file Streaming tar archives, plain or gzipped, with limits on what a hostile one may ask for. */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { CuttleError } from '../../ir/error.js';
import { openFile } from './files.js';
import { isGzip } from './gzip.js';

/** The archive is broken, truncated, or beyond a limit. Exit code 3. */
export class TarError extends CuttleError {
  readonly path: string;

  constructor(path: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('invalid', 'platform/tar', `'${path}': ${message}`, {
      hint: 'Make or download the archive again.',
      ...options,
    });
    this.path = path;
  }
}

export interface TarLimits {
  readonly maxEntries: number;
  readonly maxEntryBytes: number;
  readonly maxTotalBytes: number;
  /** How many times larger than the file its unpacked stream may be, beyond the first 64 MiB (CWE-409). */
  readonly maxRatio: number;
}

export const defaultTarLimits: TarLimits = {
  maxEntries: 4_000_000,
  maxEntryBytes: 256 * 2 ** 20,
  maxTotalBytes: 512 * 2 ** 30,
  maxRatio: 200,
};

const RATIO_FREE_BYTES = 64 * 2 ** 20;

export interface TarEntry {
  /** As stored, with `/` between folders. Nothing is ever written to this path. */
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly size: number;
  /** The contents; only once, and only before the next entry is asked for. */
  bytes(): Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Entries of a tar file one after another; contents that nobody asks for are skipped. Gzip is recognised by its first
 * bytes. Throws TarError where the archive is broken, ends early or exceeds a limit.
 */
export async function* readTar(
  path: string,
  options: { readonly limits?: Partial<TarLimits>; readonly signal?: AbortSignal } = {},
): AsyncGenerator<TarEntry, void, undefined> {
  const limits = { ...defaultTarLimits, ...options.limits };
  const { size: fileSize, gzipped } = await look(path);
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  const unpacked = gzipped ? file.pipe(createGunzip({ chunkSize: 1 << 18 })) : file;
  const archive = extract();
  // An archive that stops in the middle never emits 'finish'; the trailer check below finds it, and errors travel on.
  file.on('error', (cause: Error) => archive.destroy(cause));
  if (unpacked !== file) unpacked.on('error', (cause: Error) => archive.destroy(cause));
  let streamed = 0;
  unpacked.on('data', (chunk: Uint8Array) => {
    streamed += chunk.length;
    if (gzipped && streamed > RATIO_FREE_BYTES && streamed > fileSize * limits.maxRatio)
      archive.destroy(new TarError(path, `it unpacks to more than ${limits.maxRatio} times its size`));
  });
  unpacked.pipe(archive);
  const abort = (): void => {
    archive.destroy(options.signal?.reason instanceof Error ? options.signal.reason : new Error('aborted'));
  };
  options.signal?.addEventListener('abort', abort, { once: true });
  let entries = 0;
  let total = 0;
  try {
    options.signal?.throwIfAborted();
    for await (const entry of archive) {
      const { name, size = 0, type } = entry.header;
      if (++entries > limits.maxEntries) throw new TarError(path, `it has more than ${limits.maxEntries} entries`);
      if (size > limits.maxEntryBytes)
        throw new TarError(path, `entry '${name}' has ${size} bytes, above the limit of ${limits.maxEntryBytes}`);
      total += size;
      if (total > limits.maxTotalBytes) throw new TarError(path, `it holds more than ${limits.maxTotalBytes} bytes`);
      let taken = false;
      yield {
        name,
        kind: kindOf(type),
        size,
        async bytes() {
          taken = true;
          const bytes = new Uint8Array(size);
          let at = 0;
          for await (const chunk of entry as AsyncIterable<Uint8Array>) {
            bytes.set(chunk, at);
            at += chunk.length;
          }
          return bytes;
        },
      };
      if (!taken) entry.resume();
    }
    if (entries === 0) throw new TarError(path, 'it is no tar archive, or an empty one');
  } catch (cause) {
    if (options.signal?.aborted) throw options.signal.reason;
    if (cause instanceof CuttleError) throw cause;
    throw new TarError(path, `the archive is broken: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  } finally {
    options.signal?.removeEventListener('abort', abort);
    archive.destroy();
    unpacked.destroy();
    file.destroy();
  }
}

function kindOf(type: Header['type']): TarEntry['kind'] {
  if (type === 'file' || type === 'contiguous-file') return 'file';
  if (type === 'directory') return 'folder';
  return type === 'symlink' || type === 'link' ? 'link' : 'other';
}

async function look(path: string): Promise<{ readonly size: number; readonly gzipped: boolean }> {
  await using file = await openFile(path);
  return { size: file.size, gzipped: file.size >= 2 && isGzip(await file.read(0, 2)) };
}
