/** @file An agent: joins a lab, takes one job after another, keeps its lease while it measures, hands in what came of it. */
import { CuttleError } from '../../ir/index.js';
import { sleep } from '../../platform/index.js';
import { LabUnreachableError, type LabClient } from './client.js';
import { LabError } from './errors.js';
import type { DeviceState, JobSpec, JoinAnswer, LabDeviceDescription, LeaseAnswer, Outcome } from './protocol.js';

/** What remembers who an agent is between its lives. */
export interface AgentIdentity {
  load(): Promise<{ readonly id: string; readonly secret: string } | undefined>;
  save(known: { readonly id: string; readonly secret: string }): Promise<void>;
}

export interface AgentJob {
  readonly id: string;
  readonly spec: JobSpec;
  readonly attempt: number;
}

export type AgentEvent =
  | { readonly kind: 'joined'; readonly name: string }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'started'; readonly job: AgentJob }
  | { readonly kind: 'ended'; readonly job: AgentJob; readonly outcome: Outcome; readonly accepted: boolean }
  | { readonly kind: 'stopped'; readonly job: AgentJob }
  | { readonly kind: 'unreachable'; readonly why: string; readonly againMs: number };

export interface AgentOptions {
  /** With the join token. */
  readonly client: LabClient;
  /** Name that the device asks for. */
  readonly name: string;
  readonly describe: () => Promise<LabDeviceDescription>;
  /** What changes from minute to minute; asked before and after each job. */
  readonly state?: () => Promise<DeviceState>;
  readonly identity: AgentIdentity;
  /** Waits until the device can measure; asked before each job. What it throws ends the agent. */
  readonly ready?: (signal: AbortSignal | undefined) => Promise<void>;
  /** Measures. What it throws becomes the job's failure: CuttleErrors as they are, others as 'failed'. */
  readonly execute: (job: AgentJob, model: Uint8Array, signal: AbortSignal) => Promise<unknown>;
  readonly newId: () => string;
  readonly onEvent?: (event: AgentEvent) => void;
  /** Ends after this many jobs; never where omitted. */
  readonly maxJobs?: number;
  /** Waits this long for work at a time; 25 s where omitted. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

/** Throw it from `execute` where another attempt may succeed: the job goes back to the queue. */
export class GiveUpError extends CuttleError {
  constructor(why: string, cause?: unknown) {
    super('failed', 'lab/given-up', why, { cause });
  }
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/**
 * Works for a lab until the signal aborts or `maxJobs` are done. A lab that cannot be reached is asked again and again;
 * throws LabError where it refuses the agent, as for a wrong token, and the signal's reason.
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { client, identity, newId, onEvent, signal, waitMs = 25_000 } = options;
  const patient = async <T>(ask: () => Promise<T>, stop: AbortSignal | undefined = signal): Promise<T> => {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(LONGEST_PAUSE_MS, 2 * pause))
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof LabUnreachableError)) throw error;
        onEvent?.({ kind: 'unreachable', why: error.message, againMs: pause });
        await sleep(pause, stop);
      }
  };
  const join = async (): Promise<JoinAnswer> => {
    const known = await identity.load();
    const description = await options.describe();
    const request = { name: options.name, description };
    const joined = await patient(() => client.join({ ...request, ...(known && { known }) }, signal));
    await identity.save({ id: joined.id, secret: joined.secret });
    onEvent?.({ kind: 'joined', name: joined.name });
    return joined;
  };

  let joined = await join();
  for (let done = 0; done < (options.maxJobs ?? Infinity);) {
    signal?.throwIfAborted();
    const own = client.as(joined.secret);
    await options.ready?.(signal);
    onEvent?.({ kind: 'waiting' });
    const lease = newId();
    const state = await options.state?.();
    let answer: LeaseAnswer;
    try {
      const request = { lease, waitMs, ...(state && { state }) };
      answer = await patient(() => own.lease(joined.id, request, signal));
    } catch (error) {
      // The lab has been emptied, or another one stands there now.
      if (!(error instanceof LabError && error.code === 'lab/token')) throw error;
      joined = await join();
      continue;
    }
    if (answer.job === null) continue;
    const { job } = answer;
    onEvent?.({ kind: 'started', job });
    const stop = new AbortController();
    const both = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
    const beating = keep(own, joined, lease, stop, both);
    let outcome: Outcome | undefined;
    try {
      outcome = await perform(options, own, job, both);
    } finally {
      const stopped = stop.signal.aborted;
      stop.abort();
      await beating;
      if (stopped) onEvent?.({ kind: 'stopped', job });
      else if (outcome === undefined && signal?.aborted) await farewell(own, joined.id, lease);
    }
    if (outcome === undefined) continue;
    const accepted = await patient(() => own.settle(joined.id, lease, outcome, signal));
    onEvent?.({ kind: 'ended', job, outcome, accepted });
    done++;
  }
}

/** What came of a job; `undefined` where it was stopped. */
async function perform(
  { execute, state }: AgentOptions,
  client: LabClient,
  job: AgentJob,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  try {
    const model = await client.model(job.spec.model, signal);
    const before = await state?.();
    const value = await execute(job, model, signal);
    const after = await state?.();
    return { kind: 'done', value, ...(before && { before }), ...(after && { after }) };
  } catch (error) {
    if (signal.aborted) return undefined;
    if (error instanceof LabUnreachableError || error instanceof GiveUpError)
      return { kind: 'given-up', why: error.message.slice(0, 500) };
    const known = error instanceof CuttleError ? error : undefined;
    const message = (error instanceof Error ? error.message : String(error)).slice(0, 2000);
    const hint = known?.hint === undefined ? {} : { hint: known.hint.slice(0, 2000) };
    return {
      kind: 'failed',
      error: { kind: known?.kind ?? 'failed', code: known?.code ?? 'lab/agent', message, ...hint },
    };
  }
}

/** Heartbeats until the job ends. A lab that cannot be reached for a while is no reason to stop: the lease may outlast it. */
async function keep(
  client: LabClient,
  { id, leaseMs }: JoinAnswer,
  lease: string,
  stop: AbortController,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted)
    try {
      await sleep(leaseMs / 3, signal);
      if ((await client.beat(id, lease, signal)) === 'stop') stop.abort();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof LabError && !(error instanceof LabUnreachableError)) stop.abort();
    }
}

/** Gives a job back before leaving, so that nobody waits for the lease to end. A lab that does not hear it waits. */
async function farewell(client: LabClient, id: string, lease: string): Promise<void> {
  try {
    await client.settle(id, lease, { kind: 'given-up', why: 'the agent was stopped' }, AbortSignal.timeout(2000));
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
  }
}
