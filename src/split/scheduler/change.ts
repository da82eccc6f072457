/** @file When to schedule again: only where the averaged conditions have moved, and less readily while they keep moving. */
import type { Conditions } from './metrics.js';

export interface ChangeOptions {
  /** Relative change that counts; 0.05 where omitted (SPINN §4.4). */
  readonly threshold?: number;
  /** Observations averaged; 3 where omitted. */
  readonly window?: number;
  /** The threshold doubles with every change soon after another, up to this; 0.4 where omitted. */
  readonly maxThreshold?: number;
}

/**
 * Watches the conditions. An observation is a change where the mean of the last `window` of any condition differs by more
 * than the threshold from its mean at the last change. Each change within `window` observations of another doubles the
 * threshold; each `window` without one halves it again, down to where it began.
 */
export class ChangeDetector {
  readonly #window: number;
  readonly #least: number;
  readonly #most: number;
  #threshold: number;
  #recent: (readonly number[])[] = [];
  #reference: readonly number[] | undefined;
  #quiet = Infinity;

  constructor({ threshold = 0.05, window = 3, maxThreshold = 0.4 }: ChangeOptions = {}) {
    this.#window = window;
    this.#least = this.#threshold = threshold;
    this.#most = maxThreshold;
  }

  /** The relative change that counts at present. */
  get threshold(): number {
    return this.#threshold;
  }

  /** Takes the conditions after an inference; true where it is time to schedule again. The first time always is. */
  observe(conditions: Conditions): boolean {
    const { deviceScale, serverScale, latencyMs, bytesPerMs } = conditions;
    this.#recent = [...this.#recent.slice(1 - this.#window), [deviceScale, serverScale, latencyMs, bytesPerMs]];
    if (this.#window === 1) this.#recent = this.#recent.slice(-1);
    const means = [0, 1, 2, 3].map((k) => this.#recent.reduce((sum, row) => sum + row[k]!, 0) / this.#recent.length);
    const reference = this.#reference;
    const moved =
      reference === undefined ||
      means.some((mean, k) => Math.abs(mean - reference[k]!) > this.#threshold * Math.abs(reference[k]!));
    if (!moved) {
      this.#quiet++;
      if (this.#quiet % this.#window === 0) this.#threshold = Math.max(this.#least, this.#threshold / 2);
      return false;
    }
    if (this.#quiet < this.#window) this.#threshold = Math.min(this.#most, 2 * this.#threshold);
    this.#quiet = 0;
    this.#reference = means;
    return true;
  }

  /** The averaged conditions; undefined before the first observation. */
  averaged(): Conditions | undefined {
    if (this.#recent.length === 0) return undefined;
    const [deviceScale, serverScale, latencyMs, bytesPerMs] = [0, 1, 2, 3].map(
      (k) => this.#recent.reduce((sum, row) => sum + row[k]!, 0) / this.#recent.length,
    ) as [number, number, number, number];
    return { deviceScale, serverScale, latencyMs, bytesPerMs };
  }
}
