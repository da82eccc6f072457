/** @file The lab over HTTP, as agents and owners use it; `fetch` alone, so it runs in Node and browsers. */
import type * as z from 'zod/mini';
import { now as clock, sleep } from '../../platform/index.js';
import { LabError } from './errors.js';
import {
  beatAnswerSchema,
  deviceListSchema,
  joinAnswerSchema,
  jobListSchema,
  jobViewSchema,
  leaseAnswerSchema,
  parseMessage,
  resultAnswerSchema,
  resultListSchema,
  resultViewSchema,
  submitAnswerSchema,
  type BeatAnswer,
  type DeviceState,
  type DeviceView,
  type JobView,
  type JoinAnswer,
  type JoinRequest,
  type LeaseAnswer,
  type Outcome,
  type ResultView,
  type SubmitAnswer,
  type SubmitRequest,
} from './protocol.js';

export interface LabClientOptions {
  /** Where the lab listens, such as `http://127.0.0.1:8420`. */
  readonly url: string;
  /** The owner's token, the join token, or a device's secret. */
  readonly token: string;
  readonly fetch?: typeof fetch;
  /** A request without an answer is given up after this long; 60 s where omitted. */
  readonly timeoutMs?: number;
}

interface Asked {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly body?: unknown;
  readonly bytes?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

/** The lab cannot be reached, or answered with an error of its own: ask again later. */
export class LabUnreachableError extends LabError {
  constructor(url: string, why: string, cause?: unknown) {
    super('failed', 'lab/unreachable', `the lab at ${url} cannot be reached: ${why}`, {
      hint: 'Is `cuttle lab serve` running there?',
      cause,
    });
  }
}

/** Speaks with a lab. Methods throw LabUnreachableError, and LabError for what the lab refuses. */
export class LabClient {
  readonly url: string;
  readonly #options: LabClientOptions;

  constructor(options: LabClientOptions) {
    this.#options = options;
    this.url = options.url.replace(/\/+$/, '');
  }

  /** The same lab with another token. */
  as(token: string): LabClient {
    return new LabClient({ ...this.#options, token });
  }

  /** An agent's device becomes known. With the join token. */
  join(request: JoinRequest, signal?: AbortSignal): Promise<JoinAnswer> {
    return this.#json('agents', { method: 'POST', body: request, signal }, joinAnswerSchema);
  }

  /** Asks for work, and waits for it up to `waitMs`. With a device's secret. */
  lease(
    device: string,
    request: { readonly lease: string; readonly waitMs: number; readonly state?: DeviceState },
    signal?: AbortSignal,
  ): Promise<LeaseAnswer> {
    return this.#json(`agents/${device}/lease`, { method: 'POST', body: request, signal }, leaseAnswerSchema);
  }

  /** Keeps a lease. With a device's secret. */
  async beat(device: string, lease: string, signal?: AbortSignal): Promise<BeatAnswer['say']> {
    const path = `agents/${device}/leases/${lease}/beat`;
    return (await this.#json(path, { method: 'POST', body: {}, signal }, beatAnswerSchema)).say;
  }

  /** Hands in what came of a job; the same more than once does no harm. With a device's secret. */
  async settle(device: string, lease: string, outcome: Outcome, signal?: AbortSignal): Promise<boolean> {
    const path = `agents/${device}/leases/${lease}/result`;
    return (await this.#json(path, { method: 'POST', body: outcome, signal }, resultAnswerSchema)).accepted;
  }

  /** A model's bytes. With a device's secret or the owner's token. */
  async model(sha256: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const response = await this.#ask(`models/${sha256}`, { method: 'GET', signal });
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Whether the lab holds a model. */
  async holds(sha256: string, signal?: AbortSignal): Promise<boolean> {
    try {
      await this.#ask(`models/${sha256}/size`, { method: 'GET', signal });
      return true;
    } catch (error) {
      if (error instanceof LabError && error.code === 'lab/unknown') return false;
      throw error;
    }
  }

  /** Gives the lab a model. With the owner's token. */
  async putModel(sha256: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#ask(`models/${sha256}`, { method: 'PUT', bytes, signal });
  }

  /** Adds jobs. With the owner's token. */
  submit(request: SubmitRequest, signal?: AbortSignal): Promise<SubmitAnswer> {
    return this.#json('jobs', { method: 'POST', body: request, signal }, submitAnswerSchema);
  }

  async jobs(signal?: AbortSignal): Promise<readonly JobView[]> {
    return (await this.#json('jobs', { method: 'GET', signal }, jobListSchema)).jobs;
  }

  job(id: string, signal?: AbortSignal): Promise<JobView> {
    return this.#json(`jobs/${id}`, { method: 'GET', signal }, jobViewSchema);
  }

  cancel(id: string, signal?: AbortSignal): Promise<JobView> {
    return this.#json(`jobs/${id}/cancel`, { method: 'POST', body: {}, signal }, jobViewSchema);
  }

  async devices(signal?: AbortSignal): Promise<readonly DeviceView[]> {
    return (await this.#json('devices', { method: 'GET', signal }, deviceListSchema)).devices;
  }

  async results(signal?: AbortSignal): Promise<readonly ResultView[]> {
    return (await this.#json('results', { method: 'GET', signal }, resultListSchema)).results;
  }

  result(id: string, signal?: AbortSignal): Promise<ResultView> {
    return this.#json(`results/${id}`, { method: 'GET', signal }, resultViewSchema);
  }

  /** Waits until a job is settled, or for `maxMs`; asks once a second. */
  async settled(
    id: string,
    options: { readonly maxMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<JobView> {
    const until = clock() + (options.maxMs ?? Infinity);
    for (;;) {
      const job = await this.job(id, options.signal);
      if ((job.state !== 'queued' && job.state !== 'running') || clock() >= until) return job;
      await sleep(1000, options.signal);
    }
  }

  async #json<Schema extends z.ZodMiniType>(path: string, asked: Asked, schema: Schema): Promise<z.infer<Schema>> {
    const response = await this.#ask(path, asked);
    return parseMessage(schema, await jsonOf(response, this.url), `the lab's answer to ${asked.method} ${path}`);
  }

  async #ask(path: string, { method, body, bytes, signal }: Asked): Promise<Response> {
    const { token, timeoutMs = 60_000 } = this.#options;
    const given = body === undefined ? (bytes as BodyInit | undefined) : JSON.stringify(body);
    const timeout = AbortSignal.timeout(timeoutMs);
    const type = body === undefined ? 'application/octet-stream' : 'application/json';
    let response: Response;
    try {
      response = await (this.#options.fetch ?? fetch)(`${this.url}/lab/v1/${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(given !== undefined && { 'content-type': type }) },
        ...(given !== undefined && { body: given }),
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new LabUnreachableError(this.url, reasonOf(cause), cause);
    }
    if (response.ok) return response;
    if (response.status >= 500) throw new LabUnreachableError(this.url, `it answered ${response.status}`);
    throw refusalOf(response.status, await jsonOf(response, this.url));
  }
}

async function jsonOf(response: Response, url: string): Promise<unknown> {
  try {
    return await response.json();
  } catch (cause) {
    throw new LabUnreachableError(url, 'what answers there is no lab', cause);
  }
}

/** `fetch` hides why behind its cause. */
function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}

const KINDS = ['failed', 'usage', 'invalid', 'unsupported'] as const;

function refusalOf(status: number, json: unknown): LabError {
  const { kind, code, message, hint } = ((json as { readonly error?: unknown } | null)?.error ?? {}) as Readonly<
    Record<string, unknown>
  >;
  return new LabError(
    KINDS.find((known) => known === kind) ?? 'failed',
    typeof code === 'string' && code.startsWith('lab/') ? (code as `lab/${string}`) : 'lab/refused',
    typeof message === 'string' ? message : `the lab refused the request (status ${status})`,
    typeof hint === 'string' ? { hint } : {},
  );
}
