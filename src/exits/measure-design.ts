/** @file Runs a design for real, in its staged and its baked form, and says what it takes and who leaves where. */
import { Tensor } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import {
  measureInterleaved,
  openSession,
  summarise,
  type LatencySummary,
  type SessionOptions,
} from '../runtime/index.js';
import { bakeDesign } from './bake.js';
import type { DesignChoice } from './design.js';
import { typicalMs } from './measure-costs.js';
import { backboneOf, type Progressive } from './progressive.js';
import { openProgressive } from './session.js';

export interface MeasureDesignOptions extends SessionOptions {
  /** Passes over the samples; 3 where omitted. */
  readonly rounds?: number;
  /** Samples that run before the clock counts; 5 where omitted. */
  readonly warmup?: number;
  readonly signal?: AbortSignal;
}

/** Latency of one form, ms per sample. */
export interface FormLatency extends LatencySummary {
  /** Mean over the samples of each one's `typicalMs` over the passes: the mean without what other processes took. */
  readonly typicalMean: number;
}

export interface MeasuredDesign {
  readonly staged: FormLatency;
  readonly baked: FormLatency;
  /** The plain backbone on the same samples, interleaved. */
  readonly backbone: FormLatency;
  /** Per sample: exit where it stopped, and the label. */
  readonly exits: Int32Array;
  readonly labels: Int32Array;
  /** Samples on which the baked form gives another label or exit than the staged one. */
  readonly disagreements: number;
}

/**
 * Measures a design on samples, one at a time, on one thread unless told otherwise. Staged, baked and plain form take
 * turns on the same sample, so that a slow spell of the machine falls on all of them. Throws InvalidDesignError and what the
 * runtime throws.
 */
export async function measureDesign(
  progressive: Progressive,
  design: DesignChoice,
  images: Tensor,
  options: MeasureDesignOptions = {},
): Promise<MeasuredDesign> {
  const { rounds = 3, warmup = 5, signal, ...given } = options;
  const session: SessionOptions = { threads: 1, ...given };
  const { input } = progressive.info;
  const count = images.dims[0]!;
  const singles = Array.from({ length: count }, (_, index) => singleImage(images, index));
  const bakedModel = bakeDesign(progressive, design);
  const outputs = bakedModel.graph.outputs.map((output) => output.name);

  await using staged = await openProgressive(progressive, design, session);
  await using baked = await openSession(encodeModel(bakedModel), session);
  await using backbone = await openSession(encodeModel(backboneOf(progressive)), session);

  const exits = new Int32Array(count);
  const labels = new Int32Array(count);
  let disagreements = 0;
  for (const [index, single] of singles.entries()) {
    signal?.throwIfAborted();
    const [answer] = (await staged.run(single)).answers;
    const results = await baked.run({ [input]: single });
    exits[index] = answer!.exit;
    labels[index] = answer!.prediction;
    const [exit, label] = [results[outputs[1]!]!, results[outputs[2]!]!].map((tensor) => Number(tensor.data[0]!));
    if (exit !== answer!.exit || label !== answer!.prediction) disagreements++;
  }

  const turns = [0, 0, 0];
  const next = (form: number): Tensor => singles[turns[form]!++ % count]!;
  const measured = await measureInterleaved(
    [() => staged.run(next(0)), () => baked.run({ [input]: next(1) }), () => backbone.run({ [input]: next(2) })],
    { warmup, runs: rounds * count, samples: true, ...(signal && { signal }) },
  );
  const latencies = measured.map(({ samples }) => formLatency(samples!, count));
  return { staged: latencies[0]!, baked: latencies[1]!, backbone: latencies[2]!, exits, labels, disagreements };
}

/** One image of a batch, [1, …], over the same memory. */
export function singleImage(images: Tensor, index: number): Tensor {
  const bytes = images.bytes.byteLength / images.dims[0]!;
  return Tensor.fromBytes(
    images.dtype,
    [1, ...images.dims.slice(1)],
    images.bytes.subarray(index * bytes, (index + 1) * bytes),
  );
}

/** Calls run through the samples in a fixed cycle: every `count`-th belongs to the same one. */
function formLatency(samples: Float64Array, count: number): FormLatency {
  const bySample = Array.from({ length: count }, (): number[] => []);
  samples.forEach((ms, call) => bySample[call % count]!.push(ms));
  const typical = bySample.map(typicalMs);
  return { ...summarise([...samples]), typicalMean: typical.reduce((sum, ms) => sum + ms, 0) / count };
}
