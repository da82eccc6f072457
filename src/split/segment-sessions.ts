/** @file Sessions of the parts of a split network: opened when first needed, kept while they are used, closed when long unused. */
import { CuttleError } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { openSession, type Session, type SessionOptions } from '../runtime/index.js';
import type { SplitNetwork } from './network.js';

/** Sessions that were asked for after they had been released. Exit code 1. */
export class SegmentsReleasedError extends CuttleError {
  constructor() {
    super('failed', 'split/segments-released', 'the parts of this network have been released', {
      hint: 'Open it again.',
    });
  }
}

export interface SegmentSessionsOptions extends SessionOptions {
  /** Parts that stay loaded, 64 where omitted. Each holds a copy of its weights. */
  readonly keep?: number;
}

interface Entry {
  readonly session: Promise<Session>;
  users: number;
}

/** A cache of sessions, one per part; the least recently used goes first, never one that is running. */
export class SegmentSessions implements AsyncDisposable {
  readonly network: SplitNetwork;
  readonly #options: SessionOptions;
  readonly #keep: number;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  #released = false;

  constructor(network: SplitNetwork, { keep = 64, ...options }: SegmentSessionsOptions = {}) {
    this.network = network;
    this.#keep = keep;
    this.#options = options;
  }

  /** How many parts are loaded. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Does something with the session of the part (from, to] with these exits; it stays open meanwhile. Throws CutError,
   * what the runtime throws, and SegmentsReleasedError.
   */
  async use<T>(from: number, to: number, exits: readonly number[], work: (session: Session) => Promise<T>): Promise<T> {
    if (this.#released) throw new SegmentsReleasedError();
    const key = `${from}-${to}:${exits.join()}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) entry = { session: this.#open(from, to, exits), users: 0 };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    try {
      return await work(await entry.session);
    } catch (error) {
      // A part that cannot be opened is tried afresh next time.
      await entry.session.catch(() => this.#entries.delete(key));
      throw error;
    } finally {
      entry.users--;
      await this.#trim();
    }
  }

  /** Closes every session, after the runs already asked for. */
  async release(): Promise<void> {
    this.#released = true;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(entries.map(close));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #open(from: number, to: number, exits: readonly number[]): Promise<Session> {
    return await openSession(encodeModel(this.network.segment(from, to, exits)), this.#options);
  }

  async #trim(): Promise<void> {
    const closing: Promise<void>[] = [];
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= this.#keep) break;
      if (entry.users > 0) continue;
      this.#entries.delete(key);
      closing.push(close(entry));
    }
    await Promise.all(closing);
  }
}

async function close({ session }: Entry): Promise<void> {
  const opened = await session.catch(() => undefined);
  await opened?.release();
}
