/** @file The bytes that detectors look at, with the questions they ask. */
import { defaultReadLimits, ReadBudget } from '../read/limits.js';
import { ProtoMessage } from '../read/protobuf.js';
import { AuditError } from '../errors.js';

/** A file, or the part of one that is in memory. */
export class Probe {
  /** As the app names it. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Of the whole file; more than `bytes` holds where it is too large to be read at once. */
  readonly size: number;
  readonly #view: DataView;
  #text: string | undefined;
  #message: ProtoMessage | null | undefined;

  constructor(path: string, bytes: Uint8Array, size = bytes.length) {
    this.path = path;
    this.bytes = bytes;
    this.size = size;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Whether all of the file is in memory. */
  get whole(): boolean {
    return this.bytes.length === this.size;
  }

  /** Lower-case ending of the name, without the dot. */
  get extension(): string {
    return /\.([^./\\!]+)$/.exec(this.path)?.[1]?.toLowerCase() ?? '';
  }

  ascii(at: number, text: string): boolean {
    if (at + text.length > this.bytes.length) return false;
    for (let i = 0; i < text.length; i++) if (this.bytes[at + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  u16(at: number): number {
    return at >= 0 && at + 2 <= this.bytes.length ? this.#view.getUint16(at, true) : -1;
  }

  u32(at: number): number {
    return at >= 0 && at + 4 <= this.bytes.length ? this.#view.getUint32(at, true) : -1;
  }

  u64(at: number): number {
    return at >= 0 && at + 8 <= this.bytes.length ? Number(this.#view.getBigUint64(at, true)) : -1;
  }

  /** The first 64 KiB as text; empty where they hold bytes that no text has. */
  get text(): string {
    if (this.#text === undefined) {
      const head = this.bytes.subarray(0, 1 << 16);
      const isText = head.every((byte) => byte >= 0x20 || byte === 9 || byte === 10 || byte === 13);
      this.#text = isText ? new TextDecoder().decode(head) : '';
    }
    return this.#text;
  }

  /** The file as a protobuf message; `undefined` where its fields do not fill it exactly. */
  get message(): ProtoMessage | undefined {
    if (this.#message === undefined) {
      try {
        const budget = new ReadBudget('protobuf', { ...defaultReadLimits, maxItems: 2_000_000 });
        this.#message = this.whole && this.size > 8 ? new ProtoMessage(this.bytes, budget) : null;
      } catch (cause) {
        if (!(cause instanceof AuditError)) throw cause;
        this.#message = null;
      }
    }
    return this.#message ?? undefined;
  }

  /**
   * Whether a FlatBuffer's root table stands where offset `at` says: its vtable inside the file, its fields inside the table.
   * Returns the number of fields, 0 where there is none.
   */
  flatbufferFields(at = 0): number {
    const root = at + this.u32(at);
    if (root < at + 4 || root + 4 > this.bytes.length) return 0;
    const back = this.u32(root) | 0;
    const vtable = root - back;
    if (vtable < at + 4 || vtable + 4 > this.bytes.length || back === 0) return 0;
    const [vtableSize, tableSize] = [this.u16(vtable), this.u16(vtable + 2)];
    if (vtableSize < 6 || vtableSize % 2 !== 0 || vtableSize > 256 || tableSize < 4 || tableSize > 4096) return 0;
    let present = 0;
    for (let slot = 4; slot < vtableSize; slot += 2) {
      const field = this.u16(vtable + slot);
      if (field < 0 || field >= tableSize || (field > 0 && field < 4)) return 0;
      if (field > 0) present++;
    }
    return present;
  }
}
