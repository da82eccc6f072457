/** @file The delta file: a set of adapters in the safetensors format, which other tools can read too. */
import { z } from 'zod';
import { CuttleError, Tensor } from '../ir/index.js';
import { adaptableOps, type Adapter, type AdapterSet } from '../passes/index.js';

export const ADAPTERS_FORMAT = 'cuttle.adapters';
export const ADAPTERS_VERSION = 1;

/** A delta file that is damaged, or none at all. Exit code 3. */
export class AdapterFileError extends CuttleError {
  constructor(message: string, cause?: unknown) {
    super('invalid', 'train/adapter-file', message, { hint: 'Give a file written by cuttle train --lora.', cause });
  }
}

const MAX_HEADER = 16 * 1024 * 1024;
const MAX_ADAPTERS = 100_000;
const MAX_RANK = 65_536;
const MAX_NAME = 4096;

/** Schema of the metadata entry `cuttle.adapters` of a delta file, version 1. */
export const adaptersSchema = z.strictObject({
  format: z.literal(ADAPTERS_FORMAT),
  version: z.literal(ADAPTERS_VERSION),
  rank: z.int().min(1).max(MAX_RANK),
  /** The product of the factors is scaled by alpha / rank. */
  alpha: z.number(),
  adapters: z
    .array(
      z.strictObject({
        /** Weight of the model; its factors are the tensors `WEIGHT.lora_a` and `WEIGHT.lora_b`. */
        weight: z.string().min(1).max(MAX_NAME),
        op: z.enum(adaptableOps),
        /** FNV-1a checksum of the weight's bytes. */
        checksum: z.int().min(0).max(0xffffffff),
      }),
    )
    .max(MAX_ADAPTERS),
  /** Metadata entries of the adapted model. */
  metadata: z.record(z.string().max(MAX_NAME), z.string()),
});

const tensorSchema = z.strictObject({
  dtype: z.literal('F32'),
  shape: z.array(z.int().min(0)).max(8),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

const headerSchema = z.record(z.string(), z.unknown());

/** The bytes of a delta file: header length (u64, little-endian), JSON header, tensors. */
export function encodeAdapters(set: AdapterSet): Uint8Array {
  const info = adaptersSchema.parse({
    format: ADAPTERS_FORMAT,
    version: ADAPTERS_VERSION,
    rank: set.rank,
    alpha: set.alpha,
    adapters: set.adapters.map(({ weight, op, checksum }) => ({ weight, op, checksum })),
    metadata: Object.fromEntries(set.metadata),
  });
  const header: Record<string, unknown> = { __metadata__: { [ADAPTERS_FORMAT]: JSON.stringify(info) } };
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const { weight, a, b } of set.adapters)
    for (const [name, tensor] of [
      [`${weight}.lora_a`, a],
      [`${weight}.lora_b`, b],
    ] as const) {
      header[name] = { dtype: 'F32', shape: tensor.dims, data_offsets: [offset, offset + tensor.bytes.byteLength] };
      parts.push(tensor.bytes);
      offset += tensor.bytes.byteLength;
    }
  const text = new TextEncoder().encode(JSON.stringify(header));
  // Spaces pad the header, so that the tensors are aligned.
  const length = Math.ceil(text.byteLength / 8) * 8;
  const bytes = new Uint8Array(8 + length + offset).fill(0x20, 8, 8 + length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  let at = 8 + length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

/**
 * Reads a delta file; tensors share its bytes. Throws AdapterFileError for anything that `encodeAdapters` could not have
 * written, before anything is allocated by what the file says.
 */
export function decodeAdapters(bytes: Uint8Array): AdapterSet {
  if (bytes.byteLength < 8) throw new AdapterFileError('this file is too short for adapters');
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER || 8 + Number(length) > bytes.byteLength)
    throw new AdapterFileError('this is no file of adapters, or it is truncated');
  const data = bytes.subarray(8 + Number(length));
  const header = parsed(headerSchema, bytes.subarray(8, 8 + Number(length)));
  const metadata = header.__metadata__ as Readonly<Record<string, unknown>> | undefined;
  const entry = metadata?.[ADAPTERS_FORMAT];
  if (typeof entry !== 'string') throw new AdapterFileError(`the file has no metadata entry '${ADAPTERS_FORMAT}'`);
  const info = parsed(adaptersSchema, new TextEncoder().encode(entry));
  const tensorOf = (name: string): Tensor => {
    const checked = tensorSchema.safeParse(Object.hasOwn(header, name) ? header[name] : undefined);
    if (!checked.success)
      throw new AdapterFileError(`the file's tensor '${name}' is missing or damaged`, checked.error);
    const { shape, data_offsets: range } = checked.data;
    const size = shape.reduce((product, dim) => product * dim, 4);
    if (range[1] > data.byteLength || range[1] - range[0] !== size)
      throw new AdapterFileError(`the file's tensor '${name}' does not have the size of its shape`);
    return Tensor.fromBytes('float32', shape, data.subarray(range[0], range[1]));
  };
  const adapters = info.adapters.map((each): Adapter => ({
    ...each,
    a: tensorOf(`${each.weight}.lora_a`),
    b: tensorOf(`${each.weight}.lora_b`),
  }));
  if (new Set(adapters.map(({ weight }) => weight)).size !== adapters.length)
    throw new AdapterFileError('the file adapts a weight twice');
  return { rank: info.rank, alpha: info.alpha, adapters, metadata: new Map(Object.entries(info.metadata)) };
}

function parsed<T>(schema: z.ZodType<T>, bytes: Uint8Array): T {
  try {
    return schema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw new AdapterFileError("the header of the adapters' file is damaged", cause);
  }
}
