/** @file The string pool of Android's binary resources (ResStringPool of androidfw's ResourceTypes.h): UTF-8 and UTF-16. */
import { type ByteView } from '../byte-view.js';

export const STRING_POOL = 0x0001;
const UTF8 = 0x100;
const NOTHING = 0xffffffff;

const utf8 = new TextDecoder();
const utf16 = new TextDecoder('utf-16le');

/** Strings by number, decoded when asked for. */
export class StringPool {
  readonly count: number;
  readonly #view: ByteView;
  readonly #offsets: number;
  readonly #strings: number;
  readonly #end: number;
  readonly #utf8: boolean;

  /** The pool chunk at `at` of `view`. Throws AuditError where it is none, or its table reaches beyond it. */
  constructor(view: ByteView, at: number) {
    if (view.u16(at) !== STRING_POOL) throw view.error(`byte ${at} begins no string pool`);
    const size = view.u32(at + 4);
    view.check(at, Math.max(size, 28));
    this.#view = view;
    this.count = view.u32(at + 8);
    this.#utf8 = (view.u32(at + 16) & UTF8) !== 0;
    this.#offsets = at + view.u16(at + 2);
    this.#strings = at + view.u32(at + 20);
    this.#end = at + size;
    if (this.#offsets + 4 * this.count > this.#end)
      throw view.error(`${this.count} strings do not fit into their pool`);
  }

  /** A string, or `undefined` for the number that stands for none. Throws AuditError for a number beyond the pool. */
  get(index: number): string | undefined {
    if (index === NOTHING) return undefined;
    const view = this.#view;
    if (index >= this.count) throw view.error(`string ${index} is wanted of ${this.count}`);
    let at = this.#strings + view.u32(this.#offsets + 4 * index);
    if (!this.#utf8) {
      let length = view.u16(at);
      at += 2;
      if (length & 0x8000) {
        length = ((length & 0x7fff) << 16) | view.u16(at);
        at += 2;
      }
      return utf16.decode(view.slice(at, Math.min(2 * length, Math.max(0, this.#end - at))));
    }
    // Two lengths, in characters and in bytes; each takes two bytes where its first bit is set.
    at += view.u8(at) & 0x80 ? 2 : 1;
    let length = view.u8(at++);
    if (length & 0x80) length = ((length & 0x7f) << 8) | view.u8(at++);
    return utf8.decode(view.slice(at, Math.min(length, Math.max(0, this.#end - at))));
  }
}
