/** @file What a measurement was made on: machine, threads, ONNX Runtime. */
import * as z from 'zod/mini';
import { describeHost } from '../platform/index.js';
import { chooseBackend } from './choose-backend.js';
import { loadBackend } from './ort.js';
import type { Backend, SessionOptions } from './options.js';

/** JSON schema of a device description, as it stands in profiles, designs and bench results. */
export const deviceSchema = z.object({
  /** The processor's own name, or 'unknown'. */
  cpu: z.string(),
  arch: z.string(),
  physicalCores: z.int().check(z.positive()),
  logicalCores: z.int().check(z.positive()),
  /** Instruction sets that inference kernels choose their code path by. */
  cpuFeatures: z.array(z.string()),
  memoryBytes: z.optional(z.int().check(z.positive())),
  os: z.string(),
  /** `node 20.20.2`, or the browser's user agent. */
  platform: z.string(),
  /** Threads that one operator uses. */
  threads: z.int().check(z.positive()),
  executionProvider: z.string(),
  /** Vendor and architecture of the GPU, where it computes. */
  gpu: z.optional(z.string()),
  /** `onnxruntime-node 1.30.0` or `onnxruntime-web 1.30.0`. */
  runtime: z.string(),
});

export type DeviceDescription = z.infer<typeof deviceSchema>;

const PROVIDERS: Readonly<Record<Backend, string>> = { native: 'CPU', wasm: 'WASM', webgpu: 'WebGPU' };

/** Describes this machine and the back end that a session with these options would use. Throws as `openSession` does. */
export async function describeDevice(
  options: Pick<SessionOptions, 'backend' | 'threads'> = {},
): Promise<DeviceDescription> {
  const chosen = await chooseBackend(options.backend);
  const { backend, version, threads } = await loadBackend(chosen.backend, options.threads);
  const host = await describeHost();
  return {
    ...host,
    cpuFeatures: [...host.cpuFeatures],
    threads,
    executionProvider: PROVIDERS[backend],
    ...(chosen.gpu !== undefined && { gpu: chosen.gpu }),
    runtime: `onnxruntime-${backend === 'native' ? 'node' : 'web'} ${version}`,
  };
}
