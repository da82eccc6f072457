/** @file What the lab does for each request: the queue with a clock, waiting agents, and a journal that is written before anyone hears. */
import { sha256 } from '../../platform/node/hash.js';
import type { LineLog } from '../../platform/node/line-log.js';
import { randomToken } from '../../platform/node/private-file.js';
import { LabError } from './errors.js';
import { labEventSchema, type LabEvent } from './events.js';
import type { ModelStore } from './models.js';
import {
  parseMessage,
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
import { LabQueue } from './queue.js';
import { parseValue } from './results.js';

export interface ServiceOptions {
  readonly id: string;
  readonly journal: LineLog;
  readonly models: ModelStore;
  readonly leaseMs: number;
  readonly maxAttempts: number;
  readonly maxDevices: number;
  readonly maxJobs: number;
  /** Milliseconds since 1970. */
  readonly time: () => number;
  /** Hears every event once it is in the journal. */
  readonly onEvent?: (event: LabEvent) => void;
  /** Hears every new result once it is in the journal. */
  readonly onResult?: (result: ResultView) => void;
}

/** The longest that a request for work is kept waiting: proxies cut off what says nothing for longer. */
const LONGEST_WAIT_MS = 25_000;

/** A lab without its door. */
export class LabService {
  readonly id: string;
  readonly models: ModelStore;
  readonly queue: LabQueue;
  readonly #options: ServiceOptions;
  readonly #waiting = new Set<() => void>();
  #recorded: LabEvent[] = [];
  #closed = false;
  /** When it last did anything. */
  #awakeAt: number;

  /** Replays the journal. Throws LabError where a line of it is no event or cannot follow the ones before. */
  constructor(options: ServiceOptions) {
    this.#options = options;
    this.id = options.id;
    this.models = options.models;
    this.queue = openQueue(options, (event) => void this.#recorded.push(event));
    this.#awakeAt = options.time();
    this.queue.resume(this.#awakeAt);
  }

  async join({ name, known, description }: JoinRequest): Promise<JoinAnswer> {
    const { leaseMs } = this.#options;
    const device = known && this.queue.device(known.id);
    if (known !== undefined && device?.secretHash === sha256(known.secret)) {
      const { id } = this.queue.rejoin(device.id, description, this.#now());
      await this.#flush();
      return { id, secret: known.secret, name: device.name, leaseMs, lab: this.id };
    }
    const secret = randomToken(24);
    const given = { id: randomToken(9), name, secretHash: sha256(secret) };
    const joined = this.queue.join(given, description, this.#now());
    await this.#flush();
    return { id: joined.id, secret, name: joined.name, leaseMs, lab: this.id };
  }

  /** The next job for a device, waiting for one up to `waitMs`. */
  async lease(
    id: string,
    lease: string,
    waitMs: number,
    state: DeviceState | undefined,
    signal: AbortSignal,
  ): Promise<LeaseAnswer> {
    const until = this.#now() + Math.min(waitMs, LONGEST_WAIT_MS);
    this.queue.seen(id, this.#now(), state);
    for (;;) {
      const job = this.#closed ? undefined : this.queue.lease(id, lease, this.#now());
      await this.#flush();
      const left = until - this.#now();
      if (job !== undefined || left <= 0 || this.#closed || signal.aborted) return { job: job ?? null };
      await this.#news(left, signal);
    }
  }

  async beat(id: string, lease: string): Promise<'go' | 'stop'> {
    const said = this.queue.beat(id, lease, this.#now());
    await this.#flush();
    return said;
  }

  /** Keeps what came of a job. Throws LabError where the value is not what the job's kind gives. */
  async settle(id: string, lease: string, outcome: Outcome): Promise<boolean> {
    const spec = this.queue.specOf(lease);
    const checked: Outcome =
      outcome.kind === 'done' && spec !== undefined
        ? { ...outcome, value: parseValue(spec.kind, outcome.value) }
        : outcome;
    const accepted = this.queue.settle(id, lease, checked, this.#now());
    await this.#flush();
    return accepted;
  }

  /** Adds jobs. Throws LabError where a device or model is not known. */
  async submit({ devices, specs, again }: SubmitRequest): Promise<SubmitAnswer> {
    for (const { kind, format = 'onnx' } of specs)
      if (format !== 'onnx' && kind !== 'latency')
        throw new LabError(
          'unsupported',
          'lab/format',
          `of a model that is not ONNX only latency is measured, not '${kind}'`,
          {
            hint: 'Convert it first: cuttle convert',
          },
        );
    for (const { model } of specs)
      if ((await this.models.size(model)) === undefined)
        throw new LabError('invalid', 'lab/unknown', `the lab holds no model ${model}`, {
          hint: 'Send the model first.',
        });
    for (const name of devices)
      if (this.queue.deviceNamed(name) === undefined) {
        const names = this.devices().map((device) => device.name);
        throw new LabError('usage', 'lab/no-device', `there is no device '${name}'`, {
          hint: names.length > 0 ? `There are: ${names.join(', ')}.` : 'No device has joined yet: cuttle lab join URL.',
        });
      }
    const targets = devices.length > 0 ? devices : [null];
    const { jobs, added } = this.queue.submit(targets, specs, this.#now(), again);
    await this.#flush();
    return { jobs: [...jobs], added };
  }

  /** Throws LabError where there is no such job, or it is settled. */
  async cancel(id: string): Promise<JobView> {
    const job = this.queue.job(id);
    if (job === undefined) throw new LabError('invalid', 'lab/unknown', `there is no job '${id}'`);
    if (!this.queue.cancel(id, this.#now()))
      throw new LabError('usage', 'lab/settled', `job '${id}' is ${job.state} already`);
    await this.#flush();
    return this.queue.job(id)!;
  }

  devices(): readonly DeviceView[] {
    return this.queue.devices(this.#now());
  }

  /** Ends leases that were not heard of. */
  async expire(): Promise<void> {
    this.queue.expire(this.#now());
    await this.#flush();
  }

  /** Lets waiting agents go home. */
  close(): void {
    this.#closed = true;
    for (const wake of [...this.#waiting]) wake();
  }

  /**
   * The time. Where the lab itself slept (a closed laptop, a stopped process) leases count anew from here: agents spoke to
   * nobody, which is not their fault. Regular calls of `expire` keep it awake.
   */
  #now(): number {
    const { time, leaseMs } = this.#options;
    const now = time();
    if (now - this.#awakeAt > leaseMs / 2) this.queue.resume(now);
    this.#awakeAt = now;
    return now;
  }

  /** Writes what happened, then wakes whoever waits for it. */
  async #flush(): Promise<void> {
    const events = this.#recorded;
    this.#recorded = [];
    const { journal, onEvent, onResult } = this.#options;
    // Without events it still waits for what is being written: an answer must not say what a crash could undo.
    await journal.append(events.map((event) => JSON.stringify(event)));
    for (const event of events) {
      onEvent?.(event);
      if (event.kind !== 'settled' || event.outcome.kind !== 'done') continue;
      const result = this.queue.result(event.job);
      if (result !== undefined) onResult?.(result);
    }
    if (events.some(({ kind }) => kind === 'submitted' || kind === 'lost'))
      for (const wake of [...this.#waiting]) wake();
  }

  #news(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal.addEventListener('abort', wake, { once: true });
      this.#waiting.add(wake);
    });
  }
}

/** A queue that has lived through a journal. Throws LabError. */
export function openQueue(
  {
    journal,
    ...limits
  }: Pick<ServiceOptions, 'leaseMs' | 'maxAttempts' | 'maxDevices' | 'maxJobs'> & {
    readonly journal: Pick<LineLog, 'lines'>;
  },
  record: (event: LabEvent) => void,
): LabQueue {
  const queue = new LabQueue({ ...limits, record, newId: () => `j${randomToken(8)}` });
  journal.lines.forEach((line, index) => {
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch (cause) {
      throw new LabError('invalid', 'lab/journal', `line ${index + 1} of the journal is not JSON`, { cause });
    }
    queue.replay(parseMessage(labEventSchema, json, `line ${index + 1} of the journal`));
  });
  return queue;
}
