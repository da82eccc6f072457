/** @file LiteRT.js: TensorFlow Lite models in browsers, on WebAssembly (XNNPACK) or WebGPU; to be timed, so its inputs are made up. */
import type * as LiteRtModule from '@litertjs/core';
import type { CompiledModel, Tensor as LiteRtTensor } from '@litertjs/core';
import { CuttleError } from '../ir/index.js';
import { createRandom, describeHost } from '../platform/index.js';
import type { DeviceDescription } from './device.js';
import { RuntimeLoadError, SessionOptionsError, SessionRunError } from './errors.js';

/** Version of the optional package @litertjs/core, which does not tell its own. */
export const LITERT_VERSION = '2.5.3';

/** LiteRT.js is not there, or does not start here. Exit code 1. */
export class LiteRtError extends CuttleError {
  constructor(message: string, cause?: unknown) {
    super('failed', 'runtime/litert', message, { hint: 'Install it with: npm install @litertjs/core', cause });
  }
}

/** What computes: WebAssembly with XNNPACK, or the GPU. */
export type Accelerator = 'wasm' | 'webgpu';

export interface LiteRtOptions {
  readonly accelerator: Accelerator;
  /** 1 where omitted. More need shared memory and relaxed SIMD, and there are none beside WebGPU. */
  readonly threads?: number;
}

/** A model that is ready to run on inputs of its own. */
export interface LiteRtSession {
  /** Sizes of the inputs by name. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly threads: number;
  /** What was chosen without being asked for, in sentences. */
  readonly remarks: readonly string[];
  /** Computes all outputs; resolves once they are computed. Throws SessionRunError. */
  run(): Promise<void>;
  release(): void;
}

let folder: string | undefined;

/** Says where @litertjs/core's `wasm` folder is served: a URL with a slash at its end. Without it LiteRT is not used. */
export function configureLiteRt(wasmFolder: string): void {
  folder = wasmFolder;
}

/** Whether `configureLiteRt` was called. */
export function isLiteRtConfigured(): boolean {
  return folder !== undefined;
}

/** Threads that LiteRT can use here: its build with threads needs shared memory and relaxed SIMD. */
export async function liteRtThreads(): Promise<number> {
  return globalThis.crossOriginIsolated && WebAssembly.validate(RELAXED_SIMD) ? (await describeHost()).logicalCores : 1;
}

/** What the threads of LiteRT's build with threads run. */
const THREADED_SCRIPT = 'litert_wasm_threaded_internal.js';

/** The smallest module that uses relaxed SIMD: one `i8x16.relaxed_swizzle` (WebAssembly relaxed SIMD proposal). */
const RELAXED_SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15,
  253, 128, 2, 11,
]);

/**
 * Loads a TensorFlow Lite model (.tflite). LiteRT is one per page or worker, with the threads of the first model; its script
 * needs a page or a classic worker. Throws LiteRtError, SessionOptionsError for threads that cannot be had, RuntimeLoadError
 * where LiteRT refuses the model, of kind 'unsupported' for tensors that it cannot carry to JavaScript.
 */
export async function openLiteRt(bytes: Uint8Array, options: LiteRtOptions): Promise<LiteRtSession> {
  const { accelerator, threads = 1 } = options;
  if (folder === undefined) throw new LiteRtError('nobody has said where LiteRT lies (configureLiteRt)');
  const most = accelerator === 'wasm' ? await liteRtThreads() : 1;
  if (threads > most)
    throw new SessionOptionsError(
      `LiteRT runs at most ${most} thread(s) here on ${accelerator}`,
      'Threads need a page that may share memory, and a browser with relaxed SIMD.',
    );
  const liteRt = await start(folder, threads > 1, accelerator);
  let model: CompiledModel;
  try {
    model = await liteRt.loadAndCompile(bytes, { accelerator, cpuOptions: { numThreads: threads } });
  } catch (cause) {
    const reason = reasonOf(cause);
    const kind = /not supported|unsupported|unresolved/i.test(reason) ? 'unsupported' : 'invalid';
    throw new RuntimeLoadError(kind, `LiteRT refuses the model: ${reason}`, { cause });
  }
  const remarks =
    accelerator === 'webgpu' && !model.isFullyAccelerated
      ? ['the GPU does not take every layer: the others run on WebAssembly']
      : [];
  const tensors = await inputsOf(liteRt.Tensor, model, accelerator);
  return {
    inputs: Object.fromEntries(model.getInputDetails().map(({ name, shape }) => [name, [...shape]])),
    threads,
    remarks,
    async run() {
      let outputs: LiteRtTensor[] = [];
      try {
        outputs = await model.run(tensors);
        // A GPU has only been asked so far; reading an output waits for it.
        if (accelerator === 'webgpu') await Promise.all(outputs.map((output) => output.data()));
      } catch (cause) {
        throw new SessionRunError('failed', 'runtime/litert-run', `LiteRT failed: ${reasonOf(cause)}`, { cause });
      } finally {
        for (const output of outputs) output.delete();
      }
    },
    release() {
      for (const tensor of tensors) tensor.delete();
      model.delete();
    },
  };
}

/** This machine with LiteRT, as it stands beside measurements. */
export async function describeLiteRt({ accelerator }: LiteRtOptions, threads: number): Promise<DeviceDescription> {
  const host = await describeHost();
  return {
    ...host,
    cpuFeatures: [...host.cpuFeatures],
    threads,
    executionProvider: accelerator === 'webgpu' ? 'LiteRT WebGPU' : 'LiteRT WASM',
    runtime: `litert ${LITERT_VERSION}`,
  };
}

async function start(wasm: string, withThreads: boolean, accelerator: Accelerator) {
  let module: typeof LiteRtModule;
  try {
    module = await import('@litertjs/core');
    // The build that can wait for the GPU (JSPI) is the one that splits a graph between GPU and processor.
    const jspi = accelerator === 'webgpu' && 'Suspending' in WebAssembly;
    // Emscripten looks beside the script that runs it, which in a worker is not the one that it came in. What goes wrong is
    // thrown: its log would only fill the page's console.
    (globalThis as { Module?: unknown }).Module = {
      locateFile: (name: string) => new URL(name, wasm).href,
      mainScriptUrlOrBlob: new URL(THREADED_SCRIPT, wasm).href,
      ...{ print: () => undefined, printErr: () => undefined },
    };
    await module.loadLiteRt(wasm, { threads: withThreads, jspi });
  } catch (cause) {
    throw new LiteRtError(`LiteRT cannot be started: ${reasonOf(cause)}`, cause);
  }
  return module;
}

/** One tensor per input: normal noise for floats, zeros for integers. */
async function inputsOf(
  Tensor: typeof LiteRtTensor,
  model: CompiledModel,
  accelerator: Accelerator,
): Promise<LiteRtTensor[]> {
  const random = createRandom(1);
  const made = model.getInputDetails().map(({ dtype, shape }) => {
    const size = shape.reduce((product, dim) => product * dim, 1);
    if (dtype === 'float32')
      return new Tensor(
        Float32Array.from({ length: size }, () => random.normal()),
        shape,
      );
    return new Tensor(dtype === 'int32' ? new Int32Array(size) : new Uint8Array(size), shape);
  });
  return accelerator === 'wasm' ? made : await Promise.all(made.map((tensor) => tensor.moveTo(accelerator)));
}

function reasonOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, 500);
}
