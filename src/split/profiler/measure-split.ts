/**
 * @file Makes a split profile, once per network: bytes and answers of every ⟨cut, bit-width⟩ (DynO §4.2), exit rates and
 * accuracy per threshold (SPINN §4.3), and times per part.
 */
import { ancestorsOf, requiredInputs, type Model, type Tensor } from '../../ir/index.js';
import { encodeModel } from '../../onnx/index.js';
import { openSession, profileModel, type Profile, type SessionOptions } from '../../runtime/index.js';
// Policies and scores are those of the exits system.
import type { Fallback, PolicyKind } from '../../exits/policies/policy.js';
import { exitAccuracy, ScoreCollector, type ScoreTables } from '../../exits/scores.js';
import { CutError, frontierBytes } from '../cuts.js';
import { openSplitNetwork, type SplitNetwork } from '../network.js';
import type { Codecs } from '../packing/codecs.js';
import { FULL_PRECISION } from '../packing/pack.js';
import { addScores, measureCut, samplesOf, type LabelledInputs } from './measure-cut.js';
import { splitOutcome } from './outcomes.js';
import { sideTimes } from './side-times.js';
import { spreadExits } from './spread-exits.js';
import {
  checkSplitProfile,
  SPLIT_PROFILE_FORMAT,
  SPLIT_PROFILE_VERSION,
  type PackedCut,
  type SideTimes,
  type SplitProfile,
} from './split-profile.js';

/** Widths that are measured where none are asked for; 32 sends values unchanged. */
export const SPLIT_BITS: readonly number[] = [1, 2, 3, 4, 6, 8, 16, FULL_PRECISION];

/** Thresholds of the confidence policy that are measured where none are asked for. */
export const SPLIT_THRESHOLDS: readonly number[] = [
  0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.999,
];

export interface MeasureSplitOptions extends SessionOptions {
  /** Exits that take part, by their numbers in the progressive model; SPINN's six (`spreadExits`) where omitted. */
  readonly exits?: readonly number[];
  /** Cuts to measure: all, those where only ReLU outputs cross (DynO; the inputs are always among them), or a list. `sparse` where omitted. */
  readonly cuts?: 'all' | 'sparse' | readonly number[];
  readonly bits?: readonly number[];
  readonly thresholds?: readonly number[];
  /** `confidence` where omitted; state `thresholds` for another. The learned policy has no shared threshold. */
  readonly policy?: Exclude<PolicyKind, 'learned'>;
  /** `last` where omitted: SPINN takes the most confident exit, which costs accuracy where early exits are surer than they are right. */
  readonly fallback?: Fallback;
  readonly codecs?: Codecs;
  /** Link that layouts and codecs are chosen for, bytes per ms; 1,250 (10 Mbit/s) where omitted. */
  readonly packedFor?: number;
  /** Samples that layouts and codecs are tried and timed on; 8 where omitted. */
  readonly timedSamples?: number;
  /** Measures widths of up to 5 bits with ranges taken beforehand from 5 % of the samples, too. */
  readonly staticScale?: boolean;
  /** Profile of the device, of the network with these exits (`network.segment(0, last)`); measured here where omitted. */
  readonly device?: Profile;
  /** Profile of the server; taken as equal to the device's where omitted. */
  readonly server?: Profile;
  /** Runs of the profiler; 30 where omitted. */
  readonly runs?: number;
  /** What is kept with the profile. */
  readonly model?: { readonly name?: string; readonly sha256?: string };
  readonly data?: string;
  readonly power?: SplitProfile['power'];
  readonly signal?: AbortSignal;
  readonly progress?: (done: number, total: number) => void;
}

/** Bytes of an answer besides its logits: label, exit, load and times, as the protocol carries them. */
const RESPONSE_OVERHEAD = 160;

/**
 * Measures a network on labelled samples. Accuracy and bytes do not depend on the machine; times do. Each sample is packed
 * alone, as it is when it is sent. Throws CutError, SplitNetworkError, PackingError, InvalidDesignError, what the runtime
 * throws, and the signal's reason.
 */
export async function measureSplit(
  model: Model,
  batches: readonly LabelledInputs[],
  options: MeasureSplitOptions = {},
): Promise<SplitProfile> {
  const network = openSplitNetwork(model, { exits: options.exits ?? spreadExits(model) });
  const { thresholds = SPLIT_THRESHOLDS, policy = 'confidence', fallback = 'last', packedFor = 1250, signal } = options;
  const bits = [...(options.bits ?? SPLIT_BITS)].sort((a, b) => a - b);
  const { cuts } = network.cuts;
  const last = cuts.length - 1;
  const numbers = chosenCuts(network, options.cuts ?? 'sparse');
  const whole = network.segment(0, last);
  const labels = Int32Array.from(batches.flatMap((batch) => [...Array.from(batch.labels)]));
  const temperatures = Float64Array.from([...network.exits, network.final], ({ temperature }) => temperature);
  const scores = (): ScoreCollector => new ScoreCollector(labels, network.classes, temperatures);

  const collector = scores();
  const session = { backend: options.backend, threads: options.threads, optimization: options.optimization };
  await scoreWhole(network, whole, batches, { session, collector, signal });
  const full = collector.tables;

  const packed: PackedCut[] = [];
  for (const [done, cut] of numbers.entries()) {
    signal?.throwIfAborted();
    const before = network.exits.filter(({ position }) => position <= cut).length;
    const { codecs, timedSamples, staticScale: fixed } = options;
    const what = { network, cut, bits, batches, scores, packedFor, full };
    const rows = await measureCut({ ...what, session, codecs, timedSamples, staticScale: fixed, signal });
    for (const { packing, bytes, behind, staticScale, packMs, unpackMs } of rows)
      packed.push({
        ...{ cut, bits: packing.bits, layout: packing.layout, codec: packing.codec, bytes, packMs, unpackMs },
        accuracy: exitAccuracy(behind, network.exits.length),
        exitAccuracy: network.exits.map((_, place) => exitAccuracy(place < before ? full : behind, place)),
        outcomes: thresholds.map((threshold) => splitOutcome({ full, behind, before, policy, threshold, fallback })),
        ...(staticScale && { staticScale }),
      });
    options.progress?.(done + 1, numbers.length);
  }

  const [sample] = samplesOf(network, batches[0]!.feeds, batches[0]!.labels.length);
  const parts = partsOf(network, whole, full, sample!);
  const profiling = { ...session, feeds: sample!, runs: options.runs ?? 30, warmup: 10, signal };
  const times = options.device ?? (await profileModel(whole, profiling));
  const device = sideTimes(parts, times, options.device ? 'profile' : 'measured');
  const server: SideTimes = options.server ? sideTimes(parts, options.server) : { ...device, source: 'assumed' };
  const profile: SplitProfile = {
    format: SPLIT_PROFILE_FORMAT,
    version: SPLIT_PROFILE_VERSION,
    model: { ...options.model, classes: network.classes, candidates: network.final.exit },
    samples: labels.length,
    ...(options.data !== undefined && { data: options.data }),
    policy: { kind: policy, fallback },
    exits: parts.exits,
    final: {
      position: network.final.position,
      temperature: network.final.temperature,
      accuracy: exitAccuracy(full, network.exits.length),
    },
    thresholds: [...thresholds],
    cuts: parts.cuts,
    local: thresholds.map((threshold) =>
      splitOutcome({ full, behind: full, before: network.exits.length + 1, policy, threshold, fallback }),
    ),
    ...{ packed, packedFor, device, server },
    responseBytes: 4 * network.classes + RESPONSE_OVERHEAD,
    ...(options.power !== undefined && { power: options.power }),
  };
  checkSplitProfile(profile);
  return profile;
}

/** The cuts to measure: what lies behind the classifier is not worth sending, and the last cut sends nothing. */
function chosenCuts(network: SplitNetwork, asked: 'all' | 'sparse' | readonly number[]): readonly number[] {
  const useful = network.cuts.cuts.filter(({ index }) => index < network.final.position);
  if (asked === 'all') return useful.map(({ index }) => index);
  if (asked === 'sparse') return useful.filter(({ index, sparse }) => index === 0 || sparse).map(({ index }) => index);
  for (const cut of asked)
    if (!useful.some(({ index }) => index === cut))
      throw new CutError(`cut ${cut} sends nothing that a classifier behind it reads`);
  return [...new Set(asked)].sort((a, b) => a - b);
}

/** Names, positions and accuracy of the network's parts, as the profile lists them. */
function partsOf(
  network: SplitNetwork,
  whole: Model,
  full: ScoreTables,
  sample: Readonly<Record<string, Tensor>>,
): Pick<SplitProfile, 'cuts' | 'exits'> {
  const { cuts, nodes, model } = network.cuts;
  const bytes = frontierBytes(network.cuts, sizesIn(model, sample));
  const taken = new Set(nodes.map((node) => node.name));
  return {
    cuts: cuts.map((cut, index) => ({
      nodes: nodes.slice(index === 0 ? 0 : cuts[index - 1]!.nodes, cut.nodes).map((node) => node.name),
      frontier: [...cut.frontier],
      sparse: cut.sparse,
      bytes: bytes[index]!,
    })),
    exits: network.exits.map(({ exit, position, temperature, output }, place) => {
      const own = ancestorsOf(whole.graph, [output]).filter((node) => !taken.has(node.name));
      for (const node of own) taken.add(node.name);
      return {
        ...{ exit, position, temperature },
        nodes: own.map((node) => node.name),
        accuracy: exitAccuracy(full, place),
      };
    }),
  };
}

async function scoreWhole(
  network: SplitNetwork,
  whole: Model,
  batches: readonly LabelledInputs[],
  {
    session: options,
    collector,
    signal,
  }: { readonly session: SessionOptions; readonly collector: ScoreCollector; readonly signal: AbortSignal | undefined },
): Promise<void> {
  await using session = await openSession(encodeModel(whole), options);
  let first = 0;
  for (const { feeds, labels } of batches) {
    signal?.throwIfAborted();
    addScores(collector, network, await session.run(feeds), first);
    first += labels.length;
  }
}

/** Sizes of the inputs' symbolic dims in one sample. */
function sizesIn(model: Model, sample: Readonly<Record<string, Tensor>>): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const { name, type } of requiredInputs(model.graph))
    if (type?.kind === 'tensor')
      type.shape?.forEach((dim, axis) => {
        if (typeof dim === 'string') sizes[dim] = sample[name]!.dims[axis]!;
      });
  return sizes;
}
