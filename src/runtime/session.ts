/** @file One loaded model on either back end: feeds checked by name, type and shape, runs in order, released once. */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { formatShape, tensorType, type Model, type Shape, type Tensor, type ValueType } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { loadError, runError, SessionReleasedError, SessionRunError } from './errors.js';
import { loadBackend, type LoadedBackend } from './ort.js';
import type { Backend, SessionOptions } from './options.js';
import { fromOrt, isCarried, toOrt } from './tensors.js';

export interface RunOptions {
  /** Only these outputs are fetched; all where omitted. */
  readonly outputs?: readonly string[];
  /** Checked before the run starts: ONNX Runtime cannot stop a run that is under way. */
  readonly signal?: AbortSignal;
}

/** A model that is loaded and ready to run. Tensors that come out are owned by the caller. */
export interface Session extends AsyncDisposable {
  readonly backend: Backend;
  readonly threads: number;
  /** ONNX Runtime's version. */
  readonly version: string;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Declared type of an input or output; `undefined` where it is no tensor or has no such name. */
  typeOf(name: string): ValueType | undefined;
  /**
   * Feeds every input and fetches outputs. Calls may overlap; they run one after another.
   * Throws SessionRunError for a missing, unknown or ill-shaped feed and for a kernel that fails, UnsupportedDataTypeError
   * for element types that cannot cross, the signal's reason where it is aborted, SessionReleasedError after release.
   */
  run(feeds: Readonly<Record<string, Tensor>>, options?: RunOptions): Promise<Record<string, Tensor>>;
  /** Frees the session after the runs already asked for. A second call does nothing. */
  release(): Promise<void>;
}

/** What `openSession` keeps for the profiler, besides the public interface. */
export interface OrtSession extends Session {
  readonly inner: InferenceSession;
}

/**
 * Loads a model. Throws MissingRuntimeError where the back end's package is absent, SessionOptionsError for impossible
 * options, and RuntimeLoadError where ONNX Runtime refuses the model: kind 'unsupported' for an operator, type or
 * version without a kernel, 'invalid' for a broken model.
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
  const loaded = await loadBackend(options.backend, options.threads);
  const bytes = model instanceof Uint8Array ? model : encodeModel(model);
  let inner: InferenceSession;
  try {
    inner = await loaded.ort.InferenceSession.create(bytes, {
      executionProviders: [loaded.backend === 'native' ? 'cpu' : 'wasm'],
      graphOptimizationLevel: options.optimization ?? 'all',
      // The wasm build takes its threads from the process-wide setting.
      ...(loaded.backend === 'native' ? { intraOpNumThreads: loaded.threads, interOpNumThreads: 1 } : {}),
      executionMode: 'sequential',
      enableCpuMemArena: options.keepMemory ?? true,
      enableMemPattern: options.keepMemory ?? true,
      enableProfiling: options.profile ?? false,
      // Everything that goes wrong is thrown as an error too: the log would only repeat it on the user's terminal.
      logSeverityLevel: 4,
      ...extra,
    });
  } catch (cause) {
    throw loadError(loaded.backend, cause);
  }
  return makeSession(loaded, inner);
}

/** The wasm runtime has one heap and one call stack, so its runs queue up across all sessions of the process. */
let wasmQueue: Promise<unknown> = Promise.resolve();

function inTurn<T>(backend: Backend, job: () => Promise<T>): Promise<T> {
  // The native binding runs each call to its end inside one turn of the event loop: nothing can interleave.
  if (backend === 'native') return job();
  const turn = wasmQueue.then(job, job);
  wasmQueue = turn;
  return turn;
}

function makeSession(loaded: LoadedBackend, inner: InferenceSession): OrtSession {
  const { backend, threads, version, ort } = loaded;
  const types = new Map<string, ValueType | undefined>(
    [...inner.inputMetadata, ...inner.outputMetadata].map((value) => [value.name, typeOf(value)]),
  );
  const inputNames = [...inner.inputNames];
  const outputNames = [...inner.outputNames];
  const runOptions: InferenceSession.RunOptions = backend === 'wasm' ? { logSeverityLevel: 4 } : {};
  const pending = new Set<Promise<unknown>>();
  let released: Promise<void> | undefined;

  const run = async (
    feeds: Readonly<Record<string, Tensor>>,
    options: RunOptions = {},
  ): Promise<Record<string, Tensor>> => {
    if (released) throw new SessionReleasedError();
    options.signal?.throwIfAborted();
    const fetched = options.outputs ?? outputNames;
    for (const name of fetched)
      if (!outputNames.includes(name))
        throw new SessionRunError('usage', 'runtime/output', `the model has no output '${name}'`, {
          hint: `It has: ${outputNames.join(', ')}.`,
        });
    checkFeeds(inputNames, types, feeds);
    const given: Record<string, OrtTensor> = {};
    for (const name of inputNames) given[name] = toOrt(feeds[name]!, `input '${name}'`, ort);
    const job = inTurn(backend, async () => {
      options.signal?.throwIfAborted();
      try {
        return await inner.run(given, fetched, runOptions);
      } catch (cause) {
        throw runError(cause, describeFeeds(inputNames, feeds));
      }
    });
    pending.add(job);
    try {
      const results = await job;
      const outputs: Record<string, Tensor> = {};
      for (const name of fetched) outputs[name] = fromOrt(results[name]!, `output '${name}'`);
      return outputs;
    } finally {
      pending.delete(job);
    }
  };

  const release = (): Promise<void> => {
    released ??= (async () => {
      await Promise.allSettled(pending);
      await inTurn(backend, () => inner.release());
    })();
    return released;
  };

  return {
    backend,
    threads,
    version,
    inputNames,
    outputNames,
    inner,
    typeOf: (name) => types.get(name),
    run,
    release,
    [Symbol.asyncDispose]: release,
  };
}

/** Throws SessionRunError unless every input is fed with the declared element type, rank and fixed dims, and nothing else is. */
function checkFeeds(
  names: readonly string[],
  types: ReadonlyMap<string, ValueType | undefined>,
  feeds: Readonly<Record<string, Tensor>>,
): void {
  const refuse = (message: string, hint: string): never => {
    throw new SessionRunError('invalid', 'runtime/feed', message, { hint });
  };
  for (const name of names) {
    const feed = feeds[name];
    if (feed === undefined) return refuse(`input '${name}' is not fed`, `The model's inputs are: ${names.join(', ')}.`);
    const type = types.get(name);
    if (type?.kind !== 'tensor') continue;
    const given = `${feed.dtype}${formatShape(feed.dims)}`;
    const declared = `${type.dtype}${formatShape(type.shape)}`;
    if (feed.dtype !== type.dtype)
      return refuse(`input '${name}' is ${given}, but the model takes ${declared}`, `Convert it to ${type.dtype}.`);
    if (!fits(feed.dims, type.shape))
      return refuse(
        `input '${name}' has shape ${formatShape(feed.dims)}, but the model takes ${formatShape(type.shape)}`,
        'Reshape or resize the input, or export the model with symbolic dims.',
      );
  }
  for (const name in feeds)
    if (!names.includes(name))
      refuse(`the model has no input '${name}'`, `The model's inputs are: ${names.join(', ')}.`);
}

function fits(dims: readonly number[], shape: Shape | undefined): boolean {
  if (shape === undefined) return true;
  if (dims.length !== shape.length) return false;
  return shape.every((dim, axis) => typeof dim !== 'number' || dim === dims[axis]);
}

function typeOf(value: InferenceSession.ValueMetadata): ValueType | undefined {
  if (!value.isTensor || !isCarried(value.type)) return undefined;
  return tensorType(
    value.type,
    value.shape.map((dim) => (dim === '' ? null : dim)),
  );
}

function describeFeeds(names: readonly string[], feeds: Readonly<Record<string, Tensor>>): string {
  return names.map((name) => `${name} ${feeds[name]!.dtype}${formatShape(feeds[name]!.dims)}`).join(', ');
}
