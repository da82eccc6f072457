/** @file The Node agent: every job in a process of its own, and a file that remembers who this device is. */
import { askChild } from '../../platform/node/ask-child.js';
import { exists, joinPath, readJson } from '../../platform/node/files.js';
import { sha256 } from '../../platform/node/hash.js';
import { cacheFolder } from '../../platform/node/places.js';
import { randomToken, writePrivateJson } from '../../platform/node/private-file.js';
import { workerUrl } from '../../platform/node/workers.js';
import { runAgent, type AgentEvent, type AgentIdentity, type AgentJob } from './agent.js';
import { LabClient } from './client.js';
import { describeLabDevice, labDeviceState } from './describe.js';
import type { JobRequest } from './page/job-messages.js';

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
    execute: executeInProcess,
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

/**
 * One job in a process of its own: web runtimes have one thread count for a thread's life, heartbeats go on meanwhile, memory is
 * the job's alone, and it can be ended while it computes (a thread inside the native runtime takes its whole process along).
 */
async function executeInProcess({ spec }: AgentJob, model: Uint8Array, signal: AbortSignal): Promise<unknown> {
  const script = workerUrl(import.meta.url, './node-job.js');
  return await askChild<JobRequest, unknown>(script, { spec, model }, { signal });
}
