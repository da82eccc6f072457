/** @file The worker's side of training for a page: `cuttle/train/worker-host`. */
import { CuttleError } from '../ir/index.js';
import { describeDevice } from '../runtime/index.js';
import { StepSpecError } from './errors.js';
import {
  isMarked,
  marked,
  type CallName,
  type Endpoint,
  type ErrorMessage,
  type ToPage,
  type ToWorker,
  type TrainRequest,
  type WorkerCalls,
} from './worker-protocol.js';
import { WorkerRun } from './worker-run.js';

/**
 * Answers the page that this worker belongs to (or the other end of a MessagePort): trains, reports, cancels, classifies,
 * exports. Call it once, at the top of the worker's script. It keeps listening until the worker ends, and leaves
 * messages that are not of its protocol to others.
 */
export function serveTraining(endpoint: Endpoint = globalThis as unknown as Endpoint): void {
  const runs = new Map<number, WorkerRun>();
  const post = (message: ToPage, transfer: Transferable[] = []): void =>
    endpoint.postMessage(marked(message), transfer);

  const start = (run: number, request: TrainRequest): void => {
    runs.set(
      run,
      new WorkerRun(request, {
        onEvent: (event) => post({ kind: 'event', run, event }),
        onFinished: (trained) => post({ kind: 'finished', run, trained }, [trained.model.buffer as ArrayBuffer]),
        onFailed: (error) => post({ kind: 'failed', run, error: errorMessage(error) }),
      }),
    );
  };
  const runOf = (number: number): WorkerRun => {
    const run = runs.get(number);
    if (run === undefined) throw new StepSpecError('the training was released', 'Ask before you release it.');
    return run;
  };
  const calls: { readonly [Name in CallName]: (given: never) => Promise<WorkerCalls[Name]['gives']> } = {
    device: (options: WorkerCalls['device']['takes']) => describeDevice(options),
    export: async ({ run }: WorkerCalls['export']['takes']) => runOf(run).export(),
    classify: async ({ run, images }: WorkerCalls['classify']['takes']) => runOf(run).classify(images),
    release: async ({ run }: WorkerCalls['release']['takes']) => {
      await runs.get(run)?.release();
      runs.delete(run);
      return undefined;
    },
  };
  const answer = async (call: number, name: CallName, given: unknown): Promise<void> => {
    try {
      post({ kind: 'answer', call, value: await calls[name](given as never) });
    } catch (error) {
      post({ kind: 'refused', call, error: errorMessage(error) });
    }
  };

  endpoint.addEventListener('message', ({ data }) => {
    if (!isMarked(data)) return;
    const message = data as ToWorker;
    switch (message.kind) {
      case 'train':
        return start(message.run, message.request);
      case 'cancel':
        return runs.get(message.run)?.cancel();
      case 'call':
        return void answer(message.call, message.name, message.given);
    }
  });
  endpoint.start?.();
}

/** What of an error crosses to the page. One that is not Cuttle's is a failure of the worker itself. */
function errorMessage(error: unknown): ErrorMessage {
  if (error instanceof CuttleError) {
    const { kind, code, message, hint } = error;
    return { kind, code, message, hint };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'failed', code: 'train/worker', message: `the worker failed: ${message}`, hint: undefined };
}
