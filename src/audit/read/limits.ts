/** @file Named limits on models found in apps: whatever exceeds one ends in an error before time or memory is spent on it. */
import { AuditError } from '../errors.js';

/** What a reader accepts. Every limit may be raised or lowered per call. */
export interface ReadLimits {
  /** Bytes of one model file. */
  readonly maxFileBytes: number;
  /** Bytes that the entries of a bundle unpack to. */
  readonly maxUnpackedBytes: number;
  /** Tables, messages, fields and list items that are looked at; shared or cyclic offsets count each time. */
  readonly maxItems: number;
  /** Layers of one model. */
  readonly maxLayers: number;
  /** Messages, groups or JSON values inside one another. */
  readonly maxDepth: number;
  /** Dims of one tensor. */
  readonly maxRank: number;
  /** Characters of a name; longer ones are cut. */
  readonly maxNameLength: number;
}

/** What is read unless a caller says otherwise. */
export const defaultReadLimits: ReadLimits = {
  maxFileBytes: 2 ** 31 - 1,
  maxUnpackedBytes: 2 ** 30,
  maxItems: 8_000_000,
  maxLayers: 200_000,
  maxDepth: 64,
  maxRank: 16,
  maxNameLength: 4096,
};

/** Counts what one reading has looked at. */
export class ReadBudget {
  readonly limits: ReadLimits;
  readonly format: string;
  #left: number;

  constructor(format: string, limits: ReadLimits) {
    this.format = format;
    this.limits = limits;
    this.#left = limits.maxItems;
  }

  /** Throws AuditError where `count` more items exceed the limit. */
  spend(count: number): void {
    this.#left -= count;
    if (this.#left < 0) throw this.invalid('limit', `it holds more than ${this.limits.maxItems} items`);
  }

  /** An error about this file. */
  invalid(what: string, message: string): AuditError {
    return new AuditError(`${this.format}-${what}`, `not a readable ${this.format} model: ${message}`, {
      hint: 'The file is damaged, or is no model of this format.',
    });
  }

  /** An error about a form of this format that is not read. */
  unsupported(message: string): AuditError {
    return new AuditError(`${this.format}-unsupported`, `this ${this.format} model is not read: ${message}`, {
      kind: 'unsupported',
    });
  }

  /** A rank and dims that may be multiplied without overflow. Throws AuditError otherwise. */
  dims(dims: readonly number[]): readonly number[] {
    if (dims.length > this.limits.maxRank) throw this.invalid('limit', `a tensor has ${dims.length} dims`);
    let size = 1;
    for (const dim of dims) {
      if (!Number.isSafeInteger(dim)) throw this.invalid('dims', `a tensor has a dim of ${dim}`);
      size *= Math.max(1, Math.abs(dim));
    }
    if (!Number.isSafeInteger(size)) throw this.invalid('dims', `a tensor of shape [${dims.join(', ')}]`);
    return dims;
  }
}
