/** @file One opening of a session, measured: loading, the first run, then runs until there are enough. Runs in Node and browsers. */
import type * as Load from '../../platform/node/load.js';
import { createRandom, isNode, now } from '../../platform/index.js';
import { measureLatency, openSession, summarise, syntheticTensor, type SessionOptions } from '../../runtime/index.js';
import type { DataType } from '../../ir/index.js';
import { variation } from '../statistics.js';

/** How long one opening is measured. */
export interface OpeningPlan {
  /** Runs before the clock counts. */
  readonly warmup: number;
  /** Runs at least. */
  readonly runs: number;
  /** Goes on for at least this long. */
  readonly minSeconds: number;
  /** Stops after this long, whatever `runs` says. */
  readonly maxSeconds: number;
}

export interface OpeningRequest {
  readonly model: Uint8Array;
  /** What every input is fed: made-up values of this type and size. */
  readonly inputs: Readonly<Record<string, { readonly dtype: DataType; readonly dims: readonly number[] }>>;
  readonly session: SessionOptions;
  readonly plan: OpeningPlan;
}

/** What one opening showed. */
export interface Opening {
  /** Making the session, the back end already loaded, ms. */
  readonly loadMs: number;
  /** The first run, ms. */
  readonly firstMs: number;
  /** Every counted run, ms, in order. */
  readonly samples: Float64Array;
  /** Standard deviation of the runs over their mean. */
  readonly cv: number;
  /** Share of all cores' time that other processes took meanwhile; absent where it cannot be known. */
  readonly background?: number;
  /** What the session chose by itself, in sentences. */
  readonly remarks: readonly string[];
  /** ONNX Runtime's version. */
  readonly version: string;
}

/** Made-up feeds of the stated sizes, the same on every host. */
export function feedsOf(inputs: OpeningRequest['inputs']): Record<string, ReturnType<typeof syntheticTensor>> {
  const random = createRandom(1);
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, dims }]) => [name, syntheticTensor(dtype, dims, random)]),
  );
}

/** Opens, runs, measures and closes. Throws what the runtime throws, and the signal's reason. */
export async function measureOpening(request: OpeningRequest, signal?: AbortSignal): Promise<Opening> {
  const feeds = feedsOf(request.inputs);
  const load = await loadReader();
  const start = now();
  await using session = await openSession(request.model, request.session);
  const loaded = now();
  await session.run(feeds, { signal });
  const firstMs = now() - loaded;
  if (session.backend !== 'native') await untilCompiled(() => session.run(feeds), signal);
  const before = load?.readLoad();
  const { samples } = await measureLatency(() => session.run(feeds), { ...request.plan, samples: true, signal });
  const background = before && load?.backgroundShare(before, load.readLoad());
  return {
    ...{ loadMs: loaded - start, firstMs, samples: samples!, cv: variation(Array.from(samples!)) },
    ...(background !== undefined && { background }),
    ...{ remarks: session.remarks, version: session.version },
  };
}

/** A block of runs before the next look, and when to stop looking. */
const BLOCK = { runs: 5, seconds: 0.05, limitSeconds: 5 };
/** Blocks get no faster from here on. */
const FASTER = 0.97;

/**
 * Runs until runs stop getting faster: browsers and Node translate WebAssembly quickly first and well later, function by
 * function, while it runs. Ends after two blocks without gain, or five seconds.
 */
async function untilCompiled(run: () => Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  const start = now();
  let [best, still] = [Infinity, 0];
  while (still < 2 && now() - start < BLOCK.limitSeconds * 1000) {
    const { p50 } = await measureLatency(run, {
      ...{ warmup: 0, runs: BLOCK.runs, minSeconds: BLOCK.seconds, maxSeconds: 1 },
      ...(signal && { signal }),
    });
    still = p50 < FASTER * best ? 0 : still + 1;
    best = Math.min(best, p50);
  }
}

/** A stretch of a sustained run. */
export interface Window {
  /** Seconds from the beginning to the stretch's middle. */
  readonly at: number;
  readonly p50: number;
  readonly p90: number;
  readonly runs: number;
  readonly background?: number;
}

/**
 * Runs without pause for `seconds` and summarises every `windowSeconds` of it. Throws what the runtime throws, and the signal's
 * reason.
 */
export async function measureSustained(
  request: OpeningRequest,
  { seconds, windowSeconds }: { readonly seconds: number; readonly windowSeconds: number },
  options: { readonly signal?: AbortSignal; readonly onWindow?: (window: Window) => void } = {},
): Promise<readonly Window[]> {
  const feeds = feedsOf(request.inputs);
  const load = await loadReader();
  await using session = await openSession(request.model, request.session);
  for (let run = 0; run < request.plan.warmup; run++) await session.run(feeds, { signal: options.signal });
  if (session.backend !== 'native') await untilCompiled(() => session.run(feeds), options.signal);
  const windows: Window[] = [];
  const start = now();
  while (now() - start < seconds * 1000) {
    options.signal?.throwIfAborted();
    const begin = now();
    const before = load?.readLoad();
    const samples: number[] = [];
    for (let at = begin; at - begin < windowSeconds * 1000;) {
      await session.run(feeds);
      const end = now();
      samples.push(end - at);
      at = end;
    }
    const background = before && load?.backgroundShare(before, load.readLoad());
    const { p50, p90 } = summarise(samples);
    const window: Window = {
      ...{ at: ((begin + now()) / 2 - start) / 1000, p50, p90, runs: samples.length },
      ...(background !== undefined && { background }),
    };
    windows.push(window);
    options.onWindow?.(window);
  }
  return windows;
}

async function loadReader(): Promise<typeof Load | undefined> {
  return isNode ? await import('../../platform/node/load.js') : undefined;
}
