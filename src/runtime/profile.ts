/** @file Measures a model layer by layer: ONNX Runtime's own profiler, joined to the nodes of our graph. */
import {
  CuttleError,
  GraphBuilder,
  makeGraph,
  tensorType,
  type Model,
  type Tensor,
  type ValueType,
} from '../ir/index.js';
import { decodeModel } from '../onnx/index.js';
import { isNode } from '../platform/index.js';
import { describeDevice } from './device.js';
import { readKernelEvents, type KernelTimes } from './kernel-events.js';
import { joinKernels } from './kernel-join.js';
import { measureLatency, type MeasureOptions } from './latency.js';
import type { Backend, SessionOptions } from './options.js';
import { PROFILE_VERSION, type Profile } from './profile-schema.js';
import { openOrtSession, openSession } from './session.js';
import { syntheticFeeds } from './synthetic.js';
import { collectOutput } from './web-output.js';

export interface ProfileOptions extends Omit<SessionOptions, 'profile' | 'backend'>, Omit<MeasureOptions, 'samples'> {
  /** Only `native` in Node and `wasm` in browsers have a profiler (`auto`, the default, takes these); others are refused. */
  readonly backend?: SessionOptions['backend'];
  /** What to run on; made up where omitted (`syntheticFeeds`). */
  readonly feeds?: Readonly<Record<string, Tensor>>;
  /** Sizes of symbolic dims for made-up feeds. */
  readonly symbols?: Readonly<Record<string, number>>;
}

/** A back end without a per-node profiler. Exit code 4. */
export class ProfilerUnavailableError extends CuttleError {
  constructor(asked: Backend, able: Backend) {
    super('unsupported', 'runtime/no-profiler', `the ${asked} runtime cannot report times per node here`, {
      hint: `Profile with the ${able} back end, or measure whole models with measureLatency.`,
    });
  }
}

/** What ONNX Runtime calls the provider that these back ends open. */
const PROVIDERS: Readonly<Record<Backend, string>> = {
  native: 'CPUExecutionProvider',
  wasm: 'CPUExecutionProvider',
  webgpu: 'JsExecutionProvider',
};

/** ONNX Runtime stops recording after this many events. */
const MAX_EVENTS = 1_000_000;

/**
 * Runs a model under ONNX Runtime's profiler and without it, and returns times per layer. Every kernel counts for the node
 * (and fused members) whose work it did. `runs` (20) and `warmup` (5) hold for both measurements.
 * Throws ProfilerUnavailableError for a back end without a profiler, and whatever `openSession` and `run` throw.
 */
export async function profileModel(model: Model | Uint8Array, options: ProfileOptions = {}): Promise<Profile> {
  const backend = profiledBackend(options.backend);
  // Nodes without a name get one from the reader: the profiler then reports names that the graph knows.
  const named = model instanceof Uint8Array ? decodeModel(model) : model;
  const feeds = options.feeds ?? syntheticFeeds(named, options.symbols);
  const { optimization = 'all', warmup = 5, runs = 20, signal } = options;
  const session = await openSession(named, { ...options, backend });
  try {
    const measured = await measureLatency(() => session.run(feeds, { signal }), { ...options, warmup, runs });
    const times = await profileKernels(named, feeds, { ...options, backend, warmup, runs });
    const { layers, unmatched } = joinKernels(named.graph, times.kernels);
    const kernelMs = times.kernels.reduce((sum, kernel) => sum + kernel.ms, 0);
    const share = (ms: number): number => (kernelMs > 0 ? Math.min(1, ms / kernelMs) : 0);
    const memory = await memoryOf();
    const own = PROVIDERS[backend];
    const callMs = await measureCall(named, feeds, await session.run(feeds), { ...options, backend, warmup, runs });
    return {
      kind: 'cuttle.profile',
      version: PROFILE_VERSION,
      device: await describeDevice({ ...options, backend }),
      inputs: Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, [...feed.dims]])),
      optimization,
      latencyMs: measured,
      kernelMs,
      profiledMs: times.runMs,
      scale: kernelMs > 0 ? measured.p50 / kernelMs : 1,
      layers: layers.map(({ node, members, ms, providers }) => ({
        name: node.name,
        op: node.op,
        ms,
        share: share(ms),
        ...(members.length > 1 ? { members: members.map((member) => member.name) } : {}),
        ...(providers.length > 0 && { provider: providers.join(', ') }),
        ...(providers.some((provider) => provider !== own) && { fallback: true }),
      })),
      otherMs: unmatched.reduce((sum, kernel) => sum + kernel.ms, 0),
      kernels: times.kernels.length,
      callMs,
      ...(memory !== undefined && { memory }),
    };
  } finally {
    await session.release();
  }
}

/**
 * Time of a call that computes nothing: a model with the same inputs, whose outputs are constants of the same types and shapes.
 * What it takes is checking and handing over feeds and results.
 */
async function measureCall(
  { graph, ...model }: Model,
  feeds: Readonly<Record<string, Tensor>>,
  results: Readonly<Record<string, Tensor>>,
  options: ProfileOptions & { readonly backend: Backend; readonly warmup: number; readonly runs: number },
): Promise<number> {
  const b = new GraphBuilder(Object.keys(feeds));
  for (const name of Object.keys(results)) b.alias(b.parameter(`${name}/constant`, results[name]!), name);
  const typeOf = ({ dtype, dims }: Tensor): ValueType => tensorType(dtype, dims);
  const empty = makeGraph({
    name: 'empty',
    inputs: Object.entries(feeds).map(([name, feed]) => ({ name, type: typeOf(feed) })),
    outputs: graph.outputs.map(({ name }) => ({ name, type: typeOf(results[name]!) })),
    nodes: b.nodes,
    initializers: b.initializers,
  });
  await using session = await openSession({ ...model, functions: [], graph: empty }, options);
  const { p50 } = await measureLatency(() => session.run(feeds, { signal: options.signal }), options);
  return p50;
}

/** Kernel times of a model under ONNX Runtime's profiler. */
async function profileKernels(
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
  options: ProfileOptions & { readonly warmup: number; readonly runs: number },
): Promise<KernelTimes> {
  const { warmup, signal } = options;
  const runs = Math.max(1, Math.min(options.runs, Math.floor(MAX_EVENTS / (model.graph.nodes.length + 2)) - warmup));
  /** Runs the model and has the profiler's report taken by `finish`. */
  const record = async <T>(extra: { readonly profileFilePrefix?: string }, finish: (end: () => void) => T) => {
    const session = await openOrtSession(model, { ...options, profile: true }, extra);
    try {
      for (let run = 0; run < warmup + runs; run++) await session.run(feeds, { signal });
      return finish(() => session.inner.endProfiling());
    } finally {
      await session.release();
    }
  };
  if (!isNode) return readKernelEvents((await record({}, collectOutput)).join('\n'), warmup);
  // The native profiler can only report through a file.
  const files = await import('../platform/node/files.js');
  return files.withTemporaryFolder(async (folder) => {
    await record({ profileFilePrefix: files.joinPath(folder, 'profile') }, (end) => end());
    const [file] = (await files.listFolder(folder)).filter(({ name }) => name.endsWith('.json'));
    return readKernelEvents(await files.readText(file!.path), warmup);
  });
}

/** Only these report times per node: the native runtime, and in browsers the one on WebAssembly. */
function profiledBackend(asked: SessionOptions['backend'] = 'auto'): Backend {
  const backend = isNode ? 'native' : 'wasm';
  if (asked !== 'auto' && asked !== backend) throw new ProfilerUnavailableError(asked, backend);
  return backend;
}

async function memoryOf(): Promise<Profile['memory']> {
  if (!isNode) return undefined;
  const { memoryUse } = await import('../platform/node/cpu.js');
  return memoryUse();
}
