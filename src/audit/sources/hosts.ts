/** @file Manners towards servers: few connections at a time, not too many requests a second, and a pause where a server asks for one. */
import { now, sleep } from '../../platform/index.js';

export interface Manners {
  /** Connections to one host at a time. 1 where omitted. */
  readonly connections?: number;
  /** Requests to one host in a second. 1 where omitted. */
  readonly requestsPerSecond?: number;
}

interface Host {
  active: number;
  /** Not before this, on the monotonic clock. */
  next: number;
  readonly waiting: (() => void)[];
}

/** Lets requests through, host by host. */
export class Hosts {
  readonly #connections: number;
  readonly #interval: number;
  readonly #hosts = new Map<string, Host>();

  constructor({ connections = 1, requestsPerSecond = 1 }: Manners = {}) {
    this.#connections = connections;
    this.#interval = 1000 / requestsPerSecond;
  }

  /** Does `work` when it is this request's turn. Rejects with the signal's reason. */
  async take<T>(host: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const state = this.#host(host);
    while (state.active >= this.#connections) {
      await new Promise<void>((resolve) => state.waiting.push(resolve));
      signal?.throwIfAborted();
    }
    state.active++;
    try {
      for (let wait = state.next - now(); wait > 0; wait = state.next - now()) await sleep(wait, signal);
      state.next = now() + this.#interval;
      return await work();
    } finally {
      state.active--;
      state.waiting.shift()?.();
    }
  }

  /** Nothing goes to this host for so long. */
  pause(host: string, ms: number): void {
    const state = this.#host(host);
    state.next = Math.max(state.next, now() + ms);
  }

  #host(host: string): Host {
    let state = this.#hosts.get(host);
    if (state === undefined) this.#hosts.set(host, (state = { active: 0, next: 0, waiting: [] }));
    return state;
  }
}

/** Milliseconds that a `Retry-After` asks for (RFC 9110 §10.2.3): seconds or a date; `undefined` where it says nothing. */
export function retryAfterMs(header: string | null, today = Date.now()): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - today);
}
