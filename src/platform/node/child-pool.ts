/** @file A pool of child processes for work that may crash, hang or eat memory: one job at a time in each, watched, and replaced when it dies. */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CuttleError, type ErrorKind } from '../../ir/error.js';

/** The process that had a job died, or was ended for what it did. The job may be tried again. Exit code 1. */
export class ChildDeathError extends CuttleError {
  constructor(message: string) {
    super('failed', 'platform/child-death', message);
  }
}

export interface ChildPoolOptions {
  /** A script that calls `serveParent`. */
  readonly script: URL;
  /** Children at most; they start on demand. */
  readonly size: number;
  /** Resident bytes above which a child is ended. It watches itself: overshooting for a tenth of a second is possible. */
  readonly memoryBytes: number;
  /** Each child has a folder of its own in here for temporary files, emptied when it ends. */
  readonly workFolder: string;
  /** Jobs after which a child is replaced by a fresh one; never where omitted. */
  readonly jobsPerChild?: number;
}

export interface ChildPool<Request, Response> extends AsyncDisposable {
  /**
   * Has a child do a job. Rejects with ChildDeathError where the child dies or takes longer than `timeMs`, with the error
   * that the job threw, and with the signal's reason on abort, which ends the child.
   */
  run(request: Request, options: { readonly timeMs: number; readonly signal?: AbortSignal }): Promise<Response>;
  /** Process numbers of the children that live now. */
  pids(): readonly number[];
  /** Ends all children; jobs not yet answered are rejected. */
  close(): Promise<void>;
}

/** What a child is told at its start, beside its jobs. */
export interface ChildStart {
  readonly parent: number;
  readonly memoryBytes: number;
  readonly reasonFile: string;
}

type Reply =
  | { readonly ok: 'ready' }
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: { kind: ErrorKind; code: string; message: string; hint?: string } };

interface Task {
  readonly request: unknown;
  readonly timeMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: Error) => void;
}

/** An error that a job threw, with the kind, code and hint that it had in the child. */
class ChildJobError extends CuttleError {
  constructor({ kind, code, message, hint }: Extract<Reply, { ok: false }>['error']) {
    super(kind, code, message, hint === undefined ? {} : { hint });
  }
}

const MiB = 2 ** 20;
const FRUGAL_MALLOC = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '524288', MALLOC_TRIM_THRESHOLD_: '1048576' };
/** Most that starting a process may take; the time of a job begins after it. */
const START_MS = 120_000;

/** Opens a pool. Nothing starts before the first job. */
export function createChildPool<Request, Response>(options: ChildPoolOptions): ChildPool<Request, Response> {
  const size = Math.max(1, options.size);
  const waiting: Task[] = [];
  const idle: Child[] = [];
  const children = new Set<Child>();
  let counter = 0;
  let closed = false;

  const next = (): void => {
    while (!closed && waiting.length > 0 && (idle.length > 0 || children.size < size)) {
      const child = idle.pop() ?? start();
      child.begin(waiting.shift()!);
    }
  };
  const start = (): Child => {
    const child = new Child(options, join(options.workFolder, String(counter++)), {
      free: () => {
        if (child.jobs >= (options.jobsPerChild ?? Infinity)) return child.end();
        idle.push(child);
        next();
      },
      gone: () => {
        children.delete(child);
        const at = idle.indexOf(child);
        if (at >= 0) idle.splice(at, 1);
        next();
      },
    });
    children.add(child);
    return child;
  };
  const close = async (): Promise<void> => {
    closed = true;
    const reason = new ChildDeathError('the pool of processes has been closed');
    for (const task of waiting.splice(0)) task.reject(reason);
    const ended = [...children].map(({ ended: promise }) => promise);
    for (const child of children) child.end();
    await Promise.all(ended);
  };

  return {
    close,
    [Symbol.asyncDispose]: close,
    pids: () => [...children].flatMap(({ pid }) => (pid === undefined ? [] : [pid])),
    async run(request, { timeMs, signal }) {
      signal?.throwIfAborted();
      if (closed) throw new ChildDeathError('the pool of processes has been closed');
      return new Promise<Response>((resolve, reject) => {
        const abort = (): void => {
          const at = waiting.indexOf(task);
          if (at >= 0) waiting.splice(at, 1);
          for (const child of children) if (child.task === task) child.end();
          reject(signal!.reason as Error);
        };
        const done = (): void => signal?.removeEventListener('abort', abort);
        const task: Task = {
          request,
          timeMs,
          resolve: (value) => {
            done();
            resolve(value as Response);
          },
          reject: (reason) => {
            done();
            reject(reason);
          },
        };
        signal?.addEventListener('abort', abort, { once: true });
        waiting.push(task);
        next();
      });
    },
  };
}

class Child {
  readonly ended: Promise<void>;
  task: Task | undefined;
  jobs = 0;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #reasonFile: string;
  readonly #told: { readonly free: () => void; readonly gone: () => void };
  #timer: NodeJS.Timeout | undefined;
  #ready = false;
  #why: string | undefined;
  #complaint = '';

  constructor(
    { script, memoryBytes }: ChildPoolOptions,
    folder: string,
    told: { readonly free: () => void; readonly gone: () => void },
  ) {
    this.#folder = folder;
    this.#told = told;
    this.#reasonFile = join(folder, 'ended-because');
    mkdirSync(folder, { recursive: true });
    const start: ChildStart = { parent: process.pid, memoryBytes, reasonFile: this.#reasonFile };
    this.#process = fork(fileURLToPath(script), [JSON.stringify(start)], {
      // The heap gets most of what the child may have; a garbage collection can be asked for between jobs.
      execArgv: [
        `--max-old-space-size=${Math.max(64, Math.floor((memoryBytes * 0.75) / MiB))}`,
        '--max-semi-space-size=4',
        '--expose-gc',
      ],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
      // glibc would keep freed memory: in an arena per thread, and large blocks once it has met them.
      env: { ...process.env, ...FRUGAL_MALLOC, TMPDIR: folder, TEMP: folder, TMP: folder },
    });
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#complaint = (this.#complaint + chunk.toString('utf8')).slice(-4000);
    });
    this.#process.on('message', (reply: Reply) => this.#answered(reply));
    this.ended = new Promise((resolve) => {
      let over = false;
      const died = (how: string): void => {
        if (over) return;
        over = true;
        this.#died(how);
        resolve();
      };
      this.#process.on('error', (cause) => died(`could not run: ${cause.message}`));
      this.#process.on('exit', (code, killer) => died(this.#deathOf(code, killer)));
    });
    this.#hold(false);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  begin(task: Task): void {
    this.task = task;
    this.jobs++;
    this.#hold(true);
    this.#watch(this.#ready ? task.timeMs : START_MS);
    this.#process.send(task.request as object, (error) => {
      // A child that died just now: its end is told by itself.
      if (error !== null) this.end();
    });
  }

  #watch(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#why = `it took longer than ${Math.round(ms / 1000)} s`;
      this.end();
    }, ms);
  }

  /** Ends the process at once. Whoever waits for that must not end before it. */
  end(): void {
    this.#process.ref();
    this.#process.kill('SIGKILL');
  }

  #answered(reply: Reply): void {
    const { task } = this;
    if (reply.ok === 'ready') {
      this.#ready = true;
      if (task !== undefined) this.#watch(task.timeMs);
      return;
    }
    this.#rest();
    if (reply.ok) task?.resolve(reply.value);
    else task?.reject(new ChildJobError(reply.error));
    this.#told.free();
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.task = undefined;
    this.#hold(false);
  }

  /** An idle pool must not keep the process alive. */
  #hold(on: boolean): void {
    const { channel } = this.#process;
    if (on) {
      this.#process.ref();
      channel?.ref();
    } else {
      this.#process.unref();
      channel?.unref();
    }
  }

  #deathOf(code: number | null, killer: NodeJS.Signals | null): string {
    if (this.#why !== undefined) return this.#why;
    try {
      return readFileSync(this.#reasonFile, 'utf8');
    } catch {
      // It left no word.
    }
    if (/heap out of memory|heap limit/i.test(this.#complaint)) return 'it ran out of memory';
    const said = this.#complaint.trim().split('\n').at(-1)?.slice(0, 300);
    return `its process ended ${killer === null ? `with code ${code ?? '?'}` : `by ${killer}`}${said ? `: ${said}` : ''}`;
  }

  #died(how: string): void {
    const { task } = this;
    this.#rest();
    rmSync(this.#folder, { recursive: true, force: true });
    this.#told.gone();
    task?.reject(new ChildDeathError(how));
  }
}
