/** @file The frame: several tensors, each with its own scale, layout and codec, as one block of bytes (docs/split-frames.md). */
import { byteLength, dataTypeOfCode, dataTypes, sizeOf, type DataType } from '../../ir/index.js';
import { CODEC_CODES, type CodecName } from './codecs.js';
import { FrameError } from './errors.js';
import { levelsOf, MAX_BITS, type LinearScale } from './quantise.js';

export const FRAME_VERSION = 1;

/** How elements lie in a payload: one after another, or bits (bytes of unchanged values) of equal significance together. */
export type FrameLayout = 'lanes' | 'planes';

/** One tensor of a frame, still compressed. */
export interface FrameTensor {
  readonly name: string;
  readonly dtype: DataType;
  readonly dims: readonly number[];
  /** Absent where values are sent unchanged. */
  readonly scale?: LinearScale;
  readonly layout: FrameLayout;
  readonly codec: CodecName;
  readonly payload: Uint8Array;
}

/** What a reader accepts. A frame beyond any of these is refused before memory is taken for it. */
export interface FrameLimits {
  /** Bytes of a whole frame; 64 MiB where omitted. */
  readonly frameBytes: number;
  /** Bytes of all tensors after unpacking; 256 MiB where omitted. */
  readonly unpackedBytes: number;
  /** 256 where omitted. */
  readonly tensors: number;
  /** 16 where omitted. */
  readonly rank: number;
  /** UTF-8 bytes of one name; 1,024 where omitted. */
  readonly nameBytes: number;
}

export const FRAME_LIMITS: FrameLimits = {
  frameBytes: 2 ** 26,
  unpackedBytes: 2 ** 28,
  tensors: 256,
  rank: 16,
  nameBytes: 1024,
};

const MAGIC = [0x43, 0x55, 0x54, 0x46]; // 'CUTF'
const HEADER_BYTES = 12;
const CODECS = new Map(Object.entries(CODEC_CODES).map(([name, code]) => [code, name as CodecName]));
const UNCHANGED = 0;
const LINEAR = 1;

/** Bytes of a tensor's payload before compression. */
export function payloadBytes({ dtype, dims, scale, layout }: Omit<FrameTensor, 'payload' | 'codec' | 'name'>): number {
  const elements = sizeOf(dims);
  if (scale === undefined) return byteLength(dtype, elements);
  return layout === 'planes' ? scale.bits * Math.ceil(elements / 8) : elements * (scale.bits <= 8 ? 1 : 2);
}

/** Writes a frame. Names must differ; dims must be below 2^32. */
export function encodeFrame(tensors: readonly FrameTensor[]): Uint8Array<ArrayBuffer> {
  const names = tensors.map(({ name }) => new TextEncoder().encode(name));
  let size = HEADER_BYTES;
  tensors.forEach(({ dims, scale, payload }, index) => {
    size += 2 + names[index]!.length + 6 + 4 * dims.length + (scale ? 8 : 0) + 4 + payload.length;
  });
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint8(4, FRAME_VERSION);
  view.setUint16(6, tensors.length, true);
  view.setUint32(8, size, true);
  let at = HEADER_BYTES;
  tensors.forEach(({ dtype, dims, scale, layout, codec, payload }, index) => {
    const name = names[index]!;
    view.setUint16(at, name.length, true);
    bytes.set(name, at + 2);
    at += 2 + name.length;
    const encoding = scale ? LINEAR : UNCHANGED;
    const planes = layout === 'planes' ? 1 : 0;
    bytes.set([dataTypes[dtype].code, encoding, scale?.bits ?? 0, planes, CODEC_CODES[codec], dims.length], at);
    at += 6;
    for (const dim of dims) {
      view.setUint32(at, dim, true);
      at += 4;
    }
    if (scale) {
      view.setFloat32(at, scale.min, true);
      view.setFloat32(at + 4, scale.step, true);
      at += 8;
    }
    view.setUint32(at, payload.length, true);
    at += 4;
  });
  for (const { payload } of tensors) {
    bytes.set(payload, at);
    at += payload.length;
  }
  return bytes;
}

/**
 * Reads a frame; payloads are views of the bytes, still compressed. Throws FrameError for anything that is not one whole
 * frame of this version within the limits; nothing is allocated for what the frame merely claims.
 */
export function decodeFrame(bytes: Uint8Array, given: Partial<FrameLimits> = {}): readonly FrameTensor[] {
  const limits = { ...FRAME_LIMITS, ...given };
  if (bytes.length > limits.frameBytes)
    throw new FrameError(`${bytes.length} bytes are more than the limit of ${limits.frameBytes}`);
  if (bytes.length < HEADER_BYTES || MAGIC.some((value, i) => bytes[i] !== value))
    throw new FrameError('the signature is missing');
  const reader = new Reader(bytes);
  const version = bytes[4]!;
  if (version !== FRAME_VERSION) throw new FrameError(`version ${version} is not ${FRAME_VERSION}`);
  if (bytes[5] !== 0) throw new FrameError(`flags ${bytes[5]} are not known`);
  reader.at = 6;
  const count = reader.uint16();
  if (count > limits.tensors) throw new FrameError(`${count} tensors are more than the limit of ${limits.tensors}`);
  const size = reader.uint32();
  if (size !== bytes.length) throw new FrameError(`it states ${size} bytes and has ${bytes.length}`);
  const entries = Array.from({ length: count }, () => readEntry(reader, limits));
  const names = new Set<string>();
  let unpacked = 0;
  const tensors = entries.map(({ tensor, length }): FrameTensor => {
    if (names.has(tensor.name)) throw new FrameError(`two tensors are named '${tensor.name}'`);
    names.add(tensor.name);
    unpacked += byteLength(tensor.dtype, sizeOf(tensor.dims)) + payloadBytes(tensor);
    if (!(unpacked <= limits.unpackedBytes))
      throw new FrameError(`its tensors take more than the limit of ${limits.unpackedBytes} bytes`);
    return { ...tensor, payload: reader.bytes(length) };
  });
  if (reader.at !== bytes.length) throw new FrameError(`${bytes.length - reader.at} bytes follow its payloads`);
  return tensors;
}

function readEntry(
  reader: Reader,
  limits: FrameLimits,
): { readonly tensor: Omit<FrameTensor, 'payload'>; readonly length: number } {
  const nameLength = reader.uint16();
  if (nameLength > limits.nameBytes)
    throw new FrameError(`a name of ${nameLength} bytes is longer than the limit of ${limits.nameBytes}`);
  const name = reader.text(nameLength);
  const [dtypeCode, encoding, bits, planes, codecCode, rank] = reader.bytes(6) as unknown as number[];
  const fail = (why: string): never => {
    throw new FrameError(`tensor '${name}': ${why}`);
  };
  const dtype = dataTypeOfCode(dtypeCode!) ?? fail(`element type ${dtypeCode} is not known`);
  const codec = CODECS.get(codecCode!) ?? fail(`codec ${codecCode} is not known`);
  if (dtype === 'string') fail('strings cannot be sent');
  if (planes! > 1) fail(`layout ${planes} is not known`);
  if (rank! > limits.rank) fail(`rank ${rank} is above the limit of ${limits.rank}`);
  const dims = Array.from({ length: rank! }, () => reader.uint32());
  const layout = planes === 1 ? 'planes' : 'lanes';
  if (encoding === UNCHANGED) {
    if (bits !== 0) fail(`values sent unchanged have a bit-width of ${bits}`);
    if (layout === 'planes' && dataTypes[dtype].bits < 16) fail(`${dtype} has no bytes to shuffle`);
    return { tensor: { name, dtype, dims, layout, codec }, length: reader.uint32() };
  }
  if (encoding !== LINEAR) fail(`encoding ${encoding} is not known`);
  if (dtype !== 'float32') fail(`${dtype} cannot be quantised`);
  if (bits! < 1 || bits! > MAX_BITS) fail(`${bits} bits are not between 1 and ${MAX_BITS}`);
  const scale = { bits: bits!, min: reader.float32(), step: reader.float32() };
  if (!(scale.step > 0) || !Number.isFinite(Math.fround(levelsOf(scale.bits) * scale.step) + scale.min))
    fail(`min ${scale.min} and step ${scale.step} are no scale`);
  return { tensor: { name, dtype, dims, scale, layout, codec }, length: reader.uint32() };
}

/** Reads little-endian numbers and refuses to pass the end. */
class Reader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  bytes(count: number): Uint8Array {
    const from = this.#take(count);
    return this.#bytes.subarray(from, from + count);
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  float32(): number {
    return this.#view.getFloat32(this.#take(4), true);
  }

  text(count: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.bytes(count));
    } catch (cause) {
      throw cause instanceof FrameError ? cause : new FrameError('a name is no UTF-8', cause);
    }
  }

  #take(count: number): number {
    const from = this.at;
    if (count > this.#bytes.length - from) throw new FrameError('it ends too early');
    this.at += count;
    return from;
  }
}
