/** @file Protobuf wire format read in place, fields by number: for formats of which only a few fields matter. */
import type { ReadBudget } from './limits.js';

type FieldValue =
  { readonly wire: 0; readonly value: number } | { readonly wire: 1 | 2 | 5; readonly bytes: Uint8Array };

const utf8 = new TextDecoder();

/** One message. Its fields are scanned when it is made; sub-messages when they are asked for. */
export class ProtoMessage {
  readonly #fields = new Map<number, FieldValue[]>();
  readonly #budget: ReadBudget;
  readonly #depth: number;

  /** Throws AuditError where the bytes are no sequence of fields. */
  constructor(bytes: Uint8Array, budget: ReadBudget, depth = 0) {
    if (depth > budget.limits.maxDepth) throw budget.invalid('limit', 'messages are nested too deep');
    if (bytes.length > budget.limits.maxFileBytes) throw budget.invalid('limit', `it has ${bytes.length} bytes`);
    this.#budget = budget;
    this.#depth = depth;
    const cursor = { at: 0 };
    while (cursor.at < bytes.length) {
      budget.spend(1);
      const tag = varint(bytes, cursor, budget);
      const number = Math.floor(tag / 8);
      if (number < 1 || number > 536_870_911) throw budget.invalid('field', `a field numbered ${number}`);
      const value = fieldValue(tag % 8, bytes, cursor, budget);
      const list = this.#fields.get(number);
      if (list) list.push(value);
      else this.#fields.set(number, [value]);
    }
  }

  /** Numbers of the fields that are stored, in order of first appearance. */
  get fields(): readonly number[] {
    return [...this.#fields.keys()];
  }

  has(number: number): boolean {
    return this.#fields.has(number);
  }

  /** How the first value of a field is stored; `undefined` where it is not. */
  wire(number: number): 0 | 1 | 2 | 5 | undefined {
    return this.#fields.get(number)?.[0]?.wire;
  }

  /** The last value of an integer, enum or bool field. 64-bit ones are signed. */
  int(number: number, fallback = 0): number {
    const value = this.#fields.get(number)?.at(-1);
    if (value === undefined) return fallback;
    if (value.wire === 0) return value.value;
    throw this.#budget.invalid('wire', `field ${number} is no integer`);
  }

  bool(number: number, fallback = false): boolean {
    return this.int(number, fallback ? 1 : 0) !== 0;
  }

  float(number: number, fallback = 0): number {
    const value = this.#fields.get(number)?.at(-1);
    if (value === undefined) return fallback;
    if (value.wire === 5) return viewOf(value.bytes).getFloat32(0, true);
    if (value.wire === 1) return viewOf(value.bytes).getFloat64(0, true);
    throw this.#budget.invalid('wire', `field ${number} is no float`);
  }

  bytes(number: number): Uint8Array | undefined {
    const value = this.#fields.get(number)?.at(-1);
    if (value === undefined) return undefined;
    if (value.wire === 2) return value.bytes;
    throw this.#budget.invalid('wire', `field ${number} holds no bytes`);
  }

  string(number: number): string {
    const bytes = this.bytes(number);
    return bytes === undefined ? '' : this.#text(bytes);
  }

  strings(number: number): readonly string[] {
    return this.#chunks(number).map((bytes) => this.#text(bytes));
  }

  /** The last message of a field; `undefined` where there is none. */
  message(number: number): ProtoMessage | undefined {
    const bytes = this.bytes(number);
    return bytes && new ProtoMessage(bytes, this.#budget, this.#depth + 1);
  }

  messages(number: number): readonly ProtoMessage[] {
    return this.#chunks(number).map((bytes) => new ProtoMessage(bytes, this.#budget, this.#depth + 1));
  }

  /** At most `count` messages of a field, for a look at what they are. */
  firstMessages(number: number, count: number): readonly ProtoMessage[] {
    const chunks = (this.#fields.get(number) ?? [])
      .slice(0, count)
      .flatMap((value) => (value.wire === 2 ? [value.bytes] : []));
    return chunks.map((bytes) => new ProtoMessage(bytes, this.#budget, this.#depth + 1));
  }

  /** A list of integers, packed or not. */
  ints(number: number): readonly number[] {
    const list: number[] = [];
    for (const value of this.#fields.get(number) ?? []) {
      if (value.wire === 0) list.push(value.value);
      else if (value.wire === 2) {
        const cursor = { at: 0 };
        while (cursor.at < value.bytes.length) {
          this.#budget.spend(1);
          list.push(varint(value.bytes, cursor, this.#budget));
        }
      } else throw this.#budget.invalid('wire', `field ${number} is no list of integers`);
    }
    return list;
  }

  /** A list of 4- or 8-byte numbers, packed or not, as its bytes; a single packed chunk is shared, not copied. */
  fixed(number: number, width: 4 | 8): Uint8Array | undefined {
    const values = this.#fields.get(number);
    if (values === undefined) return undefined;
    const chunks = values.map((value) => {
      if (value.wire === 0 || value.bytes.length % width !== 0)
        throw this.#budget.invalid('wire', `field ${number} is no list of ${width}-byte numbers`);
      return value.bytes;
    });
    if (chunks.length === 1) return chunks[0];
    const joined = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
      joined.set(chunk, at);
      at += chunk.length;
    }
    return joined;
  }

  #chunks(number: number): readonly Uint8Array[] {
    return (this.#fields.get(number) ?? []).map((value) => {
      if (value.wire !== 2) throw this.#budget.invalid('wire', `field ${number} holds no messages`);
      return value.bytes;
    });
  }

  #text(bytes: Uint8Array): string {
    return utf8.decode(bytes.subarray(0, this.#budget.limits.maxNameLength));
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function fieldValue(wire: number, bytes: Uint8Array, cursor: { at: number }, budget: ReadBudget): FieldValue {
  if (wire === 0) return { wire, value: varint(bytes, cursor, budget) };
  if (wire !== 1 && wire !== 2 && wire !== 5) throw budget.invalid('wire', `a field of wire type ${wire}`);
  const length = wire === 1 ? 8 : wire === 5 ? 4 : varint(bytes, cursor, budget);
  if (length < 0 || cursor.at + length > bytes.length)
    throw budget.invalid('truncated', `a field of ${length} bytes at ${cursor.at} of ${bytes.length}`);
  const value = bytes.subarray(cursor.at, cursor.at + length);
  cursor.at += length;
  return { wire, bytes: value };
}

/** A varint as a signed 64-bit number, exact to 2^53. */
function varint(bytes: Uint8Array, cursor: { at: number }, budget: ReadBudget): number {
  let value = 0;
  let scale = 1;
  const start = cursor.at;
  for (let count = 0; count < 10; count++) {
    if (cursor.at >= bytes.length) throw budget.invalid('truncated', 'it ends within a number');
    const byte = bytes[cursor.at++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return count < 9 ? value : negative(bytes, start);
    scale *= 128;
  }
  throw budget.invalid('varint', 'a number of more than 10 bytes');
}

function negative(bytes: Uint8Array, start: number): number {
  let value = 0n;
  for (let i = 0; i < 10; i++) value |= BigInt(bytes[start + i]! & 0x7f) << BigInt(7 * i);
  return Number(BigInt.asIntN(64, value));
}
