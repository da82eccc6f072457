/** @file The only door to ONNX Runtime: loads either package on first use and sets what is global to the process. */
import type * as Ort from 'onnxruntime-node';
import { describeHost, isNode } from '../platform/index.js';
import { MissingRuntimeError, SessionOptionsError } from './errors.js';
import type { Backend } from './options.js';

export type OrtModule = typeof Ort;

/** A back end that is ready to open sessions. */
export interface LoadedBackend {
  readonly backend: Backend;
  readonly ort: OrtModule;
  /** ONNX Runtime's version. */
  readonly version: string;
  /** Threads that a session opened now will use. */
  readonly threads: number;
}

/** Where the caller leaves the choice: native in Node, wasm in browsers. */
export const DEFAULT_BACKEND: Backend = isNode ? 'native' : 'wasm';

let wasmThreads: number | undefined;

/**
 * Loads a back end. Throws MissingRuntimeError where its package is absent, SessionOptionsError for a thread count that
 * is no positive integer, or that differs from the one the process's wasm runtime was started with (it has only one).
 */
export async function loadBackend(backend: Backend = DEFAULT_BACKEND, threads?: number): Promise<LoadedBackend> {
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1))
    throw new SessionOptionsError(`${threads} is no thread count`, 'Give a whole number of threads, 1 or more.');
  const wanted = threads ?? (await describeHost()).physicalCores;
  return backend === 'native' ? loadNative(wanted) : loadWasm(wanted, threads !== undefined);
}

async function loadNative(threads: number): Promise<LoadedBackend> {
  if (!isNode) throw new MissingRuntimeError('native', new Error('it runs in Node only'));
  const ort = await importBackend('native', () => import('onnxruntime-node'));
  return { backend: 'native', ort, version: ort.env.versions.node ?? ort.env.versions.common, threads };
}

async function loadWasm(threads: number, explicit: boolean): Promise<LoadedBackend> {
  const ort = await importBackend('wasm', () => import('onnxruntime-web'));
  if (wasmThreads === undefined) {
    const shared = typeof SharedArrayBuffer !== 'undefined' && (isNode || globalThis.crossOriginIsolated);
    if (!shared && explicit && threads > 1)
      throw new SessionOptionsError(
        `${threads} threads need shared memory, which this page does not have`,
        'Serve the page with the COOP and COEP headers, or ask for 1 thread.',
      );
    wasmThreads = shared ? threads : 1;
    ort.env.wasm.numThreads = wasmThreads;
    ort.env.logLevel = 'fatal';
  } else if (explicit && threads !== wasmThreads)
    throw new SessionOptionsError(
      `the wasm runtime of this process already runs on ${wasmThreads} thread(s) and cannot change to ${threads}`,
      'Use one thread count per process, or open the session in a worker or process of its own.',
    );
  return { backend: 'wasm', ort, version: ort.env.versions.web ?? ort.env.versions.common, threads: wasmThreads };
}

async function importBackend(backend: Backend, load: () => Promise<unknown>): Promise<OrtModule> {
  let loaded: unknown;
  try {
    loaded = await load();
  } catch (cause) {
    throw new MissingRuntimeError(backend, cause);
  }
  // onnxruntime-node is CommonJS: its exports arrive under `default`, and only some of them by name as well.
  const module = loaded as OrtModule & { readonly default?: OrtModule };
  return module.default?.InferenceSession === undefined ? module : module.default;
}
