/** @file The only door to ONNX Runtime: loads a package on first use and sets what is global to the process or page. */
import type * as Ort from 'onnxruntime-node';
import { describeHost, isNode, type HostDescription } from '../platform/index.js';
import { settleOrtSettings } from './configure.js';
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
  /** What was chosen without being asked for, in sentences. */
  readonly remarks: readonly string[];
}

/** Started web runtimes: each has one heap, one pool of threads and one call stack for all its sessions. */
const started = new Map<Backend, number>();

/**
 * Loads a back end. Throws MissingRuntimeError where its package is absent or not made for this host, SessionOptionsError for
 * a thread count that is no positive integer, that needs memory which this page may not share, or that differs from the one
 * that a web runtime was started with (it has only one).
 */
export async function loadBackend(backend: Backend, threads?: number): Promise<LoadedBackend> {
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1))
    throw new SessionOptionsError(`${threads} is no thread count`, 'Give a whole number of threads, 1 or more.');
  if (backend === 'native' ? !isNode : backend === 'webgpu' && isNode)
    throw new MissingRuntimeError(backend, new Error(`it runs in ${isNode ? 'browsers' : 'Node'} only`));
  const ort = await importBackend(backend);
  if (backend === 'native') {
    const version = ort.env.versions.node ?? ort.env.versions.common;
    return { backend, ort, version, threads: threads ?? (await describeHost()).physicalCores, remarks: [] };
  }
  const version = ort.env.versions.web ?? ort.env.versions.common;
  return { backend, ort, version, ...startWeb(backend, ort, threads, await describeHost()) };
}

/** Starts a web runtime with its thread count, or checks that a started one fits. */
function startWeb(
  backend: Backend,
  ort: OrtModule,
  asked: number | undefined,
  host: HostDescription,
): Pick<LoadedBackend, 'threads' | 'remarks'> {
  const running = started.get(backend);
  if (running !== undefined && asked !== undefined && asked !== running)
    throw new SessionOptionsError(
      `the ${backend} runtime of this process already runs on ${running} thread(s) and cannot change to ${asked}`,
      'Use one thread count per process, or open the session in a worker or process of its own.',
    );
  const shared = sharesMemory();
  if (!shared && asked !== undefined && asked > 1)
    throw new SessionOptionsError(
      `${asked} threads need shared memory, which this page does not have`,
      'Serve the page with the COOP and COEP headers, or ask for 1 thread.',
    );
  const threads = running ?? asked ?? (shared ? usualThreads(host) : 1);
  if (running === undefined) {
    const { wasmPaths } = settleOrtSettings();
    ort.env.wasm.numThreads = threads;
    if (wasmPaths !== undefined) ort.env.wasm.wasmPaths = wasmPaths;
    ort.env.logLevel = 'fatal';
    started.set(backend, threads);
  }
  const remarks =
    shared || asked !== undefined || host.logicalCores === 1
      ? []
      : ['1 thread: the page is not cross-origin isolated (it is served without the COOP and COEP headers)'];
  return { threads, remarks };
}

function sharesMemory(): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && (isNode || globalThis.crossOriginIsolated);
}

/** A browser tells logical cores only. On larger machines two of them are one core, whose second thread gains nothing. */
function usualThreads({ logicalCores, physicalCores }: HostDescription): number {
  return isNode ? physicalCores : Math.min(logicalCores, Math.max(4, logicalCores >> 1));
}

async function importBackend(backend: Backend): Promise<OrtModule> {
  let loaded: unknown;
  try {
    loaded = await (isNode ? importForNode(backend) : importForWeb(backend));
  } catch (cause) {
    throw new MissingRuntimeError(backend, cause);
  }
  // onnxruntime-node is CommonJS: its exports arrive under `default`, and only some of them by name as well.
  const module = loaded as OrtModule & { readonly default?: OrtModule };
  return module.default?.InferenceSession === undefined ? module : module.default;
}

async function importForNode(backend: Backend): Promise<unknown> {
  const packages = await import('./ort-node.js');
  return backend === 'native' ? packages.importNative() : packages.importWasm();
}

async function importForWeb(backend: Backend): Promise<unknown> {
  const packages = await import('./ort-web.js');
  return backend === 'webgpu' ? packages.importWebGpu() : packages.importWasm();
}
