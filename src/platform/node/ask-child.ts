/** @file One question to a process of its own: started for it, ended after it, with progress on the way. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CuttleError, type ErrorKind } from '../../ir/error.js';

/** A child process that could not start, died, or threw. Carries the kind, code and hint of a Cuttle error thrown inside it. */
export class ChildError extends CuttleError {
  constructor(kind: ErrorKind, code: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(kind, code, message, options);
  }
}

export interface AskChildOptions<Progress> {
  /** Ends the child and rejects with its reason. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

type Message =
  | { readonly is: 'progress'; readonly value: unknown }
  | { readonly is: 'answer'; readonly value: unknown }
  | {
      readonly is: 'error';
      readonly error: { kind: ErrorKind; code: string; message: string; hint: string | undefined };
    };

/**
 * Starts a script (which calls `answerParent`) in a process of its own, gives it one request and returns its answer. Typed
 * arrays cross as they are. Throws ChildError where the child throws or dies, and the signal's reason on abort.
 */
export async function askChild<Request, Response, Progress = never>(
  script: URL,
  request: Request,
  { signal, onProgress }: AskChildOptions<Progress> = {},
): Promise<Response> {
  signal?.throwIfAborted();
  // What this process was started with (a debugger, a loader) is not for the child: its start is measured.
  const child = fork(fileURLToPath(script), [], {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)));
  return await new Promise<Response>((resolve, reject) => {
    const abort = (): void => settle(() => reject(signal!.reason as Error));
    const settle = (finish: () => void): void => {
      signal?.removeEventListener('abort', abort);
      child.removeAllListeners();
      // A child that is told to end may still report an error of its pipe.
      child.on('error', () => undefined);
      child.kill('SIGKILL');
      finish();
    };
    signal?.addEventListener('abort', abort, { once: true });
    child.on('message', (raw) => {
      const message = raw as Message;
      if (message.is === 'progress') onProgress?.(message.value as Progress);
      else if (message.is === 'answer') settle(() => resolve(message.value as Response));
      else {
        const { kind, code, message: text, hint } = message.error;
        settle(() => reject(new ChildError(kind, code, text, hint === undefined ? {} : { hint })));
      }
    });
    child.on('error', (cause) =>
      settle(() =>
        reject(
          new ChildError('failed', 'platform/child', `a child process could not start: ${cause.message}`, { cause }),
        ),
      ),
    );
    child.on('exit', (code, killer) =>
      settle(() => {
        const how = killer === null ? `with code ${code ?? '?'}` : `by ${killer}`;
        const said = complaint.trim().split('\n').at(-1);
        reject(new ChildError('failed', 'platform/child', `a child process ended ${how}${said ? `: ${said}` : ''}`));
      }),
    );
    child.send(request as object, (error) => {
      if (error !== null)
        settle(() =>
          reject(
            new ChildError('failed', 'platform/child', 'a child process ended before it was asked', { cause: error }),
          ),
        );
    });
  });
}

/** Answers the parent's one request; call it once, in the child's script. */
export function answerParent<Request, Response, Progress = never>(
  handle: (request: Request, onProgress: (progress: Progress) => void) => Promise<Response>,
): void {
  const send = (message: Message): void => void process.send?.(message);
  // A parent that was killed cannot end what it started.
  process.once('disconnect', () => process.exit(1));
  process.once('message', (request) => {
    handle(request as Request, (value) => send({ is: 'progress', value })).then(
      (value) => send({ is: 'answer', value }),
      (error: unknown) => {
        const { kind, code, hint } =
          error instanceof CuttleError ? error : { kind: 'failed' as const, code: 'platform/child', hint: undefined };
        send({
          is: 'error',
          error: { kind, code, message: error instanceof Error ? error.message : String(error), hint },
        });
      },
    );
  });
}
