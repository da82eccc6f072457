/** @file One loaded model on any back end: feeds checked by name, type and shape, runs in order, released once. */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { CuttleError, Tensor, tensorType, type Model, type ValueType } from '../ir/index.js';
import { decodeModel, encodeModel } from '../onnx/index.js';
import { isNode } from '../platform/index.js';
import { writeOutBatchStatistics } from '../passes/index.js';
import { chooseBackend } from './choose-backend.js';
import { Resident, type DeviceTensor, type InTurn } from './device-tensor.js';
import { loadError, runError, SessionOptionsError, SessionReleasedError, SessionRunError } from './errors.js';
import { checkFeeds, describeFeeds } from './feeds.js';
import { loadBackend, type LoadedBackend } from './ort.js';
import type { Backend, SessionOptions } from './options.js';
import { TRAINING_SETTINGS } from './training-settings.js';
import { fromOrt, isCarried, toOrt } from './tensors.js';
import { whileStarting } from './web-output.js';
import { processorNodes } from './webgpu-placement.js';

export interface RunOptions {
  /** Only these outputs are fetched; all where omitted. */
  readonly outputs?: readonly string[];
  /** Checked before the run starts: ONNX Runtime cannot stop a run that is under way. */
  readonly signal?: AbortSignal;
}

/** What `runResident` takes: tensors of the IR, and what earlier runs left on the device. */
export type Feeds = Readonly<Record<string, Tensor | DeviceTensor>>;

export interface ResidentRun {
  /** The fetched outputs. */
  readonly outputs: Record<string, Tensor>;
  /** The outputs named `resident` when the session was opened. */
  readonly resident: ReadonlyMap<string, DeviceTensor>;
}

/** A model that is loaded and ready to run. Tensors that come out are owned by the caller. */
export interface Session extends AsyncDisposable {
  readonly backend: Backend;
  readonly threads: number;
  /** ONNX Runtime's version. */
  readonly version: string;
  /** What was chosen without being asked for, and why, in sentences: the back end, a single thread. */
  readonly remarks: readonly string[];
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Declared type of an input or output; `undefined` where it is no tensor or has no such name. */
  typeOf(name: string): ValueType | undefined;
  /**
   * Feeds every input and fetches outputs. Calls may overlap; they run one after another.
   * Throws SessionRunError for a missing, unknown or ill-shaped feed and for a kernel that fails, UnsupportedDataTypeError
   * for element types that cannot cross, the signal's reason where it is aborted, SessionReleasedError after release.
   */
  run(feeds: Feeds, options?: RunOptions): Promise<Record<string, Tensor>>;
  /**
   * As `run`, but the outputs named `resident` stay on the device, all of them, whatever `options.outputs` fetches besides.
   * The caller disposes of them.
   */
  runResident(feeds: Feeds, options?: RunOptions): Promise<ResidentRun>;
  /** Frees the session after the runs already asked for. A second call does nothing. */
  release(): Promise<void>;
}

/** What `openSession` keeps for the profiler, besides the public interface. */
export interface OrtSession extends Session {
  readonly inner: InferenceSession;
}

/**
 * Loads a model. With `auto`, a model that the GPU's back end refuses goes to `wasm`, and `remarks` says so. Throws
 * MissingRuntimeError where the back end's package is absent, SessionOptionsError for impossible options, and
 * RuntimeLoadError where ONNX Runtime refuses the model: kind 'unsupported' for an operator, type or version without a
 * kernel, 'invalid' for a broken model.
 */
export async function openSession(model: Model | Uint8Array, options: SessionOptions = {}): Promise<Session> {
  return openOrtSession(model, options);
}

/** As `openSession`, with further options of ONNX Runtime's own and the inner session at hand: for this folder alone. */
export async function openOrtSession(
  model: Model | Uint8Array,
  options: SessionOptions = {},
  extra: InferenceSession.SessionOptions = {},
): Promise<OrtSession> {
  const { backend, remarks } = await chooseBackend(options.backend);
  if (backend !== 'webgpu' || (options.backend ?? 'auto') !== 'auto')
    return await openOn(backend, model, options, remarks, extra);
  try {
    return await openOn(backend, model, options, remarks, extra);
  } catch (refusal) {
    if (!(refusal instanceof CuttleError) || refusal.kind === 'usage') throw refusal;
    return await openOn('wasm', model, options, [`wasm: on the GPU, ${refusal.message}`], extra);
  }
}

async function openOn(
  backend: Backend,
  model: Model | Uint8Array,
  options: SessionOptions,
  remarks: readonly string[],
  extra: InferenceSession.SessionOptions,
): Promise<OrtSession> {
  const loaded = await loadBackend(backend, options.threads);
  const { bytes, provider } = prepare(backend, model);
  const { resident = [] } = options;
  let inner: InferenceSession;
  try {
    inner = await starting(backend, () =>
      loaded.ort.InferenceSession.create(bytes, {
        executionProviders: [provider],
        graphOptimizationLevel: options.optimization ?? 'all',
        // The web builds take their threads from the page-wide setting.
        ...(backend === 'native' ? { intraOpNumThreads: loaded.threads, interOpNumThreads: 1 } : {}),
        ...(backend === 'webgpu' && resident.length > 0
          ? { preferredOutputLocation: Object.fromEntries(resident.map((name) => [name, 'gpu-buffer' as const])) }
          : {}),
        executionMode: 'sequential',
        enableCpuMemArena: options.keepMemory ?? true,
        enableMemPattern: options.keepMemory ?? true,
        enableProfiling: options.profile ?? false,
        // Everything that goes wrong is thrown as an error too: the log would only repeat it on the user's terminal.
        logSeverityLevel: 4,
        ...(options.training && backend !== 'webgpu' ? TRAINING_SETTINGS : {}),
        ...extra,
      }),
    );
  } catch (cause) {
    throw loadError(backend, cause);
  }
  const unknown = resident.find((name) => !inner.outputNames.includes(name));
  if (unknown !== undefined) {
    await inner.release();
    throw new SessionOptionsError(
      `the model has no output '${unknown}' that could stay on the device`,
      `It has: ${inner.outputNames.join(', ')}.`,
    );
  }
  return makeSession({ ...loaded, remarks: [...remarks, ...loaded.remarks] }, inner, resident);
}

/** A web runtime starts with its first session, and makes one session at a time. */
function starting<T>(backend: Backend, create: () => Promise<T>): Promise<T> {
  return queueOf(backend)(() => (backend === 'native' || isNode ? create() : whileStarting(create)));
}

/** The bytes that a back end loads, and its execution provider. WebGPU gets a graph without what it only claims to compute. */
function prepare(
  backend: Backend,
  model: Model | Uint8Array,
): { readonly bytes: Uint8Array; readonly provider: InferenceSession.ExecutionProviderConfig } {
  if (backend !== 'webgpu')
    return {
      bytes: model instanceof Uint8Array ? model : encodeModel(model),
      provider: backend === 'native' ? 'cpu' : 'wasm',
    };
  const given = model instanceof Uint8Array ? decodeModel(model) : model;
  const { model: written, changed } = writeOutBatchStatistics(given);
  const names = processorNodes(written);
  return {
    bytes: model instanceof Uint8Array && !changed ? model : encodeModel(written),
    // ONNX Runtime takes no empty list, and after refusing its options it makes no session any more.
    provider: names.length === 0 ? 'webgpu' : { name: 'webgpu', forceCpuNodeNames: names },
  };
}

/** A web runtime has one heap and one call stack, so its runs queue up across all sessions of the process or page. */
const queues = new Map<Backend, Promise<unknown>>();

function queueOf(backend: Backend): InTurn {
  // The native binding runs each call to its end inside one turn of the event loop: nothing can interleave.
  if (backend === 'native') return (job) => job();
  return (job) => {
    const turn = (queues.get(backend) ?? Promise.resolve()).then(job, job);
    queues.set(backend, turn);
    return turn;
  };
}

function makeSession(loaded: LoadedBackend, inner: InferenceSession, resident: readonly string[]): OrtSession {
  const { backend, threads, version, remarks, ort } = loaded;
  const types = new Map<string, ValueType | undefined>(
    [...inner.inputMetadata, ...inner.outputMetadata].map((value) => [value.name, typeOf(value)]),
  );
  const inputNames = [...inner.inputNames];
  const outputNames = [...inner.outputNames];
  const runOptions: InferenceSession.RunOptions = backend === 'native' ? {} : { logSeverityLevel: 4 };
  const inTurn = queueOf(backend);
  const pending = new Set<Promise<unknown>>();
  let released: Promise<void> | undefined;

  const runFor = async (feeds: Feeds, fetched: readonly string[], signal: AbortSignal | undefined) => {
    if (released) throw new SessionReleasedError();
    signal?.throwIfAborted();
    for (const name of fetched)
      if (!outputNames.includes(name))
        throw new SessionRunError('usage', 'runtime/output', `the model has no output '${name}'`, {
          hint: `It has: ${outputNames.join(', ')}.`,
        });
    checkFeeds(inputNames, types, feeds);
    const job = inTurn(async () => {
      signal?.throwIfAborted();
      // Only now: a download that was asked for before this run moves tensors from the GPU to the host.
      const given: Record<string, OrtTensor> = {};
      for (const name of inputNames) given[name] = feedOf(feeds[name]!, name, ort);
      try {
        return await inner.run(given, fetched, runOptions);
      } catch (cause) {
        throw runError(cause, describeFeeds(inputNames, feeds));
      }
    });
    pending.add(job);
    try {
      return await job;
    } finally {
      pending.delete(job);
    }
  };

  const run = async (feeds: Feeds, options: RunOptions = {}): Promise<Record<string, Tensor>> => {
    const fetched = options.outputs ?? outputNames;
    const results = await runFor(feeds, fetched, options.signal);
    const outputs: Record<string, Tensor> = {};
    for (const name of fetched)
      outputs[name] = await new Resident(results[name]!, `output '${name}'`, inTurn).download();
    return outputs;
  };

  const runResident = async (feeds: Feeds, options: RunOptions = {}): Promise<ResidentRun> => {
    const fetched = (options.outputs ?? outputNames).filter((name) => !resident.includes(name));
    const results = await runFor(feeds, [...fetched, ...resident], options.signal);
    const outputs: Record<string, Tensor> = {};
    for (const name of fetched) outputs[name] = fromOrt(results[name]!, `output '${name}'`);
    return {
      outputs,
      resident: new Map(
        resident.map((name) => [name, new Resident(results[name]!, `output '${name}'`, inTurn)] as const),
      ),
    };
  };

  const release = (): Promise<void> => {
    released ??= (async () => {
      await Promise.allSettled(pending);
      await inTurn(() => inner.release());
    })();
    return released;
  };

  return {
    backend,
    threads,
    version,
    remarks,
    inputNames,
    outputNames,
    inner,
    typeOf: (name) => types.get(name),
    run,
    runResident,
    release,
    [Symbol.asyncDispose]: release,
  };
}

function feedOf(given: Tensor | DeviceTensor, name: string, ort: LoadedBackend['ort']): OrtTensor {
  const held = given instanceof Resident ? given.feed : (given as Tensor);
  return held instanceof Tensor ? toOrt(held, `input '${name}'`, ort) : held;
}

function typeOf(value: InferenceSession.ValueMetadata): ValueType | undefined {
  if (!value.isTensor || !isCarried(value.type)) return undefined;
  return tensorType(
    value.type,
    value.shape.map((dim) => (dim === '' ? null : dim)),
  );
}
