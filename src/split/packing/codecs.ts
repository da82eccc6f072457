/** @file Lossless codecs behind one interface: what a frame's payloads may be compressed with. */
import { deflateSync, inflateSync } from 'fflate';
import { isNode } from '../../platform/index.js';
import { CodecMissingError, FrameError } from './errors.js';
import { compressLz4, decompressLz4 } from './lz4.js';
import { contentSizeOfZstd } from './zstd-header.js';

export type CodecName = 'stored' | 'lz4' | 'deflate' | 'zstd';

/** A lossless codec. Both functions are synchronous and keep nothing between calls. */
export interface Codec {
  readonly name: CodecName;
  /** Number in the frame. */
  readonly code: number;
  /** Most that one compressed byte can grow to: what claims more is refused before memory is taken. */
  readonly maxRatio: number;
  compress(bytes: Uint8Array): Uint8Array;
  /** Unpacks into exactly `size` bytes. Throws FrameError for broken data and for any other size. */
  decompress(bytes: Uint8Array, size: number): Uint8Array;
}

/** The codecs that are there, by name. */
export type Codecs = ReadonlyMap<CodecName, Codec>;

/** Numbers of the codecs in a frame, fixed for ever. */
export const CODEC_CODES: Readonly<Record<CodecName, number>> = { stored: 0, lz4: 1, deflate: 2, zstd: 3 };

const stored: Codec = {
  name: 'stored',
  code: CODEC_CODES.stored,
  maxRatio: 1,
  compress: (bytes) => bytes,
  decompress(bytes, size) {
    if (bytes.length !== size) throw new FrameError(`${bytes.length} stored bytes stand for ${size}`);
    return bytes;
  },
};

const lz4: Codec = {
  name: 'lz4',
  code: CODEC_CODES.lz4,
  maxRatio: 255,
  compress: compressLz4,
  decompress: decompressLz4,
};

/** Deflate, level 1: what is left after quantisation and shuffling gains little from more search. */
const deflate: Codec = {
  name: 'deflate',
  code: CODEC_CODES.deflate,
  maxRatio: 1032,
  compress: (bytes) => deflateSync(bytes, { level: 1 }),
  decompress(bytes, size) {
    // One byte more than wanted shows data that goes on: fflate drops what does not fit.
    const unpacked = attempt('deflate', () => inflateSync(bytes, { out: new Uint8Array(size + 1) }));
    if (unpacked.length !== size) throw new FrameError(`deflate data does not give the stated ${size} bytes`);
    return unpacked;
  },
};

/** The codecs that need nothing: they are always there. */
export const pureCodecs: Codecs = new Map([stored, lz4, deflate].map((codec) => [codec.name, codec]));

/**
 * All codecs of this host: LZ4 native in Node where lz4-napi is installed (TypeScript elsewhere: the same format), zstd
 * where @hpcc-js/wasm-zstd is. Found once and kept.
 */
export function openCodecs(): Promise<Codecs> {
  opened ??= findCodecs();
  return opened;
}

let opened: Promise<Codecs> | undefined;

async function findCodecs(): Promise<Codecs> {
  const codecs = new Map(pureCodecs);
  const [native, zstd] = await Promise.all([openNativeLz4(), openZstd()].map((found) => found.catch(() => undefined)));
  if (native) codecs.set('lz4', native);
  if (zstd) codecs.set('zstd', zstd);
  return codecs;
}

/** A codec by name. Throws CodecMissingError where it is not there. */
export function codecOf(codecs: Codecs, name: CodecName): Codec {
  const codec = codecs.get(name);
  if (codec === undefined) throw new CodecMissingError(name, '@hpcc-js/wasm-zstd');
  return codec;
}

/** LZ4 by lz4-napi. Throws CodecMissingError outside Node and where it is not installed. */
export async function openNativeLz4(): Promise<Codec> {
  if (!isNode) throw new CodecMissingError('lz4 (native)', 'Node');
  const { importLz4 } = await import('../../platform/node/lz4.js');
  const library = await importLz4().catch((cause: unknown) => {
    throw new CodecMissingError('lz4 (native)', 'lz4-napi', cause);
  });
  return {
    ...lz4,
    // The library puts the size in front of the block; the frame knows it already.
    compress: (bytes) => library.compressSync(bytes).subarray(4),
    decompress(bytes, size) {
      const prefixed = new Uint8Array(bytes.length + 4);
      new DataView(prefixed.buffer).setUint32(0, size, true);
      prefixed.set(bytes, 4);
      const unpacked = attempt('LZ4', () => library.uncompressSync(prefixed));
      if (unpacked.length !== size) throw new FrameError(`an LZ4 block does not give the stated ${size} bytes`);
      return unpacked;
    },
  };
}

/** Zstandard, level 1, by WebAssembly. Throws CodecMissingError where the package is not installed. */
export async function openZstd(): Promise<Codec> {
  const library = await import('@hpcc-js/wasm-zstd')
    .then(({ Zstd }) => Zstd.load())
    .catch((cause: unknown) => {
      throw new CodecMissingError('zstd', '@hpcc-js/wasm-zstd', cause);
    });
  return {
    name: 'zstd',
    code: CODEC_CODES.zstd,
    // A block of one repeated byte: 128 KiB from 4 bytes.
    maxRatio: 32768,
    compress: (bytes) => library.compress(bytes, 1),
    decompress(bytes, size) {
      // The library allocates what the data claims: look first.
      if (contentSizeOfZstd(bytes) !== size)
        throw new FrameError(`zstd data does not state the ${size} bytes it stands for`);
      const unpacked = attempt('zstd', () => library.decompress(bytes));
      if (unpacked.length !== size) throw new FrameError(`zstd data does not give the stated ${size} bytes`);
      return unpacked;
    },
  };
}

function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new FrameError(`the ${what} data is broken`, cause);
  }
}
