/** @file The engine itself: sessions of whole models, walks over their parts, several requests in one run. */
import { CuttleError, Tensor, type Model, type ValueType } from '../../ir/index.js';
import { encodeModel } from '../../onnx/index.js';
import { loadModel } from '../../onnx/node.js';
import { inferShapes } from '../../passes/index.js';
import { now } from '../../platform/index.js';
import { openSession, syntheticFeeds, type Session, type SessionOptions } from '../../runtime/index.js';
import { cutsOf } from '../cuts.js';
import { openSplitNetwork, type SplitNetwork } from '../network.js';
import { modelDigest, OipError } from '../oip/index.js';
import { EXIT_OUTPUT, LABEL_OUTPUT } from '../oip/split-request.js';
import { openCodecs, unpackTensors, type Codecs } from '../packing/index.js';
import { SegmentWalk, type WalkAnswer } from '../segment-walk.js';
import { batchAxesOf, type BatchAxes } from './batch-axes.js';
import { bfloatBorders, narrowed, widened } from './bfloat-borders.js';
import { evenStops, openChain, type Runner } from './chain.js';
import {
  toPlain,
  toTensor,
  type BatchResult,
  type Engine,
  type LoadRequest,
  type Work,
  type WorkResult,
} from './engine.js';
import type { CardTensor, ModelCard, SplitCard } from './model-card.js';
import { joinSamples, sliceSamples } from '../rows.js';

/** A part of this length, ms on an idle machine, is divided so that an abandoned request stops soon. */
const LONGEST_PART_MS = 25;

type WholeWork = Extract<Work, { readonly kind: 'whole' }>;
type TailWork = Extract<Work, { readonly kind: 'tail' }>;

interface Loaded {
  readonly whole: Runner;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Outputs that requests expect as bfloat16. */
  readonly bfloats: ReadonlySet<string>;
  readonly axes: BatchAxes | undefined;
  readonly network: SplitNetwork | undefined;
  readonly walk: SegmentWalk | undefined;
  readonly card: ModelCard;
  readonly stops: readonly number[];
}

/** Computes in this thread. Nothing else runs while ONNX Runtime does: servers put it into a thread of its own. */
export class LocalEngine implements Engine {
  readonly #options: SessionOptions;
  readonly #longestPartMs: number;
  readonly #models = new Map<string, Loaded>();

  /** `longestPartMs`: networks that take longer on an idle machine run in parts, between which they can be stopped. */
  constructor(options: SessionOptions = {}, longestPartMs = LONGEST_PART_MS) {
    this.#options = options;
    this.#longestPartMs = longestPartMs;
  }

  async load({ key, path }: LoadRequest): Promise<ModelCard> {
    const loaded = await open(await loadModel(path), this.#options, this.#longestPartMs);
    this.#models.set(key, loaded);
    return loaded.card;
  }

  async unload(key: string): Promise<void> {
    const loaded = this.#models.get(key);
    this.#models.delete(key);
    await Promise.all([loaded?.whole.release(), loaded?.walk?.release()]);
  }

  async run(key: string, batch: readonly Work[], signal: AbortSignal): Promise<BatchResult> {
    const loaded = this.#models.get(key);
    if (loaded === undefined) throw new OipError('internal', `model '${key}' is not loaded`);
    if (batch.every((work) => work.kind === 'whole')) return await runWhole(loaded, batch, signal);
    return await runTails(loaded, batch as readonly TailWork[], signal);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#models.keys()].map((key) => this.unload(key)));
  }
}

async function open(model: Model, options: SessionOptions, longestPartMs: number): Promise<Loaded> {
  const digest = await modelDigest(model);
  if (digest === undefined) throw new OipError('internal', 'this host has no SHA-256');
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const axes = batchAxesOf(model, types);
  const borders = bfloatBorders(model);
  const run = borders?.model ?? model;
  const session = await openSession(encodeModel(run), options);
  try {
    const network = borders === undefined ? splitNetworkOf(model) : NO_BFLOAT;
    const walk = network instanceof CuttleError ? undefined : new SegmentWalk(network, options);
    const idleMs = await idleTime(session, run);
    const card: ModelCard = {
      digest,
      inputs: session.inputNames.map((name) =>
        cardTensor(name, types, session, typeof axes === 'string' ? undefined : axes.inputs.get(name)),
      ),
      outputs: session.outputNames.map((name) =>
        cardTensor(name, types, session, typeof axes === 'string' ? undefined : axes.outputs.get(name)),
      ),
      batches: typeof axes !== 'string',
      unbatched: typeof axes === 'string' ? axes : undefined,
      split: network instanceof CuttleError ? undefined : splitCard(network),
      unsplit: network instanceof CuttleError ? network.message : undefined,
      idleMs,
    };
    const parts = Math.ceil((idleMs ?? 0) / longestPartMs);
    return {
      ...{ card, walk, inputs: session.inputNames, outputs: session.outputNames },
      whole: await wholeRunner(run, session, parts, options),
      bfloats: borders?.outputs ?? new Set(),
      axes: typeof axes === 'string' ? undefined : axes,
      network: network instanceof CuttleError ? undefined : network,
      stops: network instanceof CuttleError ? [] : evenStops(network.cuts, parts),
    };
  } catch (error) {
    await session.release();
    throw error;
  }
}

const NO_BFLOAT = new OipError('unsupported', 'its inputs or outputs are bfloat16, which no device can feed', {
  hint: 'Cast them inside the model.',
});

/** The session itself, or in its place a chain of parts, none of which takes long. */
async function wholeRunner(model: Model, session: Session, parts: number, options: SessionOptions): Promise<Runner> {
  if (parts <= 1) return session;
  const cuts = cutsOf(model);
  const stops = evenStops(cuts, parts);
  if (stops.length === 0) return session;
  const chain = await openChain(cuts, stops, options);
  await session.release();
  return chain;
}

/** The network as one that can be split, or why not: such a model is served whole. */
function splitNetworkOf(model: Model): SplitNetwork | CuttleError {
  try {
    return openSplitNetwork(model);
  } catch (error) {
    if (error instanceof CuttleError) return error;
    throw error;
  }
}

function cardTensor(
  name: string,
  types: ReadonlyMap<string, ValueType>,
  session: Session | undefined,
  batchAxis: number | undefined,
): CardTensor {
  const type = types.get(name) ?? session?.typeOf(name);
  if (type?.kind !== 'tensor')
    throw new OipError('unsupported', `'${name}' is no tensor, which the protocol cannot carry`);
  return { name, dtype: type.dtype, shape: type.shape, batchAxis };
}

function splitCard(network: SplitNetwork): SplitCard {
  const { cuts, types, exits, final, classes } = network;
  return {
    cuts: cuts.cuts.map(({ frontier }) =>
      frontier.map((name) => cardTensor(name, types, undefined, network.batchAxis(name))),
    ),
    exits: exits.map(({ exit, position }) => ({ exit, position })),
    final: { exit: final.exit, position: final.position },
    logits: final.output,
    classes,
  };
}

/** Best of three warm runs on made-up inputs; undefined where none can be made up. */
async function idleTime(session: Session, model: Model): Promise<number | undefined> {
  let feeds: Record<string, Tensor>;
  try {
    feeds = syntheticFeeds(model);
  } catch {
    return undefined;
  }
  try {
    await session.run(feeds);
    let best = Infinity;
    for (let i = 0; i < 3; i++) {
      const start = now();
      await session.run(feeds);
      best = Math.min(best, now() - start);
    }
    return best;
  } catch {
    // Made-up values may be ones that the model refuses (indices, say); real ones decide.
    return undefined;
  }
}

async function runWhole(
  { whole, inputs, outputs: all, bfloats, axes }: Loaded,
  batch: readonly WholeWork[],
  signal: AbortSignal,
): Promise<BatchResult> {
  signal.throwIfAborted();
  const start = now();
  const feeds = batch.map((work) => mapped(tensorsOf(work.inputs), widened));
  const stated = (made: Record<string, Tensor>) =>
    mapped(made, (tensor, name) => (bfloats.has(name) ? narrowed(tensor) : tensor));
  const outputs = batch[0]!.outputs.length === 0 ? all : batch[0]!.outputs;
  const alone = async (index: number): Promise<WorkResult> =>
    attempt(async () => ({
      ok: true,
      outputs: plainOf(stated(await whole.run(feeds[index]!, { outputs, signal }))),
      reached: 0,
    }));
  const results =
    batch.length === 1 || axes === undefined
      ? await inTurn(batch, signal, alone)
      : await together(batch, signal, alone, async () => {
          const names = inputs;
          const counts = feeds.map((own) => own[names[0]!]!.dims[axes.inputs.get(names[0]!)!]!);
          const joined = Object.fromEntries(
            names.map((name) => [
              name,
              joinSamples(
                feeds.map((own) => own[name]!),
                axes.inputs.get(name)!,
              ),
            ]),
          );
          const made = stated(await whole.run(joined, { outputs, signal }));
          let from = 0;
          return counts.map((count): WorkResult => {
            const own = Object.entries(made).map(
              ([name, tensor]) => [name, toPlain(sliceSamples(tensor, axes.outputs.get(name)!, from, count))] as const,
            );
            from += count;
            return { ok: true, outputs: Object.fromEntries(own), reached: 0 };
          });
        });
  return { results, computeMs: now() - start };
}

async function runTails(loaded: Loaded, batch: readonly TailWork[], signal: AbortSignal): Promise<BatchResult> {
  const { walk, network, stops } = loaded;
  if (walk === undefined || network === undefined) throw new OipError('unsupported', loaded.card.unsplit ?? '');
  signal.throwIfAborted();
  const codecs = await openCodecs();
  const { cut, design } = batch[0]!;
  const { frontier } = network.cuts.cuts[cut]!;
  const start = now();
  let openingMs = 0;
  const unpacked = batch.map((work) => unpack(work, codecs));
  const good = unpacked.flatMap((own) => (own.ok ? [own.tensors] : []));
  const go = async (tensors: Readonly<Record<string, Tensor>>): Promise<readonly WalkAnswer[]> => {
    const began = now();
    const to = network.cuts.cuts.length - 1;
    const { best, computeMs } = await walk.run({ from: cut, to, tensors, design, stops, signal });
    // What is left is opening sessions and turns of the event loop: the first request of a cut pays it, no later one.
    openingMs += now() - began - computeMs;
    return best.map((answer) => answer!);
  };
  const alone = (index: number): Promise<WorkResult> => attempt(async () => answered(network, await go(good[index]!)));
  const axes = frontier.map((name) => network.batchAxis(name));
  const computed =
    good.length <= 1 || axes.includes(undefined)
      ? await inTurn(good, signal, alone)
      : await together(good, signal, alone, async () => {
          const joined = frontier.map((name, i) => {
            const parts = good.map((own) => own[name]!);
            return [name, joinSamples(parts, axes[i]!)] as const;
          });
          const answers = await go(Object.fromEntries(joined));
          let from = 0;
          return good.map((own): WorkResult => {
            const count = own[frontier[0]!]!.dims[axes[0]!]!;
            from += count;
            return answered(network, answers.slice(from - count, from));
          });
        });
  let next = 0;
  const results = unpacked.map((own): WorkResult => (own.ok ? computed[next++]! : own));
  return { results, computeMs: Math.max(0, now() - start - openingMs) };
}

type Unpacked =
  | { readonly ok: true; readonly tensors: Readonly<Record<string, Tensor>> }
  | { readonly ok: false; readonly error: unknown };

function unpack(work: TailWork, codecs: Codecs): Unpacked {
  try {
    return { ok: true, tensors: work.frame ? unpackTensors(work.frame, codecs) : tensorsOf(work.inputs) };
  } catch (error) {
    return { ok: false, error };
  }
}

/** Answers of one request's samples as its outputs. */
function answered(network: SplitNetwork, answers: readonly WalkAnswer[]): WorkResult {
  const { classes, final } = network;
  const logits = new Float32Array(answers.length * classes);
  answers.forEach((answer, row) => logits.set(answer.logits, row * classes));
  const whole = (values: readonly number[]): Tensor => Tensor.of('int64', [values.length], values);
  return {
    ok: true,
    outputs: plainOf({
      [final.output]: Tensor.floats(logits, [answers.length, classes]),
      [EXIT_OUTPUT]: whole(answers.map(({ exit }) => exit)),
      [LABEL_OUTPUT]: whole(answers.map(({ label }) => label)),
    }),
    reached: Math.max(...answers.map(({ reached }) => reached)),
  };
}

/** All in one run; where that fails, each alone, so that one request's bad values spoil no other's. */
async function together(
  batch: readonly unknown[],
  signal: AbortSignal,
  alone: (index: number) => Promise<WorkResult>,
  all: () => Promise<readonly WorkResult[]>,
): Promise<readonly WorkResult[]> {
  try {
    return await all();
  } catch (error) {
    if (signal.aborted) throw error;
    return await inTurn(batch, signal, alone);
  }
}

async function inTurn(
  batch: readonly unknown[],
  signal: AbortSignal,
  alone: (index: number) => Promise<WorkResult>,
): Promise<readonly WorkResult[]> {
  const results: WorkResult[] = [];
  for (let index = 0; index < batch.length; index++) {
    signal.throwIfAborted();
    results.push(await alone(index));
  }
  signal.throwIfAborted();
  return results;
}

async function attempt(work: () => Promise<WorkResult>): Promise<WorkResult> {
  try {
    return await work();
  } catch (error) {
    return { ok: false, error };
  }
}

function tensorsOf(plain: WholeWork['inputs']): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(plain).map(([name, tensor]) => [name, toTensor(tensor)]));
}

function mapped(
  tensors: Readonly<Record<string, Tensor>>,
  change: (tensor: Tensor, name: string) => Tensor,
): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor, name)]));
}

function plainOf(tensors: Readonly<Record<string, Tensor>>): WholeWork['inputs'] {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, toPlain(tensor)]));
}
