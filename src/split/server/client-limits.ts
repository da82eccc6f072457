/** @file What one client may take: requests at a time, and requests per second. */
import { OipError } from '../oip/status.js';

export interface ClientLimits {
  /** Requests at a time. */
  readonly concurrency: number;
  /** Requests per second on average; a second's worth may come at once. Infinity for no limit. */
  readonly rate: number;
}

interface Client {
  active: number;
  tokens: number;
  at: number;
}

/** Clients that are remembered; idle ones are forgotten first. */
const MOST_CLIENTS = 10_000;

/** Counts requests per client. */
export class ClientMeter {
  readonly #limits: ClientLimits;
  readonly #now: () => number;
  readonly #clients = new Map<string, Client>();

  /** `now`: a clock in ms. */
  constructor(limits: ClientLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Lets a client's request in; the returned function takes it out again. Throws OipError 'limited'. */
  enter(id: string): () => void {
    const now = this.#now();
    const { concurrency, rate } = this.#limits;
    const burst = Math.max(1, rate);
    let client = this.#clients.get(id);
    if (client === undefined) {
      this.#forget();
      this.#clients.set(id, (client = { active: 0, tokens: burst, at: now }));
    }
    if (client.active >= concurrency)
      throw new OipError('limited', `this client has ${client.active} requests under way already, which is the limit`, {
        retryAfterMs: 100,
      });
    if (rate < Infinity) {
      client.tokens = Math.min(burst, client.tokens + ((now - client.at) / 1000) * rate);
      client.at = now;
      if (client.tokens < 1)
        throw new OipError('limited', `this client sends more than ${rate} requests per second`, {
          retryAfterMs: Math.ceil(((1 - client.tokens) / rate) * 1000),
        });
      client.tokens--;
    }
    client.active++;
    const entered = client;
    let left = false;
    return () => {
      if (!left) entered.active--;
      left = true;
    };
  }

  #forget(): void {
    if (this.#clients.size < MOST_CLIENTS) return;
    for (const [id, { active }] of this.#clients) {
      if (active > 0) continue;
      this.#clients.delete(id);
      if (this.#clients.size < MOST_CLIENTS / 2) return;
    }
  }
}
