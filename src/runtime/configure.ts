/** @file Settings of onnxruntime-web that hold for the whole process or page. */
import { SessionOptionsError } from './errors.js';

export interface OrtSettings {
  /**
   * URL of the folder that holds onnxruntime-web's `ort-wasm-simd-threaded*.wasm` and `.mjs` files, with a slash at its end.
   * Where omitted they are found beside onnxruntime-web's own code, which bundlers and import maps provide for.
   */
  readonly wasmPaths?: string;
}

let settings: OrtSettings = {};
let inUse = false;

/**
 * Sets what holds for all sessions of the `wasm` and `webgpu` back ends. Call it before the first one is opened: throws
 * SessionOptionsError where a runtime has already started with other settings, or for a path that is no folder's.
 */
export function configureOrt(given: OrtSettings): void {
  if (given.wasmPaths !== undefined && !given.wasmPaths.endsWith('/'))
    throw new SessionOptionsError(
      `wasmPaths '${given.wasmPaths}' does not end with a slash`,
      'Give the URL of the folder that holds the .wasm and .mjs files of onnxruntime-web.',
    );
  if (inUse && given.wasmPaths !== settings.wasmPaths)
    throw new SessionOptionsError(
      'the web runtime has already started with other settings',
      'Call configureOrt before the first session is opened.',
    );
  settings = given;
}

/** The settings, from now on unchangeable. */
export function settleOrtSettings(): OrtSettings {
  inUse = true;
  return settings;
}
