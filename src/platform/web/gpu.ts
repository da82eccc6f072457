/** @file What a browser tells of its GPU. */

/** The adapter that WebGPU offers a page. */
export interface GpuDescription {
  readonly vendor: string;
  readonly architecture: string;
  /** True where the processor stands in for a GPU: correct, and slower than WebAssembly. */
  readonly software: boolean;
}

/** Describes the WebGPU adapter that this page or worker gets; `undefined` where there is none. Never throws. */
export async function describeGpu(): Promise<GpuDescription | undefined> {
  // The DOM's types promise `navigator.gpu`; insecure pages and older browsers do not keep the promise.
  const gpu = (navigator as { readonly gpu?: GPU }).gpu;
  try {
    const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return undefined;
    const { vendor, architecture, isFallbackAdapter } = adapter.info;
    return { vendor, architecture, software: isFallbackAdapter };
  } catch {
    return undefined;
  }
}
