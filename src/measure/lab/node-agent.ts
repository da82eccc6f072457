/** @file The Node agent: every job in a thread of its own, and a file that remembers who this device is. */
import { CuttleError } from '../../ir/index.js';
import { exists, joinPath, readJson } from '../../platform/node/files.js';
import { sha256 } from '../../platform/node/hash.js';
import { cacheFolder } from '../../platform/node/places.js';
import { randomToken, writePrivateJson } from '../../platform/node/private-file.js';
import { startThread } from '../../platform/node/thread-link.js';
import { workerUrl } from '../../platform/node/workers.js';
import { runAgent, type AgentEvent, type AgentIdentity, type AgentJob } from './agent.js';
import { LabClient } from './client.js';
import { describeLabDevice, labDeviceState } from './describe.js';
import type { JobReply, JobRequest } from './page/job-messages.js';

export interface NodeAgentOptions {
  readonly url: string;
  /** The lab's join token. */
  readonly token: string;
  /** Name that the device asks for. */
  readonly name: string;
  /** Folder that remembers who this device is to which lab; the user's cache where omitted. */
  readonly memory?: string;
  /** Ends after this many jobs; never where omitted. */
  readonly maxJobs?: number;
  readonly onEvent?: (event: AgentEvent) => void;
  readonly signal?: AbortSignal;
}

/** What a job's thread reported. */
class JobFailure extends CuttleError {}

/** Works for a lab on this machine, with ONNX Runtime native and on WebAssembly. Throws as `runAgent` does. */
export async function runNodeAgent({ url, token, name, memory, ...rest }: NodeAgentOptions): Promise<void> {
  const folder = memory ?? joinPath(cacheFolder(), 'lab');
  await runAgent({
    ...rest,
    name,
    client: new LabClient({ url, token }),
    describe: describeLabDevice,
    state: labDeviceState,
    identity: fileIdentity(joinPath(folder, `${sha256(JSON.stringify([url, name])).slice(0, 16)}.json`)),
    execute: executeInThread,
    newId: () => randomToken(12),
  });
}

/** Remembers an agent in a file that only its owner can read. */
export function fileIdentity(path: string): AgentIdentity {
  return {
    load: async () =>
      (await exists(path)) ? ((await readJson(path)) as { readonly id: string; readonly secret: string }) : undefined,
    save: (known) => writePrivateJson(path, known),
  };
}

/** One job in a fresh thread: a web runtime's thread count holds for its thread's life, and heartbeats go on meanwhile. */
async function executeInThread({ spec }: AgentJob, model: Uint8Array, signal: AbortSignal): Promise<unknown> {
  signal.throwIfAborted();
  let end: (() => Promise<void>) | undefined;
  let stop: (() => void) | undefined;
  try {
    return await new Promise<unknown>((resolve, reject) => {
      stop = () => reject(signal.reason as Error);
      signal.addEventListener('abort', stop, { once: true });
      const link = startThread<JobRequest, JobReply>(workerUrl(import.meta.url, './node-job.js'), {
        data: undefined,
        onMessage: (reply) => {
          if (reply.ok) return resolve(reply.value);
          const { kind, code, message, hint } = reply.error;
          reject(new JobFailure(kind, code, message, hint === undefined ? {} : { hint }));
        },
        onDeath: (why) => reject(new JobFailure('failed', 'lab/thread-died', `the measuring thread ended: ${why}`)),
      });
      end = () => link.end();
      link.post({ spec, model });
    });
  } finally {
    if (stop) signal.removeEventListener('abort', stop);
    await end?.();
  }
}
