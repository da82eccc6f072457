/** @file How long the parts of a network take on this device: as measured here, else as the profile says. */
import type { SplitNetwork } from '../network.js';
import type { SideTimes } from '../profiler/index.js';

/** Weight of a new measurement of a part. */
const WEIGHT = 0.3;

/** Expected durations of parts, ms. */
export class PartTimes {
  readonly #network: SplitNetwork;
  #side: Pick<SideTimes, 'cutMs' | 'exitMs'> | undefined;
  readonly #measured = new Map<string, number>();

  /** `side`: the device's times in a split profile. */
  constructor(network: SplitNetwork, side: Pick<SideTimes, 'cutMs' | 'exitMs'> | undefined) {
    this.#network = network;
    this.#side = side;
  }

  record({ from, to, ms }: { readonly from: number; readonly to: number; readonly ms: number }): void {
    const key = `${from}-${to}`;
    const old = this.#measured.get(key);
    this.#measured.set(key, old === undefined ? ms : old + WEIGHT * (ms - old));
  }

  /** Whether there is neither a profile nor a `calibrate` yet. */
  get unknown(): boolean {
    return this.#side === undefined;
  }

  /** Takes measured parts, from the inputs to the end, for a profile: each one's time is spread over its cuts. */
  calibrate(parts: readonly { readonly from: number; readonly to: number; readonly ms: number }[]): void {
    const cutMs = this.#network.cuts.cuts.map(() => 0);
    for (const { from, to, ms } of parts) for (let cut = from + 1; cut <= to; cut++) cutMs[cut] = ms / (to - from);
    this.#side = { cutMs, exitMs: [] };
  }

  /** What the profile says of a part with these exits, at scale 1; undefined without one. */
  offline(from: number, to: number, exits: readonly number[]): number | undefined {
    if (this.#side === undefined) return undefined;
    const { cutMs, exitMs } = this.#side;
    let ms = 0;
    for (let cut = from + 1; cut <= to; cut++) ms += cutMs[cut] ?? 0;
    this.#network.exits.forEach(({ exit, position }, place) => {
      if (position > from && position <= to && exits.includes(exit)) ms += exitMs[place] ?? 0;
    });
    return ms;
  }

  /** The expected time of a part, under a load of the device; 0 where nothing is known. */
  expected(from: number, to: number, exits: readonly number[], scale: number): number {
    const offline = this.offline(from, to, exits);
    return this.#measured.get(`${from}-${to}`) ?? (offline === undefined ? 0 : scale * offline);
  }

  /**
   * Cuts that divide the network into parts of at most about `longest` ms (single nodes apart), at equal shares of the
   * measured time where there is a profile, else of the number of cuts.
   */
  stops(longest: number): readonly number[] {
    const last = this.#network.cuts.cuts.length - 1;
    const cutMs = this.#side?.cutMs;
    const total = cutMs?.reduce((sum, ms) => sum + ms, 0) ?? 0;
    const parts = cutMs === undefined ? UNKNOWN_PARTS : Math.ceil(total / longest);
    const stops: number[] = [];
    let done = 0;
    for (let cut = 1; cut < last; cut++) {
      done += cutMs?.[cut] ?? 1 / last;
      if (done >= ((cutMs === undefined ? 1 : total) * (stops.length + 1)) / parts) stops.push(cut);
    }
    return stops;
  }
}

/** Parts of a network of which nothing is known. */
const UNKNOWN_PARTS = 8;
