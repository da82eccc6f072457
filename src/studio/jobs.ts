/** @file Runs started from the page: the same command in a process of its own, its events kept for whoever looks. */
import * as z from 'zod/mini';
import { inEnglish } from '../platform/index.js';
import { startChildRun, type ChildRun } from '../platform/node/child-run.js';
import { workerUrl } from '../platform/node/workers.js';
import { RefusedError } from './errors.js';
import type { JobEvent, JobView } from './messages.js';
import type { EventOfRun } from './run-events.js';
import type { WorkspaceFiles } from './workspace.js';

/** Runs at a time: training takes every core. */
const MAX_RUNNING = 2;
/** Runs that are remembered. */
const MAX_KEPT = 50;
/** Events of one run that are kept; the oldest steps of training are thinned first. */
const MAX_EVENTS = 20_000;

const name = z.string().check(z.regex(/^[a-z0-9][a-z0-9-]{0,40}$/i, 'must be letters, digits and dashes'));
const path = z.string().check(z.minLength(1), z.maxLength(400));
const whole = z.int().check(z.gte(1), z.lte(1000));
const budget = z.string().check(z.regex(/^\d+(\.\d+)?(%|ms)$/, 'must be such as 50% or 4ms'));
/** A registered data set, or a folder or file of the workspace as `./PATH`. */
const data = z.string().check(z.regex(/^(\.\/.{1,400}|[a-z0-9-]{1,40})$/, 'must be a known name or ./PATH'));

const requestSchema = z.discriminatedUnion('verb', [
  z.strictObject({ verb: z.literal('demo'), out: path, epochs: z.optional(whole), exitEpochs: z.optional(whole) }),
  z.strictObject({ verb: z.literal('train'), arch: name, data, out: path, epochs: z.optional(whole) }),
  z.strictObject({
    verb: z.literal('adapt'),
    ...{ model: path, data, out: path },
    budgets: z.array(budget).check(z.minLength(1), z.maxLength(8)),
    epochs: z.optional(whole),
    limit: z.optional(z.int().check(z.gte(10), z.lte(1_000_000))),
  }),
  z.strictObject({
    verb: z.literal('split'),
    model: path,
    data,
    out: path,
    limit: z.optional(z.int().check(z.gte(10))),
  }),
  z.strictObject({ verb: z.literal('lab'), out: path, others: z.optional(z.boolean()) }),
  z.strictObject({ verb: z.literal('eval'), model: path, data, limit: z.optional(z.int().check(z.gte(10))) }),
]);

type JobRequest = z.infer<typeof requestSchema>;

interface Job {
  view: JobView;
  readonly run: ChildRun;
  readonly events: JobEvent[];
  readonly listeners: Set<() => void>;
}

/** All runs of one studio. */
export class Jobs {
  readonly #files: WorkspaceFiles;
  readonly #jobs = new Map<number, Job>();
  #next = 1;

  constructor(files: WorkspaceFiles) {
    this.#files = files;
  }

  list(): readonly JobView[] {
    return [...this.#jobs.values()].map(({ view }) => view).reverse();
  }

  /** Starts a run. Throws RefusedError for what is no request, PathOutsideError, and where too many run already. */
  async start(json: unknown): Promise<JobView> {
    const parsed = requestSchema.safeParse(json, inEnglish);
    if (!parsed.success) {
      const { path: at, message } = parsed.error.issues[0]!;
      throw new RefusedError(400, 'job', `${at.join('.') || 'the run'}: ${message}`, 'Correct the form and try again.');
    }
    // A lab's server waits for others: it takes nobody's turn.
    const running = [...this.#jobs.values()].filter(
      ({ view }) => view.endedMs === undefined && view.verb !== 'lab',
    ).length;
    if (running >= MAX_RUNNING && parsed.data.verb !== 'lab')
      throw new RefusedError(409, 'busy', `${running} runs are under way`, 'Wait for one to end, or stop it.');
    const words = await this.#words(parsed.data);
    const id = this.#next++;
    const events: JobEvent[] = [];
    const listeners = new Set<() => void>();
    const add = (event: JobEvent): void => {
      events.push(event);
      if (events.length > MAX_EVENTS) thin(events);
      for (const listener of listeners) listener();
    };
    const run = startChildRun(workerUrl(import.meta.url, '../cli/main.js'), [...words, '--json'], {
      cwd: this.#files.root,
      onLine: (text) => add({ kind: 'line', text }),
      onMessage: (message) => {
        if (isRunEvent(message)) add({ kind: 'event', event: message });
      },
      onOutput: (text) => {
        try {
          add({ kind: 'output', json: JSON.parse(text) as unknown });
        } catch {
          if (text.trim() !== '') add({ kind: 'line', text });
        }
      },
    });
    const view: JobView = {
      ...{ id, verb: parsed.data.verb, state: 'running', startedMs: Date.now() },
      command: `cuttle ${words.map((word) => (/^[\w./%=-]+$/.test(word) ? word : `'${word}'`)).join(' ')}`,
    };
    const job: Job = { view, run, events, listeners };
    this.#jobs.set(id, job);
    void run.ended.then((code) => {
      const asked = job.view.state === 'stopped';
      job.view = {
        ...job.view,
        ...{ state: code === 0 ? 'done' : asked ? 'stopped' : 'failed', endedMs: Date.now(), code },
      };
      add({ kind: 'state', job: job.view });
    });
    this.#forget();
    return view;
  }

  /** Asks a run to stop: what it computed is kept. A second time ends it at once. */
  stop(id: number): JobView {
    const job = this.#job(id);
    if (job.view.endedMs === undefined) {
      job.view = { ...job.view, state: 'stopped' };
      job.run.interrupt();
    }
    return job.view;
  }

  /** The events of a run from number `from` on, as they come; ends with the run or when nobody listens any more. */
  async *events(id: number, from: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const job = this.#job(id);
    yield { kind: 'state', job: job.view };
    let wake = (): void => undefined;
    const listener = (): void => wake();
    job.listeners.add(listener);
    signal.addEventListener('abort', listener);
    try {
      for (let next = from; !signal.aborted;) {
        if (next < job.events.length) yield job.events[next++]!;
        else if (job.view.endedMs !== undefined) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      job.listeners.delete(listener);
      signal.removeEventListener('abort', listener);
    }
  }

  /** Stops everything and waits for it; what has not ended within `graceMs` is ended. */
  async close(graceMs = 3000): Promise<void> {
    const running = [...this.#jobs.values()].filter(({ view }) => view.endedMs === undefined);
    for (const { run } of running) run.interrupt();
    const timer = setTimeout(() => running.forEach(({ run }) => run.kill()), graceMs);
    await Promise.all(running.map(({ run }) => run.ended));
    clearTimeout(timer);
  }

  #job(id: number): Job {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new RefusedError(404, 'no-job', `there is no run ${id}`);
    return job;
  }

  #forget(): void {
    for (const [id, { view }] of this.#jobs)
      if (this.#jobs.size > MAX_KEPT && view.endedMs !== undefined) this.#jobs.delete(id);
  }

  /** The command line; every path lies inside the workspace and is given relative to it, never as an option's look-alike. */
  async #words(request: JobRequest): Promise<readonly string[]> {
    const inside = async (relative: string): Promise<string> => {
      await this.#files.path(relative);
      return `./${relative}`;
    };
    const target = async (relative: string): Promise<string> => {
      await this.#files.target(relative);
      return `./${relative}`;
    };
    const images = async (source: string): Promise<string> =>
      source.startsWith('./') ? await inside(source.slice(2)) : source;
    const given = (flag: string, value: number | undefined): readonly string[] =>
      value === undefined ? [] : [flag, String(value)];
    switch (request.verb) {
      case 'demo':
        return [
          ...['demo', '--out', await target(request.out)],
          ...given('--epochs', request.epochs),
          ...given('--exit-epochs', request.exitEpochs),
        ];
      case 'train':
        return [
          ...[
            'train',
            '--arch',
            request.arch,
            '--data',
            await images(request.data),
            '--out',
            await target(request.out),
          ],
          ...given('--epochs', request.epochs),
        ];
      case 'adapt':
        return [
          ...['adapt', await inside(request.model), '--data', await images(request.data)],
          ...['--out', await target(request.out), '--budget', ...request.budgets],
          ...given('--epochs', request.epochs),
          ...given('--limit', request.limit),
        ];
      case 'split':
        return [
          ...['split', 'table', await inside(request.model), '--data', await images(request.data)],
          ...['--out', await target(request.out)],
          ...given('--limit', request.limit),
        ];
      case 'lab':
        return [
          ...['lab', 'serve', '--dir', await target(request.out), '--port', '0'],
          ...(request.others === true ? ['--host', '0.0.0.0'] : []),
        ];
      case 'eval':
        return [
          ...['eval', await inside(request.model), '--data', await images(request.data)],
          ...given('--limit', request.limit),
        ];
    }
  }
}

const RUN_EVENTS: ReadonlySet<unknown> = new Set(['training', 'epoch', 'phase', 'design']);

/** The child is this program's own: only the kind is looked at. */
function isRunEvent(message: unknown): message is EventOfRun {
  return typeof message === 'object' && message !== null && 'kind' in message && RUN_EVENTS.has(message.kind);
}

/** Every second step of training goes; whatever else was said stays. */
function thin(events: JobEvent[]): void {
  let odd = false;
  const kept = events.filter((event) => event.kind !== 'event' || event.event.kind !== 'training' || (odd = !odd));
  events.splice(0, events.length, ...kept);
}
