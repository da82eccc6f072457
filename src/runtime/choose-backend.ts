/** @file Which back end `auto` becomes on this host. */
import { isNode } from '../platform/index.js';
import type { GpuDescription } from '../platform/web/gpu.js';
import type { Backend } from './options.js';

export interface BackendChoice {
  readonly backend: Backend;
  /** Vendor and architecture of the GPU, for `webgpu`. */
  readonly gpu?: string;
  /** Why not another one, in sentences; empty where the choice was the caller's or there was none. */
  readonly remarks: readonly string[];
}

/**
 * The back end that a session with this option tries first: the named one, or for `auto` (where omitted) `native` in Node;
 * in browsers `webgpu` where WebGPU offers a real GPU, else `wasm`. Loads nothing.
 */
export async function chooseBackend(asked: Backend | 'auto' = 'auto'): Promise<BackendChoice> {
  if (asked === 'native' || asked === 'wasm') return { backend: asked, remarks: [] };
  if (isNode) return { backend: asked === 'auto' ? 'native' : asked, remarks: [] };
  const { describeGpu } = await import('../platform/web/gpu.js');
  gpu ??= describeGpu();
  const adapter = await gpu;
  const offered = adapter && { gpu: [adapter.vendor, adapter.architecture].filter(Boolean).join(' ') };
  if (asked === 'webgpu') return { backend: 'webgpu', ...offered, remarks: [] };
  if (adapter === undefined) return { backend: 'wasm', remarks: ['wasm: this page gets no GPU from WebGPU'] };
  if (adapter.software)
    return { backend: 'wasm', remarks: ['wasm: the only WebGPU adapter is the processor itself, which is slower'] };
  return { backend: 'webgpu', ...offered, remarks: [] };
}

let gpu: Promise<GpuDescription | undefined> | undefined;
