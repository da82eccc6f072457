/** @file FlatBuffers read in place: every offset is checked, tables are asked for fields by id, and a budget ends cycles. */
import type { ReadBudget } from './limits.js';

const utf8 = new TextDecoder();

/** A FlatBuffer in memory (FlatBuffers internals document: little-endian, tables with vtables, 32-bit offsets). */
export class FlatBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly budget: ReadBudget;

  constructor(bytes: Uint8Array, budget: ReadBudget) {
    if (bytes.length > budget.limits.maxFileBytes) throw budget.invalid('limit', `it has ${bytes.length} bytes`);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.budget = budget;
  }

  /** The root table. Throws AuditError where its offset or vtable leaves the file. */
  root(): FlatTable {
    return new FlatTable(this, this.follow(0));
  }

  /** Where the offset stored at `at` points to. */
  follow(at: number): number {
    return at + this.uint32(at);
  }

  uint32(at: number): number {
    this.need(at, 4);
    return this.view.getUint32(at, true);
  }

  /** Throws AuditError where `length` bytes at `at` are not inside the file. */
  need(at: number, length: number): void {
    if (at < 0 || length < 0 || at + length > this.bytes.length)
      throw this.budget.invalid('offset', `an offset leads to byte ${at + length} of ${this.bytes.length}`);
  }

  /** Start and count of a vector of `width`-byte items. */
  vector(at: number, width: number): { readonly start: number; readonly count: number } {
    const count = this.uint32(at);
    this.need(at + 4, count * width);
    this.budget.spend(1);
    return { start: at + 4, count };
  }

  /** A string, cut at the limit for names. */
  string(at: number): string {
    const { start, count } = this.vector(at, 1);
    const length = Math.min(count, this.budget.limits.maxNameLength);
    this.budget.spend(length >>> 5);
    return utf8.decode(this.bytes.subarray(start, start + length));
  }
}

/** A table of a FlatBuffer; `id` counts the fields of its schema from 0, a union taking two. */
export class FlatTable {
  readonly #buffer: FlatBuffer;
  readonly #at: number;
  readonly #vtable: number;
  readonly #vtableSize: number;

  constructor(buffer: FlatBuffer, at: number) {
    buffer.budget.spend(1);
    buffer.need(at, 4);
    const vtable = at - buffer.view.getInt32(at, true);
    buffer.need(vtable, 4);
    const size = buffer.view.getUint16(vtable, true);
    if (size < 4 || size % 2 !== 0) throw buffer.budget.invalid('vtable', `a vtable of ${size} bytes`);
    buffer.need(vtable, size);
    this.#buffer = buffer;
    this.#at = at;
    this.#vtable = vtable;
    this.#vtableSize = size;
  }

  /** Fields that the table's writer knew of. */
  get fieldCount(): number {
    return (this.#vtableSize - 4) >>> 1;
  }

  /** Whether a field is stored. */
  has(id: number): boolean {
    return this.#field(id, 0) !== 0;
  }

  #field(id: number, width: number): number {
    const slot = 4 + 2 * id;
    if (slot >= this.#vtableSize) return 0;
    const offset = this.#buffer.view.getUint16(this.#vtable + slot, true);
    if (offset === 0) return 0;
    this.#buffer.need(this.#at + offset, width);
    return this.#at + offset;
  }

  int8(id: number, fallback = 0): number {
    const at = this.#field(id, 1);
    return at === 0 ? fallback : this.#buffer.view.getInt8(at);
  }

  uint8(id: number, fallback = 0): number {
    const at = this.#field(id, 1);
    return at === 0 ? fallback : this.#buffer.view.getUint8(at);
  }

  bool(id: number, fallback = false): boolean {
    return this.uint8(id, fallback ? 1 : 0) !== 0;
  }

  int32(id: number, fallback = 0): number {
    const at = this.#field(id, 4);
    return at === 0 ? fallback : this.#buffer.view.getInt32(at, true);
  }

  uint32(id: number, fallback = 0): number {
    const at = this.#field(id, 4);
    return at === 0 ? fallback : this.#buffer.view.getUint32(at, true);
  }

  float32(id: number, fallback = 0): number {
    const at = this.#field(id, 4);
    return at === 0 ? fallback : this.#buffer.view.getFloat32(at, true);
  }

  /** A 64-bit number; exact to 2^53. */
  uint64(id: number): number {
    const at = this.#field(id, 8);
    return at === 0 ? 0 : Number(this.#buffer.view.getBigUint64(at, true));
  }

  string(id: number): string | undefined {
    const at = this.#field(id, 4);
    return at === 0 ? undefined : this.#buffer.string(this.#buffer.follow(at));
  }

  table(id: number): FlatTable | undefined {
    const at = this.#field(id, 4);
    return at === 0 ? undefined : new FlatTable(this.#buffer, this.#buffer.follow(at));
  }

  /** A vector of tables; empty where absent. */
  tables(id: number): readonly FlatTable[] {
    return this.#items(id, (at) => new FlatTable(this.#buffer, this.#buffer.follow(at)));
  }

  /** A vector of strings; empty where absent. */
  strings(id: number): readonly string[] {
    return this.#items(id, (at) => this.#buffer.string(this.#buffer.follow(at)));
  }

  #items<T>(id: number, read: (at: number) => T): readonly T[] {
    const at = this.#field(id, 4);
    if (at === 0) return [];
    const { start, count } = this.#buffer.vector(this.#buffer.follow(at), 4);
    this.#buffer.budget.spend(count);
    return Array.from({ length: count }, (_, i) => read(start + 4 * i));
  }

  /** A vector of 32-bit integers; `undefined` where absent. */
  int32s(id: number): readonly number[] | undefined {
    const at = this.#field(id, 4);
    if (at === 0) return undefined;
    const { start, count } = this.#buffer.vector(this.#buffer.follow(at), 4);
    this.#buffer.budget.spend(count);
    return Array.from({ length: count }, (_, i) => this.#buffer.view.getInt32(start + 4 * i, true));
  }

  /** A 64-bit integer. */
  int64(id: number): bigint {
    const at = this.#field(id, 8);
    return at === 0 ? 0n : this.#buffer.view.getBigInt64(at, true);
  }

  /** A vector of 64-bit integers; empty where absent. */
  bigints(id: number): readonly bigint[] {
    const at = this.#field(id, 4);
    if (at === 0) return [];
    const { start, count } = this.#buffer.vector(this.#buffer.follow(at), 8);
    this.#buffer.budget.spend(count);
    return Array.from({ length: count }, (_, i) => this.#buffer.view.getBigInt64(start + 8 * i, true));
  }

  /** A vector of 64-bit integers, exact to 2^53; `undefined` where absent. */
  int64s(id: number): readonly number[] | undefined {
    const at = this.#field(id, 4);
    if (at === 0) return undefined;
    const { start, count } = this.#buffer.vector(this.#buffer.follow(at), 8);
    this.#buffer.budget.spend(count);
    return Array.from({ length: count }, (_, i) => Number(this.#buffer.view.getBigInt64(start + 8 * i, true)));
  }

  /** The bytes of a vector of `width`-byte items, a view of the file; `undefined` where absent. */
  bytes(id: number, width = 1): Uint8Array | undefined {
    const at = this.#field(id, 4);
    if (at === 0) return undefined;
    const { start, count } = this.#buffer.vector(this.#buffer.follow(at), width);
    return this.#buffer.bytes.subarray(start, start + count * width);
  }
}
