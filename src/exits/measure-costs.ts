/** @file What the parts of a progressive model cost: in MACs, from a profile of any device, or measured on this one. */
import type { Model, Tensor } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { costOf, inferShapes } from '../passes/index.js';
import {
  measureInterleaved,
  openSession,
  percentile,
  profileModel,
  segmentTimes,
  syntheticFeeds,
  type Profile,
  type Session,
  type SessionOptions,
} from '../runtime/index.js';
import { bakeDesign } from './bake.js';
import { InvalidCostsError, type ExitCosts, type ExitMemory } from './costs.js';
import { Dataflow } from './dataflow.js';
import type { DesignChoice } from './design.js';
import { backboneOf, type Progressive } from './progressive.js';
import { openProgressive } from './session.js';

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
 * Costs in ms from a profile of the progressive model, made on any device at batch 1. `exitMs` is what each executed exit
 * adds besides its head's kernels (decision, call); 0 where omitted.
 * Throws InvalidCostsError where the profile is of another model.
 */
export function costsFromProfile(progressive: Progressive, profile: Profile, exitMs = 0): ExitCosts {
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
  readonly signal?: AbortSignal;
}

export interface MeasuredCosts {
  readonly costs: ExitCosts;
  /** Of the progressive model with all exits: goes with the costs, and to other devices' searches. */
  readonly profile: Profile;
  /** Of the backbone alone, ms (`typicalMs`). */
  readonly backboneMs: number;
  /** What each executed exit adds besides its head, ms: its decision and the call or branch. */
  readonly exitMs: number;
}

/**
 * Costs in ms on this device, one sample at a time, on one thread unless told otherwise: the backbone's layers from a
 * profile of the backbone, the heads' from one of the whole network, both scaled to the latency that a caller sees; then
 * a few designs that never leave early are run for real, and what they take beyond these sums is shared among their exits.
 * Throws what the profiler and the runtime throw.
 */
export async function measureExitCosts(
  progressive: Progressive,
  options: MeasureCostsOptions = {},
): Promise<MeasuredCosts> {
  const { runs = 30, form = 'baked', images, signal, ...given } = options;
  const session: SessionOptions = { threads: 1, ...given };
  const { info, model } = progressive;
  const feeds = images ? { [info.input]: images } : syntheticFeeds(model, { [info.batch]: 1 });
  const measure = { ...session, feeds, runs, ...(signal && { signal }) };
  const backbone = await profileModel(backboneOf(progressive), measure);
  const profile = await profileModel(model, measure);
  const parts = exitParts(progressive);
  const kernels: ExitCosts = {
    segments: segmentTimes(backbone, parts.segments, { scaled: false }),
    heads: segmentTimes(profile, parts.heads, { scaled: false }),
    unit: 'ms',
  };
  const { backboneMs, scale, exitMs } = await measureWholes(progressive, kernels, {
    ...{ session, feeds, runs, form, signal },
    backboneKernelMs: backbone.kernelMs,
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
  return { costs, profile, backboneMs, exitMs };
}

function withExitCost(heads: Float64Array, exitMs: number): Float64Array {
  return heads.map((ms, exit) => (exit === heads.length - 1 ? 0 : ms + exitMs));
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
 * What a caller waits for: the backbone, and designs with one, two and four exits that never leave early, interleaved.
 * `scale` turns kernel times into parts of that time; `exitMs` is what is left over per exit, median over the designs.
 */
async function measureWholes(
  progressive: Progressive,
  kernels: ExitCosts,
  { session, feeds, runs, form, signal, backboneKernelMs }: WholesOptions,
): Promise<{ readonly backboneMs: number; readonly scale: number; readonly exitMs: number }> {
  const final = progressive.info.exits.length;
  const counts = new Set([1, 2, 4].map((count) => Math.min(count, final)).filter((count) => count > 0));
  const designs = [...counts].map((count): DesignChoice => {
    const exits = Array.from({ length: count }, (_, k) => Math.floor(((k + 1) * final) / (count + 1)));
    return { exits: [...new Set(exits)], policy: { kind: 'confidence', thresholds: Infinity }, fallback: 'last' };
  });
  const input = feeds[progressive.info.input]!;
  const opened: { run: () => Promise<unknown>; release: () => Promise<void> }[] = [];
  try {
    opened.push(await openPlain(backboneOf(progressive), feeds, session));
    for (const design of designs)
      if (form === 'baked') opened.push(await openPlain(bakeDesign(progressive, design), feeds, session));
      else {
        const staged = await openProgressive(progressive, design, session);
        opened.push({ run: () => staged.run(input), release: () => staged.release() });
      }
    const measured = await measureInterleaved(
      opened.map(({ run }) => run),
      { runs, samples: true, ...(signal && { signal }) },
    );
    const [backboneMs, ...wholes] = measured.map(({ samples }) => typicalMs(samples!));
    const scale = backboneMs! / backboneKernelMs;
    const perExit = designs.map(({ exits }, index) => {
      const expected = exits.reduce((sum, exit) => sum + kernels.heads[exit]! * scale, backboneMs!);
      return (wholes[index]! - expected) / exits.length;
    });
    perExit.sort((a, b) => a - b);
    return { backboneMs: backboneMs!, scale, exitMs: Math.max(0, perExit[perExit.length >> 1] ?? 0) };
  } finally {
    await Promise.all(opened.map(({ release }) => release()));
  }
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
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
  options: SessionOptions,
): Promise<{ run: () => Promise<unknown>; release: () => Promise<void> }> {
  const session: Session = await openSession(encodeModel(model), options);
  return { run: () => session.run(feeds), release: () => session.release() };
}
