/** @file What unpacking needs of its surroundings, and a host that works everywhere. `cuttle/audit/node` has a faster one with temporary files. */
import { Gunzip, Inflate, inflateSync } from 'fflate';
import { AuditError } from '../errors.js';
import { type HeldSource } from '../source.js';
import { crc32 } from './crc32.js';

export interface ArchiveHost {
  /** Unpacks whole raw deflate data (RFC 1951). Throws anything where it is broken or gives more than `maxBytes`. */
  inflate(bytes: Uint8Array, maxBytes: number): Uint8Array;
  /** Unpacks raw deflate data as it comes; bytes after its end are ignored. Throws anything where it is broken or ends early. */
  inflateStream(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** Unpacks gzip, one member or several after another. Throws anything where it is broken or ends early. */
  gunzipStream(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  crc32(bytes: Uint8Array, seed: number): number;
  /** Keeps a stream outside memory; absent where a host cannot. */
  readonly spill?: (chunks: AsyncIterable<Uint8Array>) => Promise<HeldSource>;
}

/** A chunk of input may grow by 1,032 times; so small ones bound what is in memory. */
const STEP = 8192;

/** Pure JavaScript, for browsers. */
export const portableHost: ArchiveHost = {
  crc32,
  inflate(bytes, maxBytes) {
    // One byte more than wanted shows data that goes on: the library drops what does not fit.
    const unpacked = inflateSync(bytes, { out: new Uint8Array(maxBytes + 1) });
    if (unpacked.length > maxBytes) throw new AuditError('inflate', `more than ${maxBytes} bytes come out`);
    return unpacked;
  },
  inflateStream: (chunks) => pushed(chunks, (give) => new Inflate(give)),
  gunzipStream: (chunks) => pushed(chunks, (give) => new Gunzip(give)),
};

interface Pushed {
  push(chunk: Uint8Array, final: boolean): void;
}

/** Feeds a library that is pushed to, and gives on what comes out of it, step by step. */
async function* pushed(
  chunks: AsyncIterable<Uint8Array>,
  open: (give: (chunk: Uint8Array) => void) => Pushed,
): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  const library = open((chunk) => {
    if (chunk.length > 0) ready.push(chunk);
  });
  const taken = (): readonly Uint8Array[] => {
    const now = ready;
    ready = [];
    return now;
  };
  for await (const chunk of chunks)
    for (let at = 0; at < chunk.length; at += STEP) {
      library.push(chunk.subarray(at, at + STEP), false);
      yield* taken();
    }
  library.push(new Uint8Array(0), true);
  yield* taken();
}
