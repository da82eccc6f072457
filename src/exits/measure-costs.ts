/** @file What the parts of a progressive model cost: in MACs, from a profile of any device, or measured on this one. */
import type { Tensor } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { costOf, inferShapes } from '../passes/index.js';
import {
  describeDevice,
  measureInterleaved,
  openSession,
  percentile,
  profileModel,
  segmentTimes,
  syntheticFeeds,
  type DeviceDescription,
  type Profile,
  type ProfileOptions,
  type Session,
  type SessionOptions,
} from '../runtime/index.js';
import { bakeDesign } from './bake.js';
import { backboneCost, InvalidCostsError, type ExitCosts, type ExitMemory } from './costs.js';
import { Dataflow } from './dataflow.js';
import type { DesignChoice } from './design.js';
import { crossingBytes, fitExitOverhead } from './exit-overhead.js';
import { backboneOf, type Progressive } from './progressive.js';
import { openProgressive } from './session.js';
import { timeParts, type TimePartsOptions } from './time-parts.js';

/** Node names of each part of a progressive model, N + 1 of both kinds; the last head is empty. */
export interface ExitParts {
  readonly segments: readonly ReadonlySet<string>[];
  readonly heads: readonly ReadonlySet<string>[];
}

/**
 * Which node belongs where: segment i is what the value of exit i needs and no earlier exit's does, the last segment the
 * rest of the backbone; head i is what leads from that value to the exit's logits.
 */
export function exitParts({ model, info }: Progressive): ExitParts {
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const flow = new Dataflow(model.graph, types, info.batch);
  const targets = info.exits.flatMap((exit) => [exit.value, exit.output]);
  const parts = flow.parts([...targets, info.final.logits, info.final.output]);
  const counted = new Set<string>();
  const names = (index: number): ReadonlySet<string> => {
    // A node that is computed in several parts (shape arithmetic) counts in the first.
    const own = new Set(parts[index]!.nodes.map((node) => node.name).filter((name) => !counted.has(name)));
    for (const name of own) counted.add(name);
    return own;
  };
  const segments: ReadonlySet<string>[] = [];
  const heads: ReadonlySet<string>[] = [];
  info.exits.forEach((_, exit) => {
    segments.push(names(2 * exit));
    heads.push(names(2 * exit + 1));
  });
  segments.push(new Set([...names(targets.length), ...names(targets.length + 1)]));
  heads.push(new Set());
  return { segments, heads };
}

/** Costs in MACs for one sample: no device is needed. Memory included. */
export function macsCosts(progressive: Progressive): ExitCosts {
  const { model, info } = progressive;
  const cost = new Map(costOf(model, { symbols: { [info.batch]: 1 } }).nodes.map((node) => [node.name, node.macs]));
  const parts = exitParts(progressive);
  const sums = (groups: readonly ReadonlySet<string>[]): Float64Array =>
    Float64Array.from(groups, (group) => [...group].reduce((sum, name) => sum + (cost.get(name) ?? 0), 0));
  return {
    segments: sums(parts.segments),
    heads: sums(parts.heads),
    unit: 'macs',
    memory: exitMemory(progressive, parts),
  };
}

/** Weights and activations of each part, bytes, for one sample (HAPI's memory vector m). */
export function exitMemory({ model, info }: Progressive, parts: ExitParts): ExitMemory {
  const { nodes } = costOf(model, { symbols: { [info.batch]: 1 } });
  const bytes = new Map(nodes.map((node) => [node.name, node.paramBytes + node.activationBytes]));
  const sums = (groups: readonly ReadonlySet<string>[]): Float64Array =>
    Float64Array.from(groups, (group) => [...group].reduce((sum, name) => sum + (bytes.get(name) ?? 0), 0));
  return { segments: sums(parts.segments), heads: sums(parts.heads) };
}

/**
 * Costs in ms from a profile of the progressive model, made on any device at batch 1. `exitMs` is what each early
 * exit adds besides its head's kernels where it is executed (decision, call); nothing where omitted.
 * Throws InvalidCostsError where the profile is of another model.
 */
export function costsFromProfile(progressive: Progressive, profile: Profile, exitMs?: Float64Array): ExitCosts {
  const parts = exitParts(progressive);
  const layers = new Set(profile.layers.flatMap((layer) => [layer.name, ...(layer.members ?? [])]));
  [...parts.segments, ...parts.heads].forEach((group, index) => {
    if (group.size === 0 || [...group].some((name) => layers.has(name))) return;
    // Parts of only reshaping or renaming vanish when ONNX Runtime optimises the graph.
    const weighty = progressive.model.graph.nodes.some(
      (node) => group.has(node.name) && /Conv|Gemm|MatMul/.test(node.op),
    );
    if (weighty)
      throw new InvalidCostsError(
        `the profile has no layer of part ${index % parts.segments.length} of the network (${[...group][0]})`,
        'Profile the progressive model itself, the file with all exits, on that device.',
      );
  });
  return {
    segments: segmentTimes(profile, parts.segments),
    heads: withExitCost(segmentTimes(profile, parts.heads), exitMs),
    unit: 'ms',
    memory: exitMemory(progressive, parts),
  };
}

export interface MeasureCostsOptions extends SessionOptions {
  /** Runs per measurement; 30 where omitted. */
  readonly runs?: number;
  /** In which form designs will run; `baked` where omitted. Decides what an exit costs besides its head. */
  readonly form?: 'baked' | 'staged';
  /** What to run on; made-up noise where omitted. */
  readonly images?: Tensor;
  /**
   * How the parts are told apart: by the runtime's profiler (where omitted; only `native` in Node and `wasm` in browsers have
   * one), or by running each as a model of its own.
   */
  readonly method?: 'profiler' | 'parts';
  readonly signal?: AbortSignal;
}

export interface MeasuredCosts {
  readonly costs: ExitCosts;
  /** Of the progressive model with all exits: goes with the costs, and to other devices' searches. With the profiler alone. */
  readonly profile: Profile | undefined;
  readonly method: 'profiler' | 'parts';
  readonly device: DeviceDescription;
  /** Of the backbone alone, ms (`typicalMs`). */
  readonly backboneMs: number;
  /** What each early exit adds besides its head where it is executed, ms: its decision and the call or branch. */
  readonly exitMs: Float64Array;
}

/**
 * Costs in ms on this device, one sample at a time, on one thread unless told otherwise: the backbone's layers from a
 * profile of the backbone, the heads' from one of the whole network (or both from running the parts one by one, `method`),
 * scaled to the latency that a caller sees; then a few designs that never leave early are run for real, and what they take beyond these sums is shared among their exits.
 * Throws what the profiler and the runtime throw.
 */
export async function measureExitCosts(
  progressive: Progressive,
  options: MeasureCostsOptions = {},
): Promise<MeasuredCosts> {
  const { runs = 30, form = 'baked', method = 'profiler', images, signal, ...given } = options;
  const session: SessionOptions = { threads: 1, ...given };
  const { info, model } = progressive;
  const feeds = images ? { [info.input]: images } : syntheticFeeds(model, { [info.batch]: 1 });
  const parts = exitParts(progressive);
  const { kernels, backboneKernelMs, profile } =
    method === 'profiler'
      ? await profileParts(progressive, parts, { ...session, feeds, runs, ...(signal && { signal }) })
      : await runParts(progressive, { session, feeds, runs, signal });
  const { backboneMs, scale, exitMs } = await measureWholes(progressive, kernels, {
    ...{ session, feeds, runs, form, signal },
    backboneKernelMs,
  });
  const costs: ExitCosts = {
    segments: kernels.segments.map((ms) => ms * scale),
    heads: withExitCost(
      kernels.heads.map((ms) => ms * scale),
      exitMs,
    ),
    unit: 'ms',
    memory: exitMemory(progressive, parts),
  };
  const device = profile?.device ?? (await describeDevice(session));
  return { costs, profile, method, device, backboneMs, exitMs };
}

/** What the parts take beside each other: only their ratios count. */
interface PartTimes {
  readonly kernels: ExitCosts;
  readonly backboneKernelMs: number;
  readonly profile: Profile | undefined;
}

async function profileParts(progressive: Progressive, parts: ExitParts, measure: ProfileOptions): Promise<PartTimes> {
  const backbone = await profileModel(backboneOf(progressive), measure);
  const profile = await profileModel(progressive.model, measure);
  const kernels: ExitCosts = {
    segments: segmentTimes(backbone, parts.segments, { scaled: false }),
    heads: segmentTimes(profile, parts.heads, { scaled: false }),
    unit: 'ms',
  };
  return { kernels, backboneKernelMs: backbone.kernelMs, profile };
}

async function runParts(progressive: Progressive, options: TimePartsOptions): Promise<PartTimes> {
  const kernels = await timeParts(progressive, options);
  const backboneKernelMs = backboneCost(kernels);
  if (backboneKernelMs === 0)
    throw new InvalidCostsError(
      'no part of the network takes longer than a call without work',
      'The clock of this host is too coarse for so small a network: measure on another back end.',
    );
  return { kernels, backboneKernelMs, profile: undefined };
}

function withExitCost(heads: Float64Array, exitMs?: Float64Array): Float64Array {
  return heads.map((ms, exit) => (exit === heads.length - 1 ? 0 : ms + (exitMs?.[exit] ?? 0)));
}

interface WholesOptions {
  readonly session: SessionOptions;
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly runs: number;
  readonly form: 'baked' | 'staged';
  readonly signal: AbortSignal | undefined;
  readonly backboneKernelMs: number;
}

/**
 * What a caller waits for: the backbone, and designs that never leave early, interleaved. `scale` turns kernel times into
 * parts of that time; `exitMs` is what is left over, shared among the exits as `fitExitOverhead` does.
 */
async function measureWholes(
  progressive: Progressive,
  kernels: ExitCosts,
  { session, feeds, runs, form, signal, backboneKernelMs }: WholesOptions,
): Promise<{ readonly backboneMs: number; readonly scale: number; readonly exitMs: Float64Array }> {
  const designs = trialDesigns(progressive.info.exits.length);
  const input = feeds[progressive.info.input]!;
  const plain = encodeModel(backboneOf(progressive));
  const forms = designs.map((design) =>
    form === 'baked' ? encodeModel(bakeDesign(progressive, design)) : { progressive, design },
  );
  const backbones: number[] = [];
  const beyond = designs.map((): number[] => []);
  const scaleOf = (ms: number): number => ms / backboneKernelMs;
  for (let opening = 0; opening < OPENINGS; opening++) {
    const opened: { run: () => Promise<unknown>; release: () => Promise<void> }[] = [];
    try {
      opened.push(await openPlain(plain, feeds, session));
      for (const made of forms)
        if (made instanceof Uint8Array) opened.push(await openPlain(made, feeds, session));
        else {
          const staged = await openProgressive(made.progressive, made.design, session);
          opened.push({ run: () => staged.run(input), release: () => staged.release() });
        }
      const measured = await measureInterleaved(
        opened.map(({ run }) => run),
        { runs: Math.ceil(runs / OPENINGS), samples: true, ...(signal && { signal }) },
      );
      const [backboneMs, ...wholes] = measured.map(({ samples }) => typicalMs(samples!));
      backbones.push(backboneMs!);
      designs.forEach(({ exits }, index) => {
        const heads = exits.reduce((sum, exit) => sum + kernels.heads[exit]! * scaleOf(backboneMs!), 0);
        beyond[index]!.push(wholes[index]! - backboneMs! - heads);
      });
    } finally {
      await Promise.all(opened.map(({ release }) => release()));
    }
  }
  const backboneMs = middle(backbones);
  const observed = designs.map(({ exits }, index) => ({ exits, ms: middle(beyond[index]!) }));
  return {
    backboneMs,
    scale: scaleOf(backboneMs),
    exitMs: fitExitOverhead(observed, crossingBytes(progressive)),
  };
}

/** How often sessions are opened anew: where their memory happens to lie changes a whole run by several percent. */
const OPENINGS = 5;

function middle(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

/** Designs that never leave early: single exits from everywhere along the network, and two and four of them together. */
function trialDesigns(final: number): readonly DesignChoice[] {
  const spread = (count: number): readonly number[] => [
    ...new Set(Array.from({ length: count }, (_, k) => Math.floor(((k + 1) * final) / (count + 1)))),
  ];
  // Odd and even positions differ in residual networks: inside a block the skipped tensor crosses as well.
  const singles = spread(3).flatMap((exit) => (exit + 1 < final ? [exit, exit + 1] : [exit]));
  const chosen = final === 0 ? [] : [...[...new Set(singles)].map((exit) => [exit]), spread(2), spread(4)];
  return chosen.map((exits) => ({
    exits,
    policy: { kind: 'confidence', thresholds: Infinity },
    fallback: 'last',
  }));
}

/**
 * The first decile of measured times. On a quiet machine it lies a few percent below the median; on a busy one the median
 * of a long run counts time in which other processes ran, that of a short kernel does not, and the two no longer add up.
 */
export function typicalMs(samples: ArrayLike<number>): number {
  return percentile(
    Array.from(samples).sort((a, b) => a - b),
    0.1,
  );
}

async function openPlain(
  model: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
  options: SessionOptions,
): Promise<{ run: () => Promise<unknown>; release: () => Promise<void> }> {
  const session: Session = await openSession(model, options);
  return { run: () => session.run(feeds), release: () => session.release() };
}
