/** @file Numbers at offsets of foreign bytes, every access checked. */
import { AuditError } from './errors.js';

/** Little-endian (or big-endian) reads within `bytes`; each throws AuditError `audit/<what>` beyond the end. */
export class ByteView {
  readonly bytes: Uint8Array;
  readonly what: string;
  readonly littleEndian: boolean;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, what: string, littleEndian = true) {
    this.bytes = bytes;
    this.what = what;
    this.littleEndian = littleEndian;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get size(): number {
    return this.bytes.length;
  }

  u8(at: number): number {
    this.check(at, 1);
    return this.bytes[at]!;
  }

  u16(at: number): number {
    this.check(at, 2);
    return this.#view.getUint16(at, this.littleEndian);
  }

  u32(at: number): number {
    this.check(at, 4);
    return this.#view.getUint32(at, this.littleEndian);
  }

  i32(at: number): number {
    this.check(at, 4);
    return this.#view.getInt32(at, this.littleEndian);
  }

  f32(at: number): number {
    this.check(at, 4);
    return this.#view.getFloat32(at, this.littleEndian);
  }

  f64(at: number): number {
    this.check(at, 8);
    return this.#view.getFloat64(at, this.littleEndian);
  }

  /** 64 bits as a number; throws where it is beyond 2⁵³, which no offset or size in a file is. */
  u64(at: number): number {
    this.check(at, 8);
    const value = this.#view.getBigUint64(at, this.littleEndian);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.error(`the number ${value} at byte ${at} is beyond 2^53`);
    return Number(value);
  }

  /** `length` bytes from `at`, as a view. */
  slice(at: number, length: number): Uint8Array {
    this.check(at, length);
    return this.bytes.subarray(at, at + length);
  }

  /** Throws where `length` bytes from `at` reach beyond the end. */
  check(at: number, length: number): void {
    if (!(at >= 0 && length >= 0 && at + length <= this.bytes.length))
      throw this.error(`bytes ${at} to ${at + length} are wanted of ${this.bytes.length}`);
  }

  error(message: string): AuditError {
    return new AuditError(this.what, message);
  }
}
