/** @file A worker thread to talk with: messages both ways at any time, and word of its death. */
import { parentPort, Worker, workerData, type Transferable } from 'node:worker_threads';
import { WorkerError } from './workers.js';

/** The parent's end. */
export interface ThreadLink<Sent> {
  /** Throws where the message cannot be cloned. */
  post(message: Sent, transfer?: readonly Transferable[]): void;
  /** Ends the thread at once. `onDeath` is not called. */
  end(): Promise<void>;
}

export interface ThreadLinkOptions<Received> {
  /** Passed to the thread as `data`. */
  readonly data: unknown;
  readonly onMessage: (message: Received) => void;
  /** The thread has ended by itself: it threw, or ran out of memory. */
  readonly onDeath: (why: string) => void;
}

/** Starts a thread. Its script must call `connectToParent`. */
export function startThread<Sent, Received>(script: URL, options: ThreadLinkOptions<Received>): ThreadLink<Sent> {
  const worker = new Worker(script, { workerData: options.data });
  let ending = false;
  let why = 'it ended';
  worker.on('message', options.onMessage);
  worker.on('error', (cause) => (why = cause instanceof Error ? cause.message : String(cause)));
  worker.on('exit', () => {
    if (!ending) options.onDeath(why);
  });
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    async end() {
      ending = true;
      await worker.terminate();
    },
  };
}

/** The thread's end. */
export interface ParentLink<Received, Sent, Data> {
  readonly data: Data;
  post(message: Sent, transfer?: readonly Transferable[]): void;
  onMessage(hear: (message: Received) => void): void;
}

/** Called once by a thread's script. Throws WorkerError where nobody started this thread. */
export function connectToParent<Received, Sent, Data>(): ParentLink<Received, Sent, Data> {
  const port = parentPort;
  if (port === null)
    throw new WorkerError('failed', 'platform/no-parent', 'this script is a thread: another one must start it');
  return {
    data: workerData as Data,
    post: (message, transfer = []) => port.postMessage(message, transfer),
    onMessage: (hear) => void port.on('message', hear),
  };
}
