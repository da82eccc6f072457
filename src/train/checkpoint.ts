/** @file The checkpoint file: one versioned, checksummed block of bytes with a JSON header and raw tensors. */
import * as z from 'zod/mini';
import { dataTypes, Tensor, type DataType } from '../ir/index.js';
import { CheckpointError } from './errors.js';

/** What a checkpoint holds besides tensors: how far training is, and what it must fit. */
export interface CheckpointInfo {
  readonly iteration: number;
  readonly epoch: number;
  /** Steps done within the epoch. */
  readonly stepInEpoch: number;
  /** A digest of what must not change between runs: network, recipe, data. */
  readonly fingerprint: string;
  /** Anything else that the loop wants back; plain JSON. */
  readonly extra: unknown;
}

export interface Checkpoint extends CheckpointInfo {
  readonly tensors: ReadonlyMap<string, Tensor>;
}

const MAGIC = 'CUTTLECP';
const VERSION = 1;
/** magic (8 bytes), version (u32), checksum of the rest (u32), header length (u32), length of the file mod 2³² (u32). */
const PREFIX = 24;
const ALIGNMENT = 16;
const MAX_HEADER = 64 * 1024 * 1024;

const headerSchema = z.object({
  iteration: z.int().check(z.nonnegative()),
  epoch: z.int().check(z.nonnegative()),
  stepInEpoch: z.int().check(z.nonnegative()),
  fingerprint: z.string(),
  extra: z.unknown(),
  tensors: z.array(
    z.object({
      name: z.string(),
      dtype: z.string().check(z.refine((name) => name in dataTypes && name !== 'string')),
      dims: z.array(z.int().check(z.nonnegative())),
      offset: z.int().check(z.nonnegative()),
      length: z.int().check(z.nonnegative()),
    }),
  ),
});

const aligned = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

/** The bytes of a checkpoint file. */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  let offset = 0;
  const tensors = [...checkpoint.tensors].map(([name, { dtype, dims, bytes }]) => {
    const entry = { name, dtype, dims, offset, length: bytes.byteLength };
    offset = aligned(offset + bytes.byteLength);
    return entry;
  });
  const { iteration, epoch, stepInEpoch, fingerprint, extra } = checkpoint;
  const header = new TextEncoder().encode(
    JSON.stringify({ iteration, epoch, stepInEpoch, fingerprint, extra, tensors }),
  );
  const start = aligned(PREFIX + header.byteLength);
  const bytes = new Uint8Array(start + offset);
  bytes.set(new TextEncoder().encode(MAGIC));
  bytes.set(header, PREFIX);
  for (const { name, offset: at } of tensors) bytes.set(checkpoint.tensors.get(name)!.bytes, start + at);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, VERSION, true);
  view.setUint32(16, header.byteLength, true);
  view.setUint32(20, bytes.byteLength % 2 ** 32, true);
  view.setUint32(12, checksum(bytes.subarray(16)), true);
  return bytes;
}

/** Reads a checkpoint; tensors share the bytes. Throws CheckpointError for anything that `encodeCheckpoint` did not write. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  if (bytes.byteLength < PREFIX || new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC)
    throw new CheckpointError('this file is no Cuttle checkpoint');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(8, true);
  if (version !== VERSION)
    throw new CheckpointError(`the checkpoint has version ${version}; this release reads version ${VERSION}`);
  const headerLength = view.getUint32(16, true);
  const start = aligned(PREFIX + headerLength);
  if (headerLength > MAX_HEADER || start > bytes.byteLength || view.getUint32(20, true) !== bytes.byteLength % 2 ** 32)
    throw new CheckpointError('the checkpoint is truncated');
  if (view.getUint32(12, true) !== checksum(bytes.subarray(16)))
    throw new CheckpointError('the checkpoint is damaged: its checksum does not fit');
  const header = parseHeader(bytes.subarray(PREFIX, PREFIX + headerLength));
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, dims, offset, length } of header.tensors) {
    if (start + offset + length > bytes.byteLength) throw new CheckpointError('the checkpoint is truncated');
    const part = bytes.subarray(start + offset, start + offset + length);
    try {
      tensors.set(name, Tensor.fromBytes(dtype as DataType, dims, part));
    } catch (cause) {
      throw new CheckpointError(`the checkpoint's tensor '${name}' is damaged`, undefined, cause);
    }
  }
  return { ...header, tensors };
}

function parseHeader(bytes: Uint8Array): z.infer<typeof headerSchema> {
  try {
    return headerSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw new CheckpointError("the checkpoint's header is damaged", undefined, cause);
  }
}

/** FNV-1a over 32-bit words: finds truncation and flipped bits in one fast pass. */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (; at + 4 <= bytes.byteLength; at += 4) hash = Math.imul(hash ^ view.getUint32(at, true), 0x01000193);
  for (; at < bytes.byteLength; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  return hash >>> 0;
}

/** Where checkpoints are kept. `load` gives `undefined` where there is none. */
export interface CheckpointStore {
  save(bytes: Uint8Array): Promise<void>;
  load(): Promise<Uint8Array | undefined>;
  clear(): Promise<void>;
}
