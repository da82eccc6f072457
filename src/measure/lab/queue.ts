/**
 * @file The lab's memory as a state machine: devices, jobs and leases. It knows no clock, network or disk: every call is told
 * the time, and everything that must outlive the process leaves as an event; the same events, replayed, give the same state.
 */
import { LabError } from './errors.js';
import type { LabEvent } from './events.js';
import type {
  DeviceState,
  DeviceView,
  JobError,
  JobSpec,
  JobState,
  JobView,
  LabDeviceDescription,
  ModelFormat,
  Outcome,
  ResultView,
} from './protocol.js';

export interface QueueOptions {
  /** A lease ends this long after it was last heard of, ms. */
  readonly leaseMs: number;
  /** Leases of one job that may be lost before it counts as failed. */
  readonly maxAttempts: number;
  /** Devices at most. */
  readonly maxDevices: number;
  /** Unsettled jobs at most. */
  readonly maxJobs: number;
  /** Hears every event, in order. */
  readonly record: (event: LabEvent) => void;
  /** Makes ids of jobs. */
  readonly newId: () => string;
}

export interface LabDevice {
  readonly id: string;
  readonly name: string;
  readonly secretHash: string;
  description: LabDeviceDescription;
  state: DeviceState | undefined;
  joinedAt: number;
  seenAt: number;
}

interface Job {
  readonly id: string;
  readonly device: string | null;
  readonly spec: JobSpec;
  readonly key: string;
  readonly submittedAt: number;
  state: JobState;
  attempts: number;
  /** While running. */
  lease: { readonly id: string; readonly device: string; until: number } | undefined;
  /** Who settled it, and under which lease. */
  settled:
    { readonly at: number; readonly lease?: string; readonly device?: string; readonly outcome: Outcome } | undefined;
}

/** What a request for work gives. */
export interface LeasedJob {
  readonly id: string;
  readonly spec: JobSpec;
  readonly attempt: number;
}

/** The queue. Methods that change anything record events; none waits. */
export class LabQueue {
  readonly #options: QueueOptions;
  readonly #devices = new Map<string, LabDevice>();
  readonly #jobs = new Map<string, Job>();
  /** The latest job of a device and configuration. */
  readonly #byKey = new Map<string, Job>();
  /** Every lease that was ever given, and whose. */
  readonly #leases = new Map<string, { readonly job: Job; readonly device: string }>();
  readonly #queued = new Set<Job>();
  readonly #running = new Set<Job>();

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Takes an event of an earlier life. Throws LabError where it cannot follow what came before. */
  replay(event: LabEvent): void {
    this.#apply(event);
  }

  /** After a replay: leases that were running get a whole lease more, since nobody could be heard meanwhile. */
  resume(now: number): void {
    for (const { lease } of this.#running) lease!.until = now + this.#options.leaseMs;
  }

  device(id: string): LabDevice | undefined {
    return this.#devices.get(id);
  }

  deviceNamed(name: string): LabDevice | undefined {
    for (const device of this.#devices.values()) if (device.name === name) return device;
    return undefined;
  }

  /** Whether any device has a secret of this hash. */
  hasSecret(hash: string): boolean {
    for (const { secretHash } of this.#devices.values()) if (secretHash === hash) return true;
    return false;
  }

  /** What a lease was given for. */
  specOf(lease: string): JobSpec | undefined {
    return this.#leases.get(lease)?.job.spec;
  }

  /** A device joins for the first time; its name is made different from others'. Throws LabError where there are too many. */
  join(
    given: { readonly id: string; readonly name: string; readonly secretHash: string },
    description: LabDeviceDescription,
    now: number,
  ): LabDevice {
    if (this.#devices.size >= this.#options.maxDevices)
      throw new LabError('failed', 'lab/full', `there are ${this.#devices.size} devices already`, {
        hint: 'Start a lab in another folder.',
      });
    let name = given.name;
    for (let n = 2; this.deviceNamed(name) !== undefined; n++) name = `${given.name.slice(0, 58)}-${n}`;
    this.#emit({ kind: 'joined', at: now, device: { ...given, name }, description });
    return this.#devices.get(given.id)!;
  }

  /** A known device comes back, perhaps with another browser version or more memory. */
  rejoin(id: string, description: LabDeviceDescription, now: number): LabDevice {
    const device = this.#devices.get(id)!;
    if (JSON.stringify(device.description) !== JSON.stringify(description)) {
      const { name, secretHash } = device;
      this.#emit({ kind: 'joined', at: now, device: { id, name, secretHash }, description });
    }
    this.seen(id, now, description.state);
    return device;
  }

  /** A device was heard of. */
  seen(id: string, now: number, state?: DeviceState): void {
    const device = this.#devices.get(id)!;
    device.seenAt = now;
    if (state !== undefined) device.state = state;
  }

  /**
   * One job per device (or one for any, `null`) and spec. What is there already, unless it failed or was cancelled, is not
   * added again; `again` adds it once it is settled. Throws LabError where too many wait.
   */
  submit(
    devices: readonly (string | null)[],
    specs: readonly JobSpec[],
    now: number,
    again = false,
  ): { readonly jobs: readonly JobView[]; readonly added: number } {
    if (this.#queued.size + this.#running.size + devices.length * specs.length > this.#options.maxJobs)
      throw new LabError('failed', 'lab/full', `more than ${this.#options.maxJobs} jobs would wait`, {
        hint: 'Wait for some of them, or cancel them.',
      });
    let added = 0;
    const jobs: Job[] = [];
    for (const spec of specs)
      for (const device of devices) {
        const known = this.#byKey.get(keyOf(device, spec));
        const redo =
          known === undefined ||
          known.state === 'failed' ||
          known.state === 'cancelled' ||
          (again && known.state === 'done');
        if (redo) {
          const id = this.#options.newId();
          this.#emit({ kind: 'submitted', at: now, id, device, spec });
          jobs.push(this.#jobs.get(id)!);
          added++;
        } else jobs.push(known);
      }
    return { jobs: jobs.map((job) => this.#view(job)), added };
  }

  /**
   * The next job for a device, under the lease that it names; the same lease asked for twice gives the same job. What the
   * device still held under another lease is taken back: it has forgotten it. Jobs that name this device and that it cannot
   * do fail here, with the reason.
   */
  lease(id: string, lease: string, now: number): LeasedJob | undefined {
    this.expire(now);
    this.seen(id, now);
    const known = this.#leases.get(lease);
    if (known !== undefined) {
      const { job } = known;
      if (known.device !== id || job.lease?.id !== lease) return undefined;
      job.lease.until = now + this.#options.leaseMs;
      return { id: job.id, spec: job.spec, attempt: job.attempts };
    }
    const device = this.#devices.get(id)!;
    for (const job of [...this.#running])
      if (job.lease!.device === id) this.#lose(job, 'the agent asked for another job', now);
    for (const job of [...this.#queued]) {
      if (job.device !== null && job.device !== device.name) continue;
      const lacks = lackOf(device.description, job.spec);
      if (lacks === undefined) {
        this.#emit({ kind: 'leased', at: now, job: job.id, lease, device: id });
        job.lease!.until = now + this.#options.leaseMs;
        return { id: job.id, spec: job.spec, attempt: job.attempts };
      }
      if (job.device === null) continue;
      const error: JobError = { kind: 'unsupported', code: 'lab/device-lacks', message: `${device.name} ${lacks}` };
      this.#emit({ kind: 'settled', at: now, job: job.id, device: id, outcome: { kind: 'failed', error } });
    }
    return undefined;
  }

  /** A heartbeat: whether the agent shall go on. */
  beat(id: string, lease: string, now: number): 'go' | 'stop' {
    this.expire(now);
    this.seen(id, now);
    const known = this.#leases.get(lease);
    const running = known?.job.lease;
    if (known?.device !== id || running?.id !== lease) return 'stop';
    running.until = now + this.#options.leaseMs;
    return 'go';
  }

  /**
   * What came of a job, under its lease. True where it is kept, also where it was kept before; false where the job went on
   * without this agent. A result that comes late counts if nobody has taken the job since.
   */
  settle(id: string, lease: string, outcome: Outcome, now: number): boolean {
    this.seen(id, now);
    const known = this.#leases.get(lease);
    if (known === undefined || known.device !== id) return false;
    const { job } = known;
    if (job.settled !== undefined) return job.settled.lease === lease;
    if (job.state === 'cancelled') return false;
    if (job.state === 'running' && job.lease!.id !== lease) return false;
    if (outcome.kind === 'given-up') {
      if (job.state === 'running') this.#lose(job, outcome.why, now);
      return true;
    }
    this.#emit({ kind: 'settled', at: now, job: job.id, lease, device: id, outcome });
    return true;
  }

  /** Ends leases that were not heard of. Returns how many. */
  expire(now: number): number {
    let ended = 0;
    for (const job of [...this.#running])
      if (job.lease!.until <= now) {
        this.#lose(job, 'its agent was not heard of', now);
        ended++;
      }
    return ended;
  }

  /** Cancels a job that is not settled. False where it is, or where there is none. */
  cancel(id: string, now: number): boolean {
    const job = this.#jobs.get(id);
    if (job === undefined || job.settled !== undefined || job.state === 'cancelled') return false;
    this.#emit({ kind: 'cancelled', at: now, job: id });
    return true;
  }

  job(id: string): JobView | undefined {
    const job = this.#jobs.get(id);
    return job && this.#view(job);
  }

  jobs(): readonly JobView[] {
    return [...this.#jobs.values()].map((job) => this.#view(job));
  }

  /** A job that is done, with its value. */
  result(id: string): ResultView | undefined {
    const job = this.#jobs.get(id);
    if (job?.settled?.outcome.kind !== 'done') return undefined;
    const { value, before, after } = job.settled.outcome;
    return { ...this.#view(job), value, ...(before && { before }), ...(after && { after }) };
  }

  results(): readonly ResultView[] {
    return [...this.#jobs.keys()].flatMap((id) => this.result(id) ?? []);
  }

  devices(now: number): readonly DeviceView[] {
    const busy = new Map([...this.#running].map((job) => [job.lease!.device, job.id]));
    return [...this.#devices.values()].map(({ id, name, description, state, joinedAt, seenAt }) => ({
      ...{ id, name, description, joinedAt, seenAt },
      ...(state && { state }),
      live: now - seenAt <= this.#options.leaseMs,
      ...(busy.has(id) && { job: busy.get(id)! }),
    }));
  }

  #lose(job: Job, why: string, now: number): void {
    this.#emit({ kind: 'lost', at: now, job: job.id, lease: job.lease!.id, why });
    if (job.attempts < this.#options.maxAttempts) return;
    const error: JobError = {
      kind: 'failed',
      code: 'lab/vanished',
      message: `${job.attempts} agents in turn did not finish it; of the last one: ${why}`,
    };
    this.#emit({ kind: 'settled', at: now, job: job.id, outcome: { kind: 'failed', error } });
  }

  #emit(event: LabEvent): void {
    this.#apply(event);
    this.#options.record(event);
  }

  #apply(event: LabEvent): void {
    if (event.kind === 'joined') {
      const { id } = event.device;
      const known = this.#devices.get(id);
      const joinedAt = known?.joinedAt ?? event.at;
      const { description } = event;
      if (known !== undefined) Object.assign(known, { description, seenAt: event.at, state: description.state });
      else
        this.#devices.set(id, { ...event.device, description, state: description.state, joinedAt, seenAt: event.at });
      return;
    }
    if (event.kind === 'submitted') {
      const { id, device, spec } = event;
      const key = keyOf(device, spec);
      const job: Job = {
        ...{ id, device, spec, key, submittedAt: event.at, state: 'queued', attempts: 0 },
        ...{ lease: undefined, settled: undefined },
      };
      this.#jobs.set(id, job);
      this.#byKey.set(key, job);
      this.#queued.add(job);
      return;
    }
    const job = this.#jobs.get(event.job);
    if (job === undefined) throw new LabError('invalid', 'lab/journal', `the journal speaks of no job '${event.job}'`);
    this.#move(job, event);
  }

  #move(job: Job, event: Exclude<LabEvent, { readonly kind: 'joined' | 'submitted' }>): void {
    const stands = (right: boolean): void => {
      if (!right)
        throw new LabError('invalid', 'lab/journal', `job '${job.id}' is ${job.state} and cannot be ${event.kind}`);
    };
    const into = (state: JobState): void => {
      job.state = state;
      this.#queued.delete(job);
      this.#running.delete(job);
      if (state === 'queued') this.#queued.add(job);
      if (state === 'running') this.#running.add(job);
      if (state !== 'running') job.lease = undefined;
    };
    switch (event.kind) {
      case 'leased':
        stands(job.state === 'queued');
        job.attempts++;
        job.lease = { id: event.lease, device: event.device, until: event.at + this.#options.leaseMs };
        this.#leases.set(event.lease, { job, device: event.device });
        return into('running');
      case 'lost':
        stands(job.state === 'running' && job.lease?.id === event.lease);
        return into('queued');
      case 'settled': {
        stands(job.state === 'queued' || job.state === 'running');
        const { at, lease, device, outcome } = event;
        job.settled = { at, outcome, ...(lease !== undefined && { lease }), ...(device !== undefined && { device }) };
        return into(outcome.kind === 'done' ? 'done' : 'failed');
      }
      case 'cancelled':
        stands(job.settled === undefined && job.state !== 'cancelled');
        return into('cancelled');
    }
  }

  #view(job: Job): JobView {
    const { id, device, spec, state, attempts, submittedAt, settled, lease } = job;
    const runner = lease?.device ?? settled?.device;
    const runBy = runner === undefined ? undefined : this.#devices.get(runner)?.name;
    return {
      ...{ id, device, spec, state, attempts, submittedAt },
      ...(runBy !== undefined && { runBy }),
      ...(settled !== undefined && { settledAt: settled.at }),
      ...(settled?.outcome.kind === 'failed' && { error: settled.outcome.error }),
    };
  }
}

/** What makes two jobs the same: the device and everything that is asked, except the model's name. */
export function keyOf(device: string | null, spec: JobSpec): string {
  const { kind, model, backend, threads, batch, dims, runs, warmup, minSeconds } = spec;
  const sorted = Object.entries(dims).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([device, kind, model, backend, threads, batch, sorted, runs, warmup, minSeconds]);
}

/** Why a device cannot do a job, as the rest of a sentence; `undefined` where it can. */
export function lackOf({ kinds, backends }: LabDeviceDescription, spec: JobSpec): string | undefined {
  if (!kinds.includes(spec.kind)) return `does not measure '${spec.kind}'`;
  const { format = 'onnx', threads = 1 } = spec;
  const named = spec.backend === 'auto' ? backends : backends.filter(({ name }) => name === spec.backend);
  if (named.length === 0) return `has no back end '${spec.backend}': ${backends.map(({ name }) => name).join(', ')}`;
  const fitting = named.filter(({ formats = ['onnx'] }) => formats.includes(format));
  const on = spec.backend === 'auto' ? '' : ` on '${spec.backend}'`;
  if (fitting.length === 0) return `does not run ${formatNames[format]}${on}`;
  const most = Math.max(...fitting.map(({ maxThreads }) => maxThreads));
  return threads > most ? `runs at most ${most} thread${most === 1 ? '' : 's'}${on}` : undefined;
}

const formatNames: Readonly<Record<ModelFormat, string>> = { onnx: 'ONNX models', tflite: 'TensorFlow Lite models' };
