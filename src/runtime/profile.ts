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
import { isNode, now } from '../platform/index.js';
import { describeDevice } from './device.js';
import { readKernelEvents, type Kernel, type KernelTimes } from './kernel-events.js';
import { joinKernels } from './kernel-join.js';
import { measureLatency, quietMean, summarise, type MeasureOptions } from './latency.js';
import type { Backend, SessionOptions } from './options.js';
import { PROFILE_VERSION, type Profile } from './profile-schema.js';
import { profilerShare, trifles, TRIFLES, withoutProfiler, type ProfilerShare } from './profiler-share.js';
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
  /** How often both sessions are opened anew; 1 where omitted. */
  readonly openings?: number;
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
 * Runs a model under ONNX Runtime's profiler and without it, by turns, and returns times per layer. Every kernel counts for the
 * node (and fused members) whose work it did, less what the profiler itself adds. `runs` (20) and `warmup` (5) hold for both;
 * with several `openings` (1) the runs are shared among them, as one opened session differs from the next.
 * Throws ProfilerUnavailableError for a back end without a profiler, and whatever `openSession` and `run` throw.
 */
export async function profileModel(model: Model | Uint8Array, options: ProfileOptions = {}): Promise<Profile> {
  const backend = profiledBackend(options.backend);
  // Nodes without a name get one from the reader: the profiler then reports names that the graph knows.
  const named = model instanceof Uint8Array ? decodeModel(model) : model;
  const feeds = options.feeds ?? syntheticFeeds(named, options.symbols);
  const { optimization = 'all', warmup = 5, runs = 20, openings = 1 } = options;
  const given: Given = { ...options, backend, warmup, runs };
  const share = await measureShare(given);
  const opened: Watched[] = [];
  for (let opening = 0; opening < openings; opening++)
    opened.push(await watch(named, feeds, { ...given, runs: Math.ceil(runs / openings) }));
  const samples = opened.flatMap((part) => part.samples);
  const latencyMs = summarise(samples);
  const kernels = averaged(opened).map((kernel) => withoutProfiler(kernel, share));
  const { layers, unmatched } = joinKernels(named.graph, kernels);
  const kernelMs = kernels.reduce((sum, { ms }) => sum + ms, 0);
  const shareOf = (ms: number): number => (kernelMs > 0 ? Math.min(1, ms / kernelMs) : 0);
  const memory = await memoryOf();
  const own = PROVIDERS[backend];
  return {
    kind: 'cuttle.profile',
    version: PROFILE_VERSION,
    device: await describeDevice({ ...options, backend }),
    inputs: Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, [...feed.dims]])),
    optimization,
    latencyMs,
    quietMs: mean(opened.map((part) => quietMean(part.samples))),
    kernelMs,
    profiledMs: mean(opened.map(({ times }) => times.runMs)),
    scale: kernelMs > 0 ? latencyMs.p50 / kernelMs : 1,
    layers: layers.map(({ node, members, ms, providers }) => ({
      name: node.name,
      op: node.op,
      ms,
      share: shareOf(ms),
      ...(members.length > 1 ? { members: members.map((member) => member.name) } : {}),
      ...(providers.length > 0 && { provider: providers.join(', ') }),
      ...(providers.some((provider) => provider !== own) && { fallback: true }),
    })),
    otherMs: unmatched.reduce((sum, kernel) => sum + kernel.ms, 0),
    kernels: kernels.length,
    profilerMs: share.perKernel,
    callMs: await measureCall(named, feeds, opened[0]!.results, given),
    ...(memory !== undefined && { memory }),
  };
}

/** Everything settled that can be left out. */
type Given = ProfileOptions & { readonly backend: Backend; readonly warmup: number; readonly runs: number };

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Kernels of several openings, each the mean of its times. */
function averaged(opened: readonly Watched[]): readonly Kernel[] {
  const sums = new Map<string, Kernel>();
  for (const { times } of opened)
    times.kernels.forEach((kernel, place) => {
      const key = `${kernel.name} ${kernel.op} ${place}`;
      sums.set(key, { ...kernel, ms: (sums.get(key)?.ms ?? 0) + kernel.ms / opened.length });
    });
  return [...sums.values()];
}

/** What the profiler adds, on operators without work. */
async function measureShare(given: Given): Promise<ProfilerShare> {
  const [chain, one] = [trifles(TRIFLES), trifles(1)];
  // Many short runs: the profiler's clock counts whole microseconds.
  const plan: Given = { ...given, warmup: 10, runs: 40, minSeconds: 0, maxSeconds: Infinity, optimization: 'disabled' };
  const watched = await watch(chain.model, chain.feeds, plan);
  await using session = await openSession(one.model, plan);
  const { samples } = await measureLatency(() => session.run(one.feeds), { warmup: 10, runs: 40, samples: true });
  return profilerShare(watched.times, quietMean(watched.samples), quietMean([...samples!]));
}

/**
 * Time of a call that computes nothing: a model with the same inputs, whose outputs are constants of the same types and shapes.
 * What it takes is checking and handing over feeds and results.
 */
async function measureCall(
  { graph, ...model }: Model,
  feeds: Readonly<Record<string, Tensor>>,
  results: Readonly<Record<string, Tensor>>,
  options: Given,
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

/** One opening of a model with the profiler and one without. */
interface Watched {
  /** Of runs that nobody watched, ms. */
  readonly samples: readonly number[];
  readonly times: KernelTimes;
  /** Of the last run. */
  readonly results: Readonly<Record<string, Tensor>>;
}

/** Runs in a row before the other session has its turn. The first of them finds the caches full of the other's data, and does not count. */
const TURN = 6;

/** Runs a session without profiler and one with it by turns, so that a slow spell of the machine falls on both. */
async function watch(model: Model, feeds: Readonly<Record<string, Tensor>>, given: Given): Promise<Watched> {
  const { warmup, runs, minSeconds = 0, maxSeconds = Infinity, signal } = given;
  await using plain = await openSession(model, given);
  // The native profiler can only report through a file.
  const files = isNode ? await import('../platform/node/files.js') : undefined;
  const record = async (folder?: string): Promise<Watched> => {
    const watched = await openOrtSession(
      model,
      { ...given, profile: true },
      folder === undefined ? {} : { profileFilePrefix: files!.joinPath(folder, 'profile') },
    );
    try {
      const most = Math.floor(MAX_EVENTS / (model.graph.nodes.length + 2));
      const samples: number[] = [];
      const counted: boolean[] = [];
      let results: Readonly<Record<string, Tensor>> = {};
      for (let run = 0; run < warmup; run++) {
        await plain.run(feeds, { signal });
        await watched.run(feeds, { signal });
        counted.push(false);
      }
      const start = now();
      for (;;) {
        for (let run = 0; run < TURN; run++) {
          const begin = now();
          results = await plain.run(feeds, { signal });
          if (run > 0) samples.push(now() - begin);
        }
        for (let run = 0; run < TURN && counted.length < most; run++) {
          await watched.run(feeds, { signal });
          counted.push(run > 0);
        }
        const seconds = (now() - start) / 2000;
        if (seconds >= maxSeconds || (samples.length >= runs && seconds >= minSeconds)) break;
      }
      const read = (text: string): KernelTimes => readKernelEvents(text, (run) => counted[run] === true);
      if (folder === undefined)
        return { samples, results, times: read(collectOutput(() => watched.inner.endProfiling()).join('\n')) };
      watched.inner.endProfiling();
      const [file] = (await files!.listFolder(folder)).filter(({ name }) => name.endsWith('.json'));
      return { samples, results, times: read(await files!.readText(file!.path)) };
    } finally {
      await watched.release();
    }
  };
  return await (files === undefined ? record() : files.withTemporaryFolder(record));
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
