/** @file What unpacking may still cost: one account for an app and everything nested in it. */
import { AuditError } from '../errors.js';
import { type ArchiveLimits } from './limits.js';

export class Budget {
  readonly limits: ArchiveLimits;
  readonly #allowed: number;
  #unpacked = 0;
  #archives = 0;

  /** For a file of `size` bytes. */
  constructor(limits: ArchiveLimits, size: number) {
    this.limits = limits;
    this.#allowed = Math.min(limits.maxTotalBytes, Math.max(limits.ratioFreeBytes, size * limits.maxRatio));
  }

  /** Bytes unpacked so far. */
  get unpacked(): number {
    return this.#unpacked;
  }

  /** Counts unpacked bytes. Throws BudgetError beyond the total or the ratio. */
  spend(bytes: number): void {
    this.#unpacked += bytes;
    if (this.#unpacked > this.#allowed)
      throw new BudgetError(`it unpacks to more than ${this.#allowed} bytes, which only archive bombs do`);
  }

  /** Counts an archive. Throws BudgetError where there are too many. */
  enter(): void {
    if (++this.#archives > this.limits.maxArchives)
      throw new BudgetError(`it holds more than ${this.limits.maxArchives} archives`);
  }
}

/** The whole app asks for more than is granted: nothing of it is read further. */
export class BudgetError extends AuditError {
  constructor(message: string) {
    super('archive-limit', message, { hint: 'Raise the limits where the file can be trusted.' });
  }
}
