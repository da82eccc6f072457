/** @file The weights of an ncnn network: blocks without names, each stored as a flag in front of it says. */
import type { ReadBudget } from './limits.js';

/** Flags in front of a block (ncnn, `ModelBinFromDataReader`). */
export const ncnnFlags = { float16: 0x01306b47, int8: 0x000d4b38, raw: 0x0002c056 } as const;

interface Block {
  readonly dtype: string;
  readonly bytes: Uint8Array;
}

/** Takes block after block from a `.bin`. */
export class NcnnWeightFile {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #budget: ReadBudget;
  #at = 0;

  constructor(bytes: Uint8Array, budget: ReadBudget) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#budget = budget;
  }

  /** Bytes that nobody took. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** The next `size` numbers; `flagged` where a flag stands before them. Throws AuditError where the file is too short. */
  take(size: number, flagged: boolean): Block {
    if (!flagged) return { dtype: 'float32', bytes: this.#slice(4 * size) };
    const flag = new DataView(this.#slice(4).slice().buffer).getUint32(0, true);
    switch (flag) {
      case ncnnFlags.float16:
        return { dtype: 'float16', bytes: this.#padded(2 * size) };
      case ncnnFlags.int8:
        return { dtype: 'int8', bytes: this.#padded(size) };
      case ncnnFlags.raw:
      case 0:
        return { dtype: 'float32', bytes: this.#slice(4 * size) };
      default:
        // A table of 256 numbers, then an index of one byte for each weight.
        this.#slice(4 * 256);
        return { dtype: 'uint8', bytes: this.#padded(size) };
    }
  }

  #padded(length: number): Uint8Array {
    const bytes = this.#slice(length);
    this.#at = Math.min(this.#bytes.length, this.#at + ((4 - (length % 4)) % 4));
    return bytes;
  }

  #slice(length: number): Uint8Array {
    if (length > this.#view.byteLength - this.#at)
      throw this.#budget.invalid(
        'weights',
        `the weights end at byte ${this.#bytes.length}, and ${length} more are needed`,
      );
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
