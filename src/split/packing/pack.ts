/** @file Packing and unpacking the tensors that cross a cut: quantise, shuffle, compress, frame; and back. */
import { dataTypes, Tensor } from '../../ir/index.js';
import { quantiseToPlanes, shuffleBytes, unshuffleBytes, valuesOfPlanes } from './bit-planes.js';
import { CODEC_CODES, codecOf, pureCodecs, type CodecName, type Codecs } from './codecs.js';
import { FrameError, PackingError } from './errors.js';
import {
  decodeFrame,
  encodeFrame,
  payloadBytes,
  type FrameLayout,
  type FrameLimits,
  type FrameTensor,
} from './frame.js';
import { checkBits, dequantise, quantise, scaleOf } from './quantise.js';

/** Bits of values that are sent unchanged. */
export const FULL_PRECISION = 32;

/** How the tensors of a cut are packed. */
export interface Packing {
  /**
   * 1 to 16 for float32 tensors, each quantised over its own range; 32 sends every value unchanged. Tensors of other
   * types, and those with values that are not finite, are always sent unchanged.
   */
  readonly bits: number;
  /** Whether bits (bytes, for unchanged values) of equal significance are put side by side before compression. */
  readonly layout: FrameLayout;
  readonly codec: CodecName;
}

/** Throws PackingError unless the packing names a known width, layout and codec. */
export function checkPacking({ bits, layout, codec }: Packing): void {
  if (bits !== FULL_PRECISION) checkBits(bits);
  if (layout !== 'lanes' && layout !== 'planes') throw new PackingError(`the layout '${String(layout)}' is not known`);
  if (!(codec in CODEC_CODES)) throw new PackingError(`the codec '${String(codec)}' is not known`);
}

/**
 * Packs tensors into one frame. A payload that a codec would not shorten is stored. Throws PackingError for strings and
 * impossible packings, CodecMissingError where the codec is not among `codecs` (those that need nothing where omitted).
 */
export function packTensors(
  tensors: Readonly<Record<string, Tensor>>,
  packing: Packing,
  codecs: Codecs = pureCodecs,
): Uint8Array<ArrayBuffer> {
  checkPacking(packing);
  return encodeFrame(Object.entries(tensors).map(([name, tensor]) => compressed(name, tensor, packing, codecs)));
}

function compressed(name: string, tensor: Tensor, packing: Packing, codecs: Codecs): FrameTensor {
  const codec = codecOf(codecs, packing.codec);
  const plain = packTensor(name, tensor, packing);
  const payload = codec.compress(plain.payload);
  return payload.length < plain.payload.length ? { ...plain, codec: packing.codec, payload } : plain;
}

/** One tensor quantised and laid out, not yet compressed (codec 'stored'). Throws PackingError for strings. */
export function packTensor(name: string, tensor: Tensor, { bits, layout }: Omit<Packing, 'codec'>): FrameTensor {
  const { dtype, dims } = tensor;
  if (dtype === 'string')
    throw new PackingError(`'${name}' holds strings, which cannot be packed`, 'Cut at another position.');
  if (bits !== FULL_PRECISION && dtype === 'float32') {
    const values = tensor.data as Float32Array;
    const scale = scaleOf(values, bits);
    if (scale !== undefined) {
      const payload = layout === 'planes' ? quantiseToPlanes(values, scale) : littleEndian(quantise(values, scale));
      return { name, dtype, dims, scale, layout, codec: 'stored', payload };
    }
  }
  const width = dataTypes[dtype].bits / 8;
  const shuffled = layout === 'planes' && width >= 2;
  return {
    ...{ name, dtype, dims, codec: 'stored' },
    layout: shuffled ? 'planes' : 'lanes',
    payload: shuffled ? shuffleBytes(tensor.bytes, width) : tensor.bytes,
  };
}

/**
 * Unpacks a frame. Throws FrameError for anything that is not one whole, sound frame within the limits, CodecMissingError
 * where it needs a codec that is not among `codecs` (those that need nothing where omitted).
 */
export function unpackTensors(
  frame: Uint8Array,
  codecs: Codecs = pureCodecs,
  limits: Partial<FrameLimits> = {},
): Record<string, Tensor> {
  const entries = decodeFrame(frame, limits).map((entry) => [entry.name, unpackTensor(entry, codecs)] as const);
  return Object.fromEntries(entries);
}

function unpackTensor(entry: FrameTensor, codecs: Codecs): Tensor {
  const { name, dtype, dims, scale, layout, payload } = entry;
  const codec = codecOf(codecs, entry.codec);
  const size = payloadBytes(entry);
  if (size > codec.maxRatio * payload.length + 64)
    throw new FrameError(`tensor '${name}': ${payload.length} ${codec.name} bytes cannot grow to ${size}`);
  const plain = codec.decompress(payload, size);
  if (scale === undefined) {
    const width = dataTypes[dtype].bits / 8;
    // A tensor keeps no view of the frame, whose memory the caller may use again.
    const bytes = layout === 'planes' ? unshuffleBytes(plain, width) : new Uint8Array(plain);
    return Tensor.fromBytes(dtype, dims, bytes);
  }
  if (layout === 'planes') return Tensor.of('float32', dims, valuesOfPlanes(plain, elementsOf(dims), scale));
  return Tensor.of('float32', dims, dequantise(scale.bits <= 8 ? plain : words(plain), scale));
}

const elementsOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** Integers as bytes: 16-bit ones with the low byte first. */
function littleEndian(integers: Uint8Array | Uint16Array): Uint8Array {
  if (integers instanceof Uint8Array) return integers;
  const bytes = new Uint8Array(2 * integers.length);
  for (let i = 0; i < integers.length; i++) {
    bytes[2 * i] = integers[i]!;
    bytes[2 * i + 1] = integers[i]! >>> 8;
  }
  return bytes;
}

function words(bytes: Uint8Array): Uint16Array {
  const integers = new Uint16Array(bytes.length / 2);
  for (let i = 0; i < integers.length; i++) integers[i] = bytes[2 * i]! | (bytes[2 * i + 1]! << 8);
  return integers;
}
