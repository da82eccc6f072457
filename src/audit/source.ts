/** @file Bytes that are read by ranges: in memory, in a file, or as a part of another source. */
import { AuditError } from './errors.js';

/** Random access to bytes. `read` gives exactly `length` bytes or throws. An open file of `platform/node` is one. */
export interface ByteSource {
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A source that holds something, memory or a temporary file, until it is disposed. */
export interface HeldSource extends ByteSource, AsyncDisposable {}

/** Bytes in memory; what is read is a view of them. */
export function bytesSource(bytes: Uint8Array): HeldSource {
  return {
    size: bytes.length,
    async read(offset, length) {
      checkRange(offset, length, bytes.length);
      return bytes.subarray(offset, offset + length);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** `length` bytes of `source` from `offset`, as a source. Throws AuditError where they reach beyond its end. */
export function partOf(source: ByteSource, offset: number, length: number): HeldSource {
  checkRange(offset, length, source.size);
  return {
    size: length,
    async read(at, count) {
      checkRange(at, count, length);
      return source.read(offset + at, count);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** The bytes of a source one chunk after another. */
export async function* chunksOf(source: ByteSource, chunkBytes = 1 << 18): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < source.size; at += chunkBytes)
    yield await source.read(at, Math.min(chunkBytes, source.size - at));
}

/** Keeps the last window that was read: many small reads in rising order cost few of the source's. */
export function windowed(source: ByteSource, windowBytes = 1 << 15): ByteSource {
  let start = 0;
  let held: Uint8Array = new Uint8Array(0);
  return {
    size: source.size,
    async read(offset, length) {
      checkRange(offset, length, source.size);
      if (offset < start || offset + length > start + held.length) {
        held = await source.read(offset, Math.min(Math.max(length, windowBytes), source.size - offset));
        start = offset;
      }
      return held.subarray(offset - start, offset - start + length);
    },
  };
}

function checkRange(offset: number, length: number, size: number): void {
  if (
    !Number.isSafeInteger(offset) ||
    !Number.isSafeInteger(length) ||
    offset < 0 ||
    length < 0 ||
    offset + length > size
  )
    throw new AuditError('short', `bytes ${offset} to ${offset + length} are wanted of ${size}`);
}
