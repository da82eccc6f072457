/** @file The page's side of training in a worker: starts, watches, cancels, asks. Loads neither engine nor ONNX Runtime. */
import { CuttleError } from '../ir/error.js';
import type { DeviceDescription, SessionOptions } from '../runtime/index.js';
import type { TrainEvent } from './fit.js';
import {
  isMarked,
  marked,
  type CallName,
  type Classification,
  type Endpoint,
  type ErrorMessage,
  type ImageBatch,
  type ToPage,
  type ToWorker,
  type TrainedBytes,
  type TrainRequest,
  type WorkerCalls,
} from './worker-protocol.js';

/** Something failed inside the worker: kind, code and hint are those of the error there. */
export class RemoteTrainError extends CuttleError {
  constructor({ kind, code, message, hint }: ErrorMessage) {
    super(kind, code, message, { hint });
  }
}

/** The worker itself is gone: its script did not load, it crashed, or it was closed. Exit code 1. */
export class WorkerLostError extends CuttleError {
  constructor(message: string, cause?: unknown) {
    super('failed', 'train/worker-lost', message, { hint: 'Open a new worker and train again.', cause });
  }
}

/** A request that cannot be sent to a worker, such as one that holds a function. Exit code 2. */
export class WorkerRequestError extends CuttleError {
  constructor(cause: unknown) {
    super('usage', 'train/worker-request', 'the request cannot be sent to a worker', {
      hint: 'It may hold plain data and typed arrays only, and only memory that is not detached.',
      cause,
    });
  }
}

export interface RunOptions {
  /** Ends the training after the step under way; `finished` then rejects with the code `train/interrupted`. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
}

/** One training in the worker. It can be asked during and after training, also after an abort, until it is released. */
export interface TrainingRun {
  /** Rejects with RemoteTrainError for what fails inside the worker, WorkerLostError where the worker goes. */
  readonly finished: Promise<TrainedBytes>;
  /** The network as far as it is trained, as the bytes of an ONNX file in inference form. */
  export(): Promise<Uint8Array>;
  /** Class probabilities by the network as far as it is trained. Images must have the size of its input. */
  classify(images: ImageBatch): Promise<Classification>;
  /** Lets the worker forget this run's network. Ends the training first where it is still under way. */
  release(): Promise<void>;
}

/** A worker that trains. Its trainings share one engine, so several at once take turns. */
export interface TrainingWorker {
  train(request: TrainRequest, options?: RunOptions): TrainingRun;
  /** The machine and the back end that a training with these session options would use. */
  device(options?: Pick<SessionOptions, 'backend' | 'threads'>): Promise<DeviceDescription>;
  /** Ends the worker at once, with all that it holds; what is under way rejects with WorkerLostError. */
  close(): void;
}

interface Pending<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

interface PendingRun extends Pending<TrainedBytes> {
  readonly onEvent: ((event: TrainEvent) => void) | undefined;
}

/**
 * Connects a page with a worker in which `serveTraining` (`cuttle/train/worker-host`) runs. Close it with `close()`: this ends
 * the worker too, which is what gives WebAssembly memory back to the system.
 */
export function connectTraining(worker: Worker | Endpoint): TrainingWorker {
  const endpoint: Endpoint = worker;
  const runs = new Map<number, PendingRun>();
  const calls = new Map<number, Pending<never>>();
  let numbers = 0;
  let lost: WorkerLostError | undefined;

  const receive = ({ data }: MessageEvent): void => {
    if (!isMarked(data)) return;
    const message = data as ToPage;
    switch (message.kind) {
      case 'event':
        return runs.get(message.run)?.onEvent?.(message.event);
      case 'finished':
        return take(runs, message.run)?.resolve(message.trained);
      case 'failed':
        return take(runs, message.run)?.reject(new RemoteTrainError(message.error));
      case 'answer':
        return take(calls, message.call)?.resolve(message.value as never);
      case 'refused':
        return take(calls, message.call)?.reject(new RemoteTrainError(message.error));
    }
  };
  const lose = (error: WorkerLostError): void => {
    lost ??= error;
    endpoint.removeEventListener('message', receive);
    for (const pending of [...runs.values(), ...calls.values()]) pending.reject(lost);
    runs.clear();
    calls.clear();
  };
  endpoint.addEventListener('message', receive);
  if ('terminate' in worker) {
    worker.addEventListener('error', (event) =>
      lose(new WorkerLostError(`the worker failed: ${event.message || 'its script could not be loaded'}`, event.error)),
    );
    worker.addEventListener('messageerror', () => lose(new WorkerLostError('the worker sent what cannot be read')));
  }
  endpoint.start?.();

  /** Posts; where that fails at once, forgets what waits for the reply. */
  const post = (message: ToWorker, forget: () => void): void => {
    try {
      if (lost) throw lost;
      endpoint.postMessage(marked(message), []);
    } catch (cause) {
      forget();
      throw cause instanceof CuttleError ? cause : new WorkerRequestError(cause);
    }
  };

  const call = <Name extends CallName>(
    name: Name,
    given: WorkerCalls[Name]['takes'],
  ): Promise<WorkerCalls[Name]['gives']> =>
    new Promise((resolve, reject) => {
      const number = ++numbers;
      calls.set(number, { resolve, reject });
      post({ kind: 'call', call: number, name, given } as ToWorker, () => calls.delete(number));
    });

  return {
    train(request, { signal, onEvent } = {}) {
      const run = ++numbers;
      const cancel = (): void => {
        if (runs.has(run)) post({ kind: 'cancel', run }, () => undefined);
      };
      const finished = new Promise<TrainedBytes>((resolve, reject) => {
        runs.set(run, { resolve, reject, onEvent });
        post({ kind: 'train', run, request }, () => runs.delete(run));
        // An abort before the start goes the same way, so that the run can be asked and released like any other.
        if (signal?.aborted) cancel();
        else signal?.addEventListener('abort', cancel, { once: true });
      }).finally(() => signal?.removeEventListener('abort', cancel));
      return {
        finished,
        export: () => call('export', { run }),
        classify: (images) => call('classify', { run, images }),
        release: async () => {
          cancel();
          await finished.catch(() => undefined);
          if (!lost) await call('release', { run });
        },
      };
    },
    device: (options = {}) => call('device', options),
    close() {
      lose(new WorkerLostError('the worker was closed'));
      if ('terminate' in worker) worker.terminate();
    },
  };
}

function take<Value>(table: Map<number, Value>, key: number): Value | undefined {
  const value = table.get(key);
  table.delete(key);
  return value;
}
