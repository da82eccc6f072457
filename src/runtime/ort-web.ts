/** @file ONNX Runtime's packages as browsers load them: each build only when a session first needs it. */

/** The build for the processor alone, the smallest. Rejects where it cannot be loaded. */
export function importWasm(): Promise<unknown> {
  return import('onnxruntime-web/wasm');
}

/**
 * The build with WebGPU. The one that lets the browser suspend WebAssembly (JSPI) is two thirds of the size of the one
 * that brings its own way to do so (Asyncify); it runs where the browser can. Rejects where it cannot be loaded.
 */
export function importWebGpu(): Promise<unknown> {
  return 'Suspending' in WebAssembly ? import('onnxruntime-web/jspi') : import('onnxruntime-web/webgpu');
}
