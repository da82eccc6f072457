/** @file gzip and its inverse, with a limit on what a small file may grow to. */
import { promisify } from 'node:util';
import { createGunzip, gunzip as gunzipCallback, gzip as gzipCallback, type InputType } from 'node:zlib';
import { CuttleError } from '../../ir/error.js';

const gzipAsync = promisify<InputType, Buffer>(gzipCallback);
const gunzipAsync = promisify<InputType, { maxOutputLength: number }, Buffer>(gunzipCallback);

/** Compressed data is broken, or larger than its limit when unpacked. Exit code 3. */
export class GzipError extends CuttleError {
  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('invalid', 'platform/gzip', message, { hint: 'Compress or download the file again.', ...options });
  }
}

/** True where the bytes begin like a gzip stream (RFC 1952). */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Compresses bytes. */
export async function gzip(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await gzipAsync(bytes));
}

/** Unpacks bytes up to `maxBytes` (4 GiB − 1 where omitted). Throws GzipError where they are broken or larger. */
export async function gunzip(bytes: Uint8Array, maxBytes = 2 ** 32 - 1): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await gunzipAsync(bytes, { maxOutputLength: maxBytes }));
  } catch (cause) {
    throw gzipError(cause, maxBytes);
  }
}

/** Unpacks a stream of chunks; stops with GzipError where it is broken or larger than `maxBytes` when unpacked. */
export async function* gunzipStream(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes = Infinity,
): AsyncGenerator<Uint8Array> {
  const { Readable } = await import('node:stream');
  const source = Readable.from(chunks);
  const unpacked = source.pipe(createGunzip());
  source.on('error', (cause) => unpacked.destroy(cause));
  let total = 0;
  try {
    for await (const chunk of unpacked as AsyncIterable<Uint8Array>) {
      total += chunk.byteLength;
      if (total > maxBytes) throw gzipError({ code: 'ERR_BUFFER_TOO_LARGE' }, maxBytes);
      yield chunk;
    }
  } catch (cause) {
    throw isZlibError(cause) ? gzipError(cause, maxBytes) : cause;
  } finally {
    source.destroy();
    unpacked.destroy();
  }
}

const codeOf = (cause: unknown): string =>
  typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
const isZlibError = (cause: unknown): boolean => codeOf(cause).startsWith('Z_');

function gzipError(cause: unknown, maxBytes: number): GzipError {
  if (codeOf(cause) === 'ERR_BUFFER_TOO_LARGE')
    return new GzipError(`the gzip data grows beyond the limit of ${maxBytes} bytes`, { cause });
  return new GzipError(`the gzip data is broken: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
