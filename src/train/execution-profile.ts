/** @file Which lowering a step graph takes for the back end that it will run on. */
import type { ExecutionProfile } from '../ops/index.js';
import { chooseBackend, type Backend, type SessionOptions } from '../runtime/index.js';

const PROFILES: Readonly<Record<Backend, ExecutionProfile>> = { native: 'cpu', wasm: 'wasm', webgpu: 'webgpu' };

/** The profile for `buildStep` where the trainer is opened with these options. */
export async function executionProfileFor(options: Pick<SessionOptions, 'backend'> = {}): Promise<ExecutionProfile> {
  return PROFILES[(await chooseBackend(options.backend)).backend];
}
