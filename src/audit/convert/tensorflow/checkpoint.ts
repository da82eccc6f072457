/** @file TensorFlow's tensor bundles: an index in the table format of LevelDB, and shards of plain numbers. */
import { Tensor, type DataType } from '../../../ir/index.js';
import type { ReadBudget } from '../../read/limits.js';
import { ProtoMessage } from '../../read/protobuf.js';
import { protoShape, tfTypes } from '../../read/tf-attributes.js';

/** The bytes of `variables.index` and of its shards, in order. */
export interface Checkpoint {
  readonly index: Uint8Array;
  readonly shards: readonly Uint8Array[];
}

/** Last eight bytes of a table (leveldb `table/format.h`). */
const MAGIC = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];

/** Reads the tensors of a checkpoint by name. Throws AuditError where index or shards are broken, or where blocks are compressed. */
export function readCheckpoint({ index, shards }: Checkpoint, budget: ReadBudget): ReadonlyMap<string, Tensor> {
  const footer = index.length - 48;
  if (footer < 0 || !MAGIC.every((byte, i) => index[footer + 40 + i] === byte))
    throw budget.invalid('checkpoint', 'its variables.index is no table');
  const cursor = { at: footer };
  varint(index, cursor, budget); // the meta index
  varint(index, cursor, budget);
  const found = new Map<string, Tensor>();
  for (const [, handle] of entries(block(index, cursor, budget), budget))
    for (const [key, value] of entries(block(handle, { at: 0 }, budget, index), budget)) {
      // The first entry, without a name, is the bundle's header.
      const tensor = key === '' ? undefined : stored(key, new ProtoMessage(value, budget), shards, budget);
      if (tensor) found.set(key, tensor);
    }
  return found;
}

/** A BundleEntryProto: dtype, shape, shard, offset, size. Slices of partitioned variables and strings are left out. */
function stored(
  key: string,
  entry: ProtoMessage,
  shards: readonly Uint8Array[],
  budget: ReadBudget,
): Tensor | undefined {
  const type = tfTypes[entry.int(1)];
  if (type === undefined || type === 'string' || type === 'resource' || entry.has(7)) return undefined;
  const shape = budget.dims((entry.message(2) && protoShape(entry.message(2)!)) ?? []);
  const shard = shards[entry.int(3)];
  const [offset, size] = [entry.int(4), entry.int(5)];
  if (shard === undefined || offset < 0 || size < 0 || offset + size > shard.length)
    throw budget.invalid('checkpoint', `variable '${key}' ends at byte ${offset + size} of ${shard?.length ?? 0}`);
  try {
    return Tensor.fromBytes(type as DataType, shape, shard.subarray(offset, offset + size));
  } catch {
    throw budget.invalid('checkpoint', `variable '${key}' has ${size} bytes for ${type}[${shape.join(', ')}]`);
  }
}

/** The block that the handle at `cursor` of `from` points to, without its trailer. */
function block(from: Uint8Array, cursor: { at: number }, budget: ReadBudget, file: Uint8Array = from): Uint8Array {
  const offset = varint(from, cursor, budget);
  const size = varint(from, cursor, budget);
  if (offset + size + 5 > file.length) throw budget.invalid('checkpoint', 'a block of variables.index leaves the file');
  if (file[offset + size] !== 0) throw budget.invalid('checkpoint', 'variables.index is compressed');
  return file.subarray(offset, offset + size);
}

const utf8 = new TextDecoder();

/** Keys and values of a block; keys share prefixes with those before them. */
function* entries(bytes: Uint8Array, budget: ReadBudget): Generator<readonly [key: string, value: Uint8Array]> {
  if (bytes.length < 4) throw budget.invalid('checkpoint', 'a block of variables.index is cut');
  const restarts = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4, 4).getUint32(0, true);
  const end = bytes.length - 4 - 4 * restarts;
  if (end < 0) throw budget.invalid('checkpoint', 'a block of variables.index is cut');
  const cursor = { at: 0 };
  let key = new Uint8Array();
  while (cursor.at < end) {
    budget.spend(1);
    const shared = varint(bytes, cursor, budget);
    const own = varint(bytes, cursor, budget);
    const size = varint(bytes, cursor, budget);
    if (shared > key.length || cursor.at + own + size > end || own > budget.limits.maxNameLength)
      throw budget.invalid('checkpoint', 'an entry of variables.index leaves its block');
    const next = new Uint8Array(shared + own);
    next.set(key.subarray(0, shared));
    next.set(bytes.subarray(cursor.at, cursor.at + own), shared);
    key = next;
    cursor.at += own;
    yield [utf8.decode(key), bytes.subarray(cursor.at, cursor.at + size)];
    cursor.at += size;
  }
}

function varint(bytes: Uint8Array, cursor: { at: number }, budget: ReadBudget): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 49; scale *= 128) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) break;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw budget.invalid('checkpoint', 'variables.index ends within a number');
}
