/** @file One direction of an emulated link, in virtual time: bandwidth, latency, jitter, outages, stalled messages. */
import { createRandom, type Random } from '../../platform/index.js';
import { LinkError } from './errors.js';
import type { LinkRate, Sender, Span } from './rate.js';

/** How TCP cuts a message into packets; header bytes count against the bandwidth. */
export interface Packets {
  readonly payload: number;
  readonly header: number;
}

/** Ethernet, IPv4, TCP with timestamps: what a queueing discipline of the kernel counts. */
export const ETHERNET_TCP: Packets = { payload: 1448, header: 66 };

export interface LinkModelOptions {
  readonly rate: LinkRate;
  /** One way, ms; 0 where omitted. */
  readonly latencyMs?: number;
  /** Up to this much more latency, uniformly, ms; 0 where omitted. */
  readonly jitterMs?: number;
  /** When nothing passes: what is on its way then waits. */
  readonly outages?: readonly Span[];
  /** A message comes `ms` late (never, where omitted) with a probability. */
  readonly stalls?: { readonly probability: number; readonly ms?: number };
  /** Packet headers; where omitted the rate counts a message's own bytes alone. */
  readonly packets?: Packets;
  /** Of jitter and stalls; 0 where omitted. */
  readonly seed?: number;
}

/** One direction. Times are ms on any clock; the rate's own times count on the same one. */
export class LinkModel {
  readonly #options: LinkModelOptions;
  readonly #random: Random;
  readonly #queue: Sender;
  #arrived = -Infinity;

  /** Throws LinkError for negative times and probabilities outside 0 to 1. */
  constructor(options: LinkModelOptions) {
    const { latencyMs = 0, jitterMs = 0, stalls, seed = 0 } = options;
    if (!(latencyMs >= 0 && jitterMs >= 0))
      throw new LinkError(`a latency of ${latencyMs} ms with ${jitterMs} ms of jitter is none`);
    if (stalls !== undefined && !(stalls.probability >= 0 && stalls.probability <= 1 && (stalls.ms ?? 0) >= 0))
      throw new LinkError(`stalls of ${stalls.ms} ms with probability ${stalls.probability} are none`);
    this.#options = options;
    this.#random = createRandom(seed);
    this.#queue = options.rate.sender(options.outages);
  }

  /** Milliseconds from `at` until the last of `bytes` arrives, on a link that carries nothing else; Infinity for never. */
  transferMs(bytes: number, at: number): number {
    const { rate, outages } = this.#options;
    return rate.sender(outages).send(this.#onWire(bytes), at) + this.#delay() - at;
  }

  /**
   * Hands a message over at `at`, behind those handed over before: `left` is when its last byte leaves (the next message
   * may begin), `arrives` when it comes. Messages arrive in order, except that none waits for one that never comes.
   * Contract: `at` does not go back.
   */
  send(bytes: number, at: number): { readonly left: number; readonly arrives: number } {
    const left = this.#queue.send(this.#onWire(bytes), at);
    const arrives = Math.max(this.#arrived, left + this.#delay());
    if (arrives < Infinity) this.#arrived = arrives;
    return { left, arrives };
  }

  #onWire(bytes: number): number {
    const { packets } = this.#options;
    return packets === undefined ? bytes : bytes + Math.ceil(bytes / packets.payload) * packets.header;
  }

  #delay(): number {
    const { latencyMs = 0, jitterMs = 0, stalls } = this.#options;
    const jitter = jitterMs === 0 ? 0 : jitterMs * this.#random.next();
    const stalled = stalls !== undefined && this.#random.next() < stalls.probability;
    return latencyMs + jitter + (stalled ? (stalls.ms ?? Infinity) : 0);
  }
}
