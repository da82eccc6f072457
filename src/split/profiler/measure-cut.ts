/** @file Bytes and answers of one cut at every bit-width: run up to it, pack and unpack each sample, run on (DynO §4.2). */
import type { Tensor } from '../../ir/index.js';
import { encodeModel } from '../../onnx/index.js';
import { openSession, type Session, type SessionOptions } from '../../runtime/index.js';
// Scores are those that designs are evaluated with.
import { exitAccuracy, type ScoreCollector, type ScoreTables } from '../../exits/scores.js';
import { keepSamples } from '../../exits/session-rows.js';
import { CutError } from '../cuts.js';
import type { SplitNetwork } from '../network.js';
import { cheapestPacking, measurePackings, type MeasuredPacking } from '../packing/choose.js';
import { pureCodecs, type Codecs } from '../packing/codecs.js';
import { FULL_PRECISION, packTensors, unpackTensors } from '../packing/pack.js';
import { joinSamples } from '../rows.js';
import type { PackedCut } from './split-profile.js';
import { StaticRanges } from './static-scale.js';

/** A batch of inputs with the right classes. */
export interface LabelledInputs {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly labels: ArrayLike<number>;
}

/** Ranges taken beforehand are measured up to this width: with more bits a range too wide costs nothing. */
const STATIC_BITS = 5;

/** What is measured at one cut, and how. */
export interface CutQuestion {
  readonly network: SplitNetwork;
  readonly cut: number;
  readonly bits: readonly number[];
  readonly batches: readonly LabelledInputs[];
  /** Fresh scores of all samples. */
  readonly scores: () => ScoreCollector;
  /** Scores of the whole network at full precision. */
  readonly full: ScoreTables;
  /** Link that layouts and codecs are chosen for, bytes per ms. */
  readonly packedFor: number;
  readonly session: SessionOptions;
  readonly codecs?: Codecs;
  readonly timedSamples?: number;
  readonly staticScale?: boolean;
  readonly signal?: AbortSignal;
}

/** One width at one cut. */
export interface MeasuredWidth extends MeasuredPacking {
  /** Scores of the exits behind the cut, on what was unpacked. */
  readonly behind: ScoreTables;
  readonly staticScale: PackedCut['staticScale'] | undefined;
}

/** Measures a cut that sends something. Throws CutError, PackingError, what the runtime throws, and the signal's reason. */
export async function measureCut(question: CutQuestion): Promise<readonly MeasuredWidth[]> {
  const {
    network,
    cut,
    bits,
    batches,
    scores,
    full,
    packedFor,
    codecs = pureCodecs,
    timedSamples = 8,
    signal,
  } = question;
  const last = network.cuts.cuts.length - 1;
  const { frontier } = network.cuts.cuts[cut]!;
  const open = (from: number, to: number, exits?: readonly number[]): Promise<Session> =>
    openSession(encodeModel(network.segment(from, to, exits)), question.session);
  await using tail = await open(cut, last);
  await using prefix = cut === 0 ? undefined : await open(0, cut, []);
  const crossing = async ({ feeds }: LabelledInputs): Promise<Record<string, Tensor>> => {
    const known = { ...feeds, ...(prefix && (await prefix.run(pick(feeds, prefix.inputNames)))) };
    return pick(known, frontier);
  };
  const run = async (samples: readonly Readonly<Record<string, Tensor>>[]): Promise<Record<string, Tensor>> =>
    tail.run(pick(joined(network, samples), tail.inputNames));

  const trial = samplesOf(network, await crossing(batches[0]!), batches[0]!.labels.length).slice(0, timedSamples);
  // Unchanged values are for links so fast that packing does not pay: the quickest way counts.
  const linkFor = (width: number): number => (width === FULL_PRECISION ? Infinity : packedFor);
  const chosen = bits.map((width) =>
    cheapestPacking(measurePackings(trial, width, { codecs, runs: 3 }), linkFor(width)),
  );
  const ranges = question.staticScale === true ? await rangesOf(crossing, batches) : undefined;
  const counts = chosen.map(() => ({ bytes: 0, clamped: 0, collector: scores(), fixed: scores() }));
  let first = 0;
  for (const batch of batches) {
    signal?.throwIfAborted();
    const samples = samplesOf(network, await crossing(batch), batch.labels.length);
    for (const [b, { packing }] of chosen.entries()) {
      const count = counts[b]!;
      const frames = samples.map((sample) => packTensors(sample, packing, codecs));
      for (const frame of frames) count.bytes += frame.length;
      // Unchanged values give the answers that are known already.
      if (packing.bits === FULL_PRECISION) continue;
      addScores(count.collector, network, await run(frames.map((frame) => unpackTensors(frame, codecs))), first);
      if (!ranges || packing.bits > STATIC_BITS) continue;
      const fixed = samples.map((sample) => ranges.quantised(sample, packing.bits));
      count.clamped += fixed.filter(({ clamped }) => clamped).length;
      addScores(count.fixed, network, await run(fixed.map(({ tensors }) => tensors)), first);
    }
    first += batch.labels.length;
  }
  return chosen.map((measured, b) => {
    const { bytes, clamped, collector, fixed } = counts[b]!;
    const unchanged = measured.packing.bits === FULL_PRECISION;
    return {
      ...measured,
      bytes: bytes / first,
      behind: unchanged ? full : collector.tables,
      staticScale:
        ranges && measured.packing.bits <= STATIC_BITS
          ? { accuracy: exitAccuracy(fixed.tables, network.exits.length), clamped: clamped / first }
          : undefined,
    };
  });
}

/** Ranges of what crosses over the first 5 % of the samples. */
async function rangesOf(
  crossing: (batch: LabelledInputs) => Promise<Record<string, Tensor>>,
  batches: readonly LabelledInputs[],
): Promise<StaticRanges> {
  const ranges = new StaticRanges();
  const wanted = batches.reduce((sum, { labels }) => sum + labels.length, 0) / 20;
  let seen = 0;
  for (const batch of batches) {
    if (seen >= wanted) break;
    ranges.observe(await crossing(batch));
    seen += batch.labels.length;
  }
  return ranges;
}

/** Adds the logits that a run gave to scores; those of exits that it did not compute stay empty. */
export function addScores(
  collector: ScoreCollector,
  { exits, final }: SplitNetwork,
  results: Readonly<Record<string, Tensor>>,
  first: number,
): void {
  [...exits, final].forEach(({ output }, place) => {
    const logits = results[output];
    if (logits) collector.add(place, first, logits.data as Float32Array);
  });
}

/** The samples of a batch, each with a batch axis of one. Throws CutError for tensors without a batch axis. */
export function samplesOf(
  network: SplitNetwork,
  tensors: Readonly<Record<string, Tensor>>,
  count: number,
): readonly Readonly<Record<string, Tensor>>[] {
  if (count === 1) return [tensors];
  const names = Object.keys(tensors);
  return Array.from({ length: count }, (_, row) =>
    Object.fromEntries(names.map((name) => [name, keepSamples(tensors[name]!, axisOf(network, name), [row])])),
  );
}

function joined(
  network: SplitNetwork,
  samples: readonly Readonly<Record<string, Tensor>>[],
): Readonly<Record<string, Tensor>> {
  const names = Object.keys(samples[0]!);
  return samples.length === 1
    ? samples[0]!
    : Object.fromEntries(
        names.map((name) => [
          name,
          joinSamples(
            samples.map((sample) => sample[name]!),
            axisOf(network, name),
          ),
        ]),
      );
}

function axisOf(network: SplitNetwork, name: string): number {
  const axis = network.batchAxis(name);
  if (axis === undefined)
    throw new CutError(`'${name}' has no batch axis`, 'Give one sample per batch, or measure other cuts.');
  return axis;
}

function pick(tensors: Readonly<Record<string, Tensor>>, names: readonly string[]): Record<string, Tensor> {
  return Object.fromEntries(names.map((name) => [name, tensors[name]!]));
}
