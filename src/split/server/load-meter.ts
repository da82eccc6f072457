/** @file How busy the server is: what kinds of work cost when it is idle, and how much slower they are now. */

/** Weight of a new observation in what a kind of work costs. */
const WEIGHT = 0.2;
/** Half-life of the load while nothing comes, ms. */
const HALF_LIFE_MS = 5000;

interface Cost {
  /** Per sample, as it is lately. */
  perSampleMs: number;
  /**
   * The least for as many samples together that went as far (`samples→exit`): without load. Grows slowly, so that one
   * lucky run does not rule for ever.
   */
  readonly idle: Map<string, number>;
}

/** Kinds that are remembered: clients choose thresholds, and with them kinds. The oldest goes first. */
const MOST_KINDS = 1000;

/** One batch. */
export interface Observed {
  readonly kind: string;
  readonly samples: number;
  readonly reached: number;
  readonly computeMs: number;
  readonly queueMs: number;
  /** On the clock of all other times. */
  readonly at: number;
}

/** Costs by kind of work (model, cut, exits), and the slow-down of late. */
export class LoadMeter {
  readonly #costs = new Map<string, Cost>();
  #load = 1;
  #at = 0;

  /** What a kind of work is known to cost before any of it has run. */
  seed(kind: string, ms: number): void {
    this.#costs.set(kind, { perSampleMs: ms, idle: new Map([[`1→0`, ms]]) });
  }

  /** Forgets a model's kinds of work. */
  forget(prefix: string): void {
    for (const kind of this.#costs.keys()) if (kind.startsWith(prefix)) this.#costs.delete(kind);
  }

  /** Expected ms for so many samples; `fallback` where such work has never run. */
  expect(kind: string, samples: number, fallback: number): number {
    const known = this.#costs.get(kind)?.perSampleMs;
    return samples * (known ?? fallback);
  }

  /**
   * A batch of `samples` that went as far as exit `reached` (0 for whole inferences) took `computeMs`, and the request
   * that waited longest before it `queueMs`. Returns the load now.
   */
  record({ kind, samples, reached, computeMs, queueMs, at }: Observed): number {
    let cost = this.#costs.get(kind);
    if (cost === undefined) {
      if (this.#costs.size >= MOST_KINDS) this.#costs.delete(this.#costs.keys().next().value!);
      this.#costs.set(kind, (cost = { perSampleMs: computeMs / samples, idle: new Map() }));
    }
    cost.perSampleMs += WEIGHT * (computeMs / samples - cost.perSampleMs);
    const size = `${2 ** Math.floor(Math.log2(samples))}→${reached}`;
    const before = cost.idle.get(size);
    const idle = before === undefined ? computeMs : Math.min(before * 1.001, computeMs);
    cost.idle.set(size, idle);
    // Against one sample alone on an idle server, where that has been seen: waiting for company is load too.
    const alone = cost.idle.get(`1→${reached}`) ?? idle;
    const slowdown = Math.max(1, (computeMs + queueMs) / Math.max(alone, 0.01));
    this.#load = this.load(at) + WEIGHT * (slowdown - this.load(at));
    this.#at = at;
    return this.#load;
  }

  /** Slow-down of late, 1 or more; fades while nothing is computed. */
  load(at: number): number {
    return 1 + (this.#load - 1) * 2 ** (-(at - this.#at) / HALF_LIFE_MS);
  }
}
