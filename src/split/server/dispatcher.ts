/** @file The queue: who is let in, which requests run together, what is dropped. */
import { OipError } from '../oip/status.js';
import type { Engine, Work, WorkResult } from './engine.js';
import type { LoadMeter } from './load-meter.js';

export interface DispatcherOptions {
  /** Samples that may run together. */
  readonly maxBatch: number;
  /** How long a request waits for company while an engine is free, ms. */
  readonly batchDelayMs: number;
  /** Requests that may wait. */
  readonly queue: number;
}

/** A request that has passed all checks. */
export interface Job {
  /** Under which the engine knows the model. */
  readonly model: string;
  /** Requests of equal groups may run together. */
  readonly group: string;
  /** Kind of work, for the meter. */
  readonly kind: string;
  readonly samples: number;
  /** Whether company is possible at all. */
  readonly batches: boolean;
  readonly work: Work;
  /** What it takes where nothing is known better, ms per sample. */
  readonly guessMs: number;
  /** On the clock of `now`; Infinity where there is none. */
  readonly deadlineAt: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface JobResult {
  readonly result: Extract<WorkResult, { readonly ok: true }>;
  readonly queueMs: number;
  readonly computeMs: number;
  readonly load: number;
  /** Samples that ran together. */
  readonly batch: number;
}

/** What the dispatcher tells of its work, for metrics. */
export interface DispatcherEvents {
  onBatch?(samples: number, requests: number, computeMs: number): void;
  /** A request left before it was computed, or its computation was stopped. */
  onDropped?(where: 'queue' | 'engine'): void;
}

interface Waiting {
  readonly job: Job;
  readonly since: number;
  readonly resolve: (result: JobResult) => void;
  readonly reject: (reason: unknown) => void;
  readonly stop: () => void;
  done: boolean;
}

interface Running {
  readonly members: readonly Waiting[];
  readonly endsAt: number;
  readonly cancel: AbortController;
}

/** Puts requests together and hands them to engines, first come, first served. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #meter: LoadMeter;
  readonly #events: DispatcherEvents;
  readonly #now: () => number;
  readonly #idle: Engine[];
  readonly #slots: number;
  readonly #running = new Set<Running>();
  /** In order of arrival, over all groups. */
  readonly #waiting = new Set<Waiting>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    engines: readonly Engine[],
    options: DispatcherOptions,
    meter: LoadMeter,
    now: () => number,
    events: DispatcherEvents = {},
  ) {
    this.#idle = [...engines];
    this.#slots = engines.length;
    this.#options = options;
    this.#meter = meter;
    this.#now = now;
    this.#events = events;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Requests that are being computed. */
  get running(): number {
    let count = 0;
    for (const { members } of this.#running) count += members.length;
    return count;
  }

  /** How long a new request would wait, ms. */
  expectedWaitMs(): number {
    const now = this.#now();
    let ms = 0;
    for (const { endsAt } of this.#running) ms += Math.max(0, endsAt - now);
    for (const { job } of this.#waiting) ms += this.#expected(job);
    return this.#idle.length > 0 && this.#waiting.size === 0 ? 0 : ms / this.#slots;
  }

  /**
   * Waits for a job's turn and computes it. Throws OipError: 'overloaded' where the queue is full or closed, 'too-slow'
   * where the deadline cannot be met (at once where that is clear from the start), 'cancelled' where the signal aborts,
   * and what computing throws.
   */
  submit(job: Job): Promise<JobResult> {
    const now = this.#now();
    const refusal = this.#refusal(job, now);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const stop = (): void => this.#drop(waiting, abandoned(job.signal));
      const waiting: Waiting = { job, since: now, resolve, reject, stop, done: false };
      job.signal.addEventListener('abort', stop, { once: true });
      this.#waiting.add(waiting);
      this.#dispatch();
    });
  }

  /** Lets nothing in any more; what waits is refused, what runs goes on. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const waiting of this.#waiting) this.#drop(waiting, stopping());
  }

  #refusal(job: Job, now: number): OipError | undefined {
    if (job.signal.aborted) return abandoned(job.signal);
    if (this.#closed) return stopping();
    const waitMs = this.expectedWaitMs();
    const retryAfterMs = Math.ceil(Math.max(1, waitMs));
    if (this.#waiting.size >= this.#options.queue)
      return new OipError('overloaded', `${this.#waiting.size} requests are waiting already, which is the limit`, {
        retryAfterMs,
      });
    const left = job.deadlineAt - now;
    const needed = waitMs + this.#expected(job);
    if (needed > left)
      return new OipError(
        'too-slow',
        `the deadline cannot be met: ${needed.toFixed(1)} ms are expected, ${Math.max(0, left).toFixed(1)} ms are left`,
        { retryAfterMs },
      );
    return undefined;
  }

  #expected({ kind, samples, guessMs }: Job): number {
    return this.#meter.expect(kind, samples, guessMs);
  }

  #dispatch(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#idle.length > 0) {
      const batch = this.#nextBatch();
      if (batch === undefined) return;
      if (batch.length > 0) void this.#run(this.#idle.pop()!, batch);
    }
  }

  /** The next batch; undefined where nothing is ready, empty where late requests were dropped instead. */
  #nextBatch(): readonly Waiting[] | undefined {
    const { maxBatch, batchDelayMs } = this.#options;
    const now = this.#now();
    const groups = new Map<string, { readonly members: Waiting[]; samples: number; full: boolean }>();
    for (const waiting of this.#waiting) {
      const { group, samples, batches } = waiting.job;
      const found = groups.get(group);
      if (found === undefined)
        groups.set(group, { members: [waiting], samples, full: !batches || samples >= maxBatch });
      else if (!found.full) {
        if (found.samples + samples > maxBatch) found.full = true;
        else {
          found.members.push(waiting);
          found.samples += samples;
          found.full = found.samples >= maxBatch;
        }
      }
    }
    let soonest = Infinity;
    for (const { members, full } of groups.values()) {
      const ready = members[0]!.since + batchDelayMs;
      if (!full && ready > now) {
        soonest = Math.min(soonest, ready);
        continue;
      }
      return members.filter((waiting) => {
        if (now + this.#expected(waiting.job) <= waiting.job.deadlineAt) return true;
        const message = 'the deadline cannot be met any more: too many requests were before this one';
        this.#drop(waiting, new OipError('too-slow', message, { retryAfterMs: Math.ceil(this.expectedWaitMs()) }));
        return false;
      });
    }
    if (soonest < Infinity) this.#timer = setTimeout(() => this.#dispatch(), Math.max(0, soonest - now));
    return undefined;
  }

  async #run(engine: Engine, members: readonly Waiting[]): Promise<void> {
    const started = this.#now();
    const samples = members.reduce((sum, { job }) => sum + job.samples, 0);
    const { model, kind } = members[0]!.job;
    const cancel = new AbortController();
    const expected = members.reduce((sum, { job }) => sum + this.#expected(job), 0);
    const running: Running = { members, endsAt: started + expected, cancel };
    for (const member of members) this.#waiting.delete(member);
    this.#running.add(running);
    try {
      const work = members.map(({ job }) => job.work);
      const { results, computeMs } = await engine.run(model, work, cancel.signal);
      const longest = started - Math.min(...members.map(({ since }) => since));
      const reached = Math.max(0, ...results.map((result) => (result.ok ? result.reached : 0)));
      const load = this.#meter.record({ kind, samples, reached, computeMs, queueMs: longest, at: this.#now() });
      this.#events.onBatch?.(samples, members.length, computeMs);
      members.forEach((member, index) => {
        const result = results[index]!;
        if (!result.ok) return this.#settle(member, () => member.reject(result.error));
        const queueMs = started - member.since;
        this.#settle(member, () => member.resolve({ result, queueMs, computeMs, load, batch: samples }));
      });
    } catch (error) {
      for (const member of members) this.#settle(member, () => member.reject(error));
    } finally {
      this.#running.delete(running);
      this.#idle.push(engine);
      this.#dispatch();
    }
  }

  /** Answers a request that nobody waits for, and stops computing it where nobody else of its batch waits either. */
  #drop(waiting: Waiting, reason: OipError): void {
    const queued = this.#waiting.delete(waiting);
    this.#settle(waiting, () => {
      this.#events.onDropped?.(queued ? 'queue' : 'engine');
      waiting.reject(reason);
    });
    if (!queued) for (const { members, cancel } of this.#running) if (members.every(({ done }) => done)) cancel.abort();
  }

  #settle(waiting: Waiting, answer: () => void): void {
    if (waiting.done) return;
    waiting.done = true;
    waiting.job.signal.removeEventListener('abort', waiting.stop);
    answer();
  }
}

const stopping = (): OipError => new OipError('overloaded', 'the server is stopping', { retryAfterMs: 1000 });

function abandoned({ reason }: AbortSignal): OipError {
  return reason instanceof OipError
    ? reason
    : new OipError('cancelled', 'the request was cancelled', { cause: reason });
}
