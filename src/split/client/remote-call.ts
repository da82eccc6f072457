/** @file One request under way: its outcome can be looked at without waiting, waited for up to a time, or called off. */
import { now } from '../../platform/index.js';
import { failureOf, type PreparedRequest, type RemoteFailure, type RemoteReply } from './transport.js';

/** How a request ended. */
export type RemoteOutcome =
  | { readonly ok: true; readonly reply: RemoteReply; readonly ms: number }
  | { readonly ok: false; readonly failure: RemoteFailure; readonly ms: number };

/** A request that has been sent. Nothing here throws because of network or server. */
export class RemoteCall {
  readonly startedAt = now();
  readonly bytes: number;
  #outcome: RemoteOutcome | undefined;
  readonly #controller = new AbortController();
  readonly #settled: Promise<void>;

  /** `check` throws OipError for a reply that cannot be an answer. */
  constructor(request: PreparedRequest, check: (reply: RemoteReply) => void = () => undefined) {
    this.bytes = request.bytes;
    const elapsed = (): number => now() - this.startedAt;
    this.#settled = send(request, this.#controller.signal)
      .then((reply) => {
        check(reply);
        this.#outcome ??= { ok: true, reply, ms: elapsed() };
      })
      .catch((cause: unknown) => {
        this.#outcome ??= { ok: false, failure: failureOf(cause), ms: elapsed() };
      });
  }

  /** Undefined while it is under way. */
  get outcome(): RemoteOutcome | undefined {
    return this.#outcome;
  }

  /** Resolves when the request has ended, when `until` (on the clock of `now`) has come, or when a signal aborts. */
  async wait(until: number, signal?: AbortSignal): Promise<void> {
    if (this.#outcome !== undefined || signal?.aborted) return;
    const ms = until - now();
    if (!(ms > 0)) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let wake = (): void => undefined;
    const other = new Promise<void>((resolve) => {
      wake = resolve;
      // Timers take no more than 2^31 − 1 ms.
      if (ms < 2 ** 31 - 1) timer = setTimeout(resolve, ms);
      signal?.addEventListener('abort', wake, { once: true });
    });
    await Promise.race([this.#settled, other]);
    clearTimeout(timer);
    signal?.removeEventListener('abort', wake);
  }

  /** Calls the request off: the connection is closed, which tells the server. What still comes is dropped. */
  cancel(failure: RemoteFailure): void {
    this.#outcome ??= { ok: false, failure, ms: now() - this.startedAt };
    this.#controller.abort(new DOMException(failure.message, 'AbortError'));
  }
}

/** What throws at once rejects like what throws later. */
async function send(request: PreparedRequest, signal: AbortSignal): Promise<RemoteReply> {
  return await request.send(signal);
}
