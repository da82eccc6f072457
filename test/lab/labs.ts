/** @file Labs, agents and models for the lab's tests; everything is gone with the test file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import type { Model } from '../../src/ir/index.js';
import { runAgent, type AgentOptions } from '../../src/measure/lab/agent.js';
import { LabClient } from '../../src/measure/lab/client.js';
import type { JobSpec, LabDeviceDescription } from '../../src/measure/lab/protocol.js';
import { startLab, type Lab, type LabOptions } from '../../src/measure/lab/server.js';
import { encodeModel } from '../../src/onnx/index.js';
import { sha256 } from '../../src/platform/node/hash.js';
import { randomToken } from '../../src/platform/node/private-file.js';
import { buildArchitecture } from '../../src/zoo/index.js';

/** A folder that goes away with the test file. */
export function labFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-lab-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A lab on a free port, closed with the test file. */
export async function lab(options: Partial<LabOptions> = {}): Promise<Lab> {
  const opened = await startLab({ folder: labFolder(), port: 0, ...options });
  afterAll(() => opened.close());
  return opened;
}

export const ownerOf = ({ url, file }: Lab): LabClient => new LabClient({ url, token: file.ownerToken });
export const agentOf = ({ url, file }: Lab): LabClient => new LabClient({ url, token: file.joinToken });

/** A small network for images of 8 × 8, its batch open. */
export const smallModel = (seed = 1): Model => buildArchitecture('resnet-8', { classes: 10, input: [3, 8, 8], seed });

/** The same with three exits. */
export function smallProgressive(): Model {
  const candidates = findCandidates(smallModel());
  const chosen = candidates.all.filter((_, i) => i % 3 === 1).slice(0, 3);
  return attachExits(candidates, chosen, { kind: 'pool' }, 2).model;
}

/** Gives the lab a model, and returns a spec that measures it. */
export async function uploaded(
  owner: LabClient,
  model: Model | Uint8Array,
  change: Partial<JobSpec> = {},
): Promise<JobSpec> {
  const bytes = model instanceof Uint8Array ? model : encodeModel(model);
  const digest = sha256(bytes);
  await owner.putModel(digest, bytes);
  const base = {
    kind: 'latency',
    model: digest,
    name: 'net.onnx',
    backend: 'native',
    dims: {},
    runs: 5,
    warmup: 1,
  } as const;
  return { ...base, ...change };
}

export const testDevice: LabDeviceDescription = {
  agent: 'node',
  cpu: 'test',
  arch: 'x64',
  physicalCores: 2,
  logicalCores: 4,
  cpuFeatures: [],
  os: 'test',
  platform: 'node 20',
  backends: [{ name: 'native', maxThreads: 4 }],
  kinds: ['latency', 'profile', 'exit-costs'],
  remarks: [],
};

/** What a made-up agent measures. */
export const madeUp = (ms = 1): unknown => ({
  device: {
    ...{
      cpu: 'test',
      arch: 'x64',
      physicalCores: 2,
      logicalCores: 4,
      cpuFeatures: [],
      os: 'test',
      platform: 'node 20',
    },
    ...{ threads: 1, executionProvider: 'CPU', runtime: 'onnxruntime-node 1.30.0' },
  },
  loadMs: ms,
  firstMs: ms,
  latencyMs: { p50: ms, p90: ms, p99: ms, mean: ms, min: ms, std: 0, runs: 5 },
  inputs: { input: [1, 3, 8, 8] },
  remarks: [],
});

/** An agent that makes its results up, in this process. Its promise ends with the signal's reason. */
export function fakeAgent(client: LabClient, name: string, options: Partial<AgentOptions> = {}): Promise<void> {
  let known: { readonly id: string; readonly secret: string } | undefined;
  return runAgent({
    ...{ client, name, newId: () => randomToken(9) },
    describe: async () => testDevice,
    identity: { load: async () => known, save: async (own) => void (known = own) },
    execute: async () => madeUp(),
    ...options,
  });
}
