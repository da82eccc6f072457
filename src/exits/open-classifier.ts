/** @file One way to run any classifier: plain, progressive under a design, or baked. */
import { requiredInputs, type Model, type Tensor } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { inferShapes } from '../passes/index.js';
import { openSession, type SessionOptions } from '../runtime/index.js';
import { classifierOutput } from '../train/index.js';
import { openAnytime } from './anytime.js';
import { readBaked, type BakedInfo } from './bake-metadata.js';
import { NotAClassifierError } from './classifier.js';
import type { DesignChoice } from './design.js';
import { exitPolicies } from './policies/index.js';
import { isProgressive, readProgressive, type Progressive } from './progressive.js';
import { FINAL_EXIT } from './progressive-schema.js';
import { instantiatedExits } from './rates.js';
import { openProgressive } from './session.js';
import { subnetOf } from './subnet.js';

/** What a batch was taken for. */
export interface Classified {
  /** Class per sample. */
  readonly labels: Int32Array;
  /** Per sample, the place in `exitNames` of the exit that answered. */
  readonly exits: Int32Array;
  /** Probabilities, samples × classes. */
  readonly scores: Float32Array;
}

export interface OpenedClassifier extends AsyncDisposable {
  readonly kind: 'plain' | 'progressive' | 'baked';
  readonly classes: number;
  /** The exits that can answer, in order; one for a plain model. Names are the backbone values that they hang on. */
  readonly exitNames: readonly string[];
  /** Samples that fit into one call; `undefined`: any number. */
  readonly batch: number | undefined;
  /** Classifies images, float32 [samples, C, H, W]. */
  classify(images: Tensor, signal?: AbortSignal): Promise<Classified>;
}

/** How a progressive model answers; see modes.ts. A batch that shares a budget is a matter of the design's thresholds. */
export type ClassifierMode =
  | { readonly kind: 'input-dependent' }
  /** One exit, by its number, answers for everybody. */
  | { readonly kind: 'subnet'; readonly exit: number }
  /** The best answer that is at hand when the time is over. */
  | { readonly kind: 'anytime'; readonly deadlineMs: number };

/**
 * Opens a model for classification. A progressive model runs under `design` (all its exits with the usual confidence
 * threshold where omitted) and in a mode (input-dependent where omitted). Throws InvalidDesignError for an exit that it lacks, NotAClassifierError where the output is no row of class scores, and what the runtime throws.
 */
export async function openClassifier(
  model: Model,
  options: { readonly design?: DesignChoice; readonly mode?: ClassifierMode; readonly session?: SessionOptions } = {},
): Promise<OpenedClassifier> {
  const { mode = { kind: 'input-dependent' } } = options;
  const baked = readBaked(model);
  if (baked !== undefined) return await openBaked(model, baked, options.session);
  if (isProgressive(model)) {
    const progressive = readProgressive(model);
    const design = options.design ?? allExits(progressive);
    switch (mode.kind) {
      case 'subnet':
        return await openSubnet(progressive, mode.exit, options.session);
      case 'anytime':
        return await openUntil(progressive, design, mode.deadlineMs, options.session);
      case 'input-dependent':
        return await openStaged(progressive, design, options.session);
    }
  }
  return await openPlain(model, options.session);
}

/** Every exit of a progressive model, leaving at the usual confidence: what runs where nobody chose a design. */
export function allExits({ info }: Progressive): DesignChoice {
  const thresholds = exitPolicies.confidence.defaultThreshold;
  const temperatures = [...info.exits.map((exit) => exit.temperature), info.final.temperature];
  return {
    exits: info.exits.map((_, i) => i),
    policy: { kind: 'confidence', thresholds, temperatures },
    fallback: 'most-confident',
  };
}

/** The backbone values that a design's exits hang on, in order; `final` for the network's own classifier. */
export function exitNamesOf(
  { info }: Progressive,
  design: Pick<DesignChoice, 'exits' | 'truncated'>,
): readonly string[] {
  return instantiatedExits(design, info.exits.length).map((exit) => info.exits[exit]?.value ?? FINAL_EXIT);
}

async function openPlain(model: Model, sessionOptions?: SessionOptions): Promise<OpenedClassifier> {
  const input = requiredInputs(model.graph)[0];
  const { output, logits } = classifierOutput(model);
  const types = inferShapes(model, { unknownOps: 'skip' }).types;
  const type = types.get(output);
  const shape = type?.kind === 'tensor' ? type.shape : undefined;
  const classes = shape?.at(-1);
  if (input === undefined || typeof classes !== 'number')
    throw new NotAClassifierError(`its output '${output}' is not [batch, classes]`);
  const given = types.get(input.name);
  const batch = given?.kind === 'tensor' ? given.shape?.[0] : undefined;
  const session = await openSession(encodeModel(model), sessionOptions);
  return {
    kind: 'plain',
    classes,
    exitNames: [FINAL_EXIT],
    batch: typeof batch === 'number' ? batch : undefined,
    async classify(images, signal) {
      const outputs = await session.run({ [input.name]: images }, { outputs: [output], signal });
      const rows = outputs[output]!.data as Float32Array;
      const scores = output === logits ? softmaxRows(rows, classes) : Float32Array.from(rows);
      return { labels: argmaxRows(scores, classes), exits: new Int32Array(images.dims[0]!), scores };
    },
    [Symbol.asyncDispose]: () => session.release(),
  };
}

async function openBaked(model: Model, info: BakedInfo, sessionOptions?: SessionOptions): Promise<OpenedClassifier> {
  const session = await openSession(encodeModel(model), sessionOptions);
  const place = new Map(info.exits.map(({ exit }, index) => [exit, index]));
  return {
    kind: 'baked',
    classes: info.classes,
    exitNames: info.exits.map(({ at }) => at),
    batch: 1,
    async classify(images, signal) {
      const outputs = await session.run({ [info.input]: images }, { signal });
      const exit = Number(outputs[info.outputs.exit]!.data[0]);
      return {
        labels: Int32Array.of(Number(outputs[info.outputs.label]!.data[0])),
        exits: Int32Array.of(place.get(exit) ?? 0),
        scores: softmaxRows(outputs[info.outputs.logits]!.data as Float32Array, info.classes),
      };
    },
    [Symbol.asyncDispose]: () => session.release(),
  };
}

async function openStaged(
  progressive: Progressive,
  design: DesignChoice,
  sessionOptions?: SessionOptions,
): Promise<OpenedClassifier> {
  const session = await openProgressive(progressive, design, sessionOptions);
  const place = new Map(instantiatedExits(design, progressive.info.exits.length).map((exit, index) => [exit, index]));
  return {
    kind: 'progressive',
    classes: session.classes,
    exitNames: exitNamesOf(progressive, design),
    batch: undefined,
    async classify(images, signal) {
      const { answers, logits } = await session.run(images, { signal });
      return {
        labels: Int32Array.from(answers, (answer) => answer.prediction),
        exits: Int32Array.from(answers, (answer) => place.get(answer.exit)!),
        scores: softmaxRows(logits, session.classes),
      };
    },
    [Symbol.asyncDispose]: () => session.release(),
  };
}

async function openSubnet(
  progressive: Progressive,
  exit: number,
  sessionOptions?: SessionOptions,
): Promise<OpenedClassifier> {
  const plain = await openPlain(subnetOf(progressive, exit), sessionOptions);
  return { ...plain, kind: 'progressive', exitNames: exitNamesOf(progressive, { exits: [exit], truncated: true }) };
}

async function openUntil(
  progressive: Progressive,
  design: DesignChoice,
  deadlineMs: number,
  sessionOptions?: SessionOptions,
): Promise<OpenedClassifier> {
  const session = await openAnytime(progressive, design, sessionOptions);
  const place = new Map(instantiatedExits(design, progressive.info.exits.length).map((exit, index) => [exit, index]));
  const { classes } = progressive.info;
  return {
    kind: 'progressive',
    classes,
    exitNames: exitNamesOf(progressive, design),
    // A deadline is for the whole call, so every image gets a call of its own.
    batch: 1,
    async classify(images, signal) {
      signal?.throwIfAborted();
      const { answers, logits } = await session.before(images, { deadlineMs });
      return {
        labels: Int32Array.from(answers, (answer) => answer.prediction),
        exits: Int32Array.from(answers, (answer) => place.get(answer.exit)!),
        scores: softmaxRows(logits, classes),
      };
    },
    [Symbol.asyncDispose]: () => session.release(),
  };
}

/** Softmax of each row. */
export function softmaxRows(logits: Float32Array, classes: number): Float32Array {
  const scores = new Float32Array(logits.length);
  for (let row = 0; row < logits.length; row += classes) {
    let max = -Infinity;
    for (let i = row; i < row + classes; i++) if (logits[i]! > max) max = logits[i]!;
    let sum = 0;
    for (let i = row; i < row + classes; i++) sum += scores[i] = Math.exp(logits[i]! - max);
    for (let i = row; i < row + classes; i++) scores[i]! /= sum;
  }
  return scores;
}

function argmaxRows(scores: Float32Array, classes: number): Int32Array {
  const labels = new Int32Array(scores.length / classes);
  for (let row = 0; row < labels.length; row++) {
    let best = row * classes;
    for (let i = best + 1; i < (row + 1) * classes; i++) if (scores[i]! > scores[best]!) best = i;
    labels[row] = best - row * classes;
  }
  return labels;
}
