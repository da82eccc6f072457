/** @file Training a character model on text from end to end: what `cuttle train` does with a text file. */
import {
  readVocabulary,
  textBatchCount,
  textWindows,
  writeVocabulary,
  type TextDataset,
  type TextSplits,
} from '../data/index.js';
import { requiredInputs, type Model } from '../ir/index.js';
import { inferShapes } from '../passes/index.js';
import type { SessionOptions } from '../runtime/index.js';
import type { CheckpointStore } from './checkpoint.js';
import { InterruptedError, StepSpecError } from './errors.js';
import { evaluateText } from './evaluate-text.js';
import { fit, type EarlyStopping, type EpochRecord, type TrainBatch, type TrainEvent } from './fit.js';
import type { OptimizerSpec } from './optimizers.js';
import { parametersOf, type Parameter } from './parameters.js';
import { scheduleOf, withWarmUp, type ScheduleName } from './schedules.js';
import { buildStep } from './step-graph.js';
import { createTrainer } from './trainer.js';

export interface TrainTextOptions {
  /**
   * An existing character model (`input` int64 [batch, time] → scores [batch, time, vocabulary]), or what builds one for
   * a number of characters (see `cuttle/zoo`).
   */
  readonly model: Model | ((vocabulary: number) => Model);
  readonly data: TextSplits;
  /** 10 where omitted. */
  readonly epochs?: number;
  /** Windows per step; 32 where omitted. */
  readonly batchSize?: number;
  /** Characters per window; 64 where omitted. */
  readonly length?: number;
  /** Peak learning rate; 0.004 for Adam and AdamW, 0.5 for SGD where omitted. */
  readonly learningRate?: number;
  /** Adam where omitted. */
  readonly optimizer?: OptimizerSpec;
  /** `one-cycle` where omitted. */
  readonly schedule?: ScheduleName;
  /** Epochs of linear warm-up before the schedule begins. */
  readonly warmUpEpochs?: number;
  /** 0 where omitted. */
  readonly weightDecay?: number;
  readonly labelSmoothing?: number;
  /** Common norm of all gradients at most; 1 where omitted. */
  readonly clipNorm?: number;
  /** Decay of a moving average of the weights, which is then what is evaluated and exported. */
  readonly averageDecay?: number;
  readonly trains?: (parameter: Parameter) => boolean;
  readonly earlyStopping?: EarlyStopping;
  /** Seed of order and dropout; 0 where omitted. */
  readonly seed?: number;
  readonly session?: SessionOptions;
  readonly checkpoints?: CheckpointStore;
  /** Steps between checkpoints within an epoch; only at the ends of epochs where omitted. */
  readonly checkpointSteps?: number;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
}

export interface TrainedText {
  /** In inference form, with its vocabulary in the metadata. */
  readonly model: Model;
  /** On the held-out text, in nats per character. */
  readonly loss: number;
  readonly perplexity: number;
  /** Share of held-out characters that were predicted rightly. */
  readonly accuracy: number;
  readonly charactersPerSecond: number;
  /** Whole epochs done. */
  readonly epochs: number;
  /** Trained parameters (elements). */
  readonly params: number;
  readonly history: readonly EpochRecord[];
  readonly stopped: 'finished' | 'early';
}

/** Name of the loss term. */
const TERM = 'next-character';

/**
 * Trains on `data.train`, watches `data.calibration` and reports on `data.test`. Deterministic by seed on one machine; with a
 * checkpoint store it survives an abort. Throws StepSpecError where model and data do not fit, InterruptedError on an abort,
 * and what buildStep, fit and the runtime throw.
 */
export async function trainText(options: TrainTextOptions): Promise<TrainedText> {
  const { data, seed = 0, epochs = 10, session = {}, signal } = options;
  const { vocabulary } = data.train;
  const built = typeof options.model === 'function' ? options.model(vocabulary.length) : options.model;
  const known = readVocabulary(built);
  if (known !== undefined && known.join('\n') !== vocabulary.join('\n'))
    throw new StepSpecError(
      'the text is numbered by another vocabulary than the model',
      "Open the text with the model's vocabulary.",
    );
  const model = writeVocabulary(built, vocabulary);
  const logits = model.graph.outputs[0]?.name ?? '';
  const input = tokenInput(model, logits, vocabulary.length);

  const length = options.length ?? 64;
  const whole = textBatchCount(data.train, 1, length);
  const batchSize = Math.min(options.batchSize ?? 32, whole);
  if (batchSize < 1)
    throw new StepSpecError(
      `the training text has ${data.train.size} characters, too few for windows of ${length}`,
      'Give a longer text, or shorter windows.',
    );
  const stepsPerEpoch = textBatchCount(data.train, batchSize, length);
  const optimizer = options.optimizer ?? { kind: 'adam' };
  const learningRate = options.learningRate ?? (optimizer.kind === 'sgd' ? 0.5 : 4e-3);
  const schedule = scheduleOf(options.schedule ?? 'one-cycle', learningRate, epochs);
  const warmUp = Math.round((options.warmUpEpochs ?? 0) * stepsPerEpoch);
  const step = buildStep(model, {
    losses: [{ kind: 'cross-entropy', name: TERM, logits, axis: -1, labelSmoothing: options.labelSmoothing }],
    optimizer,
    weightDecay: options.weightDecay ?? 0,
    movingAverage: options.averageDecay !== undefined,
    profile: session.backend === 'wasm' ? 'wasm' : 'cpu',
    trains: options.trains,
    clipNorm: options.clipNorm ?? 1,
  });
  await using trainer = await createTrainer(step, { ...session, seed });
  const result = await fit(trainer, {
    epochs,
    stepsPerEpoch,
    batches: (epoch, firstBatch) => textBatches(data.train, { input, batchSize, length, seed, epoch, firstBatch }),
    learningRate: warmUp > 0 ? withWarmUp(schedule, warmUp) : schedule,
    averageDecay: options.averageDecay,
    evaluate: (current) => evaluateText(current, data.calibration, { session, signal }),
    earlyStopping: options.earlyStopping,
    checkpoints: options.checkpoints,
    checkpointSteps: options.checkpointSteps,
    signal,
    onEvent: options.onEvent,
    fingerprint: fingerprintOf(options, { batchSize, length, learningRate, epochs }),
  });
  const trained = await trainer.export(options.averageDecay === undefined ? 'latest' : 'average');
  const { stopped } = result;
  if (stopped === 'aborted') throw new InterruptedError(result.steps, options.checkpoints !== undefined, trained);
  const { loss, perplexity, accuracy } = await evaluateText(trained, data.test, { session, signal });
  return {
    model: trained,
    loss,
    perplexity,
    accuracy,
    charactersPerSecond: result.imagesPerSecond,
    epochs: result.epochs,
    params: parametersOf(trained.graph).reduce((sum, { value }) => sum + value.size, 0),
    history: result.history,
    stopped,
  };
}

interface TextFeedOptions {
  readonly input: string;
  readonly batchSize: number;
  readonly length: number;
  readonly seed: number;
  readonly epoch: number;
  readonly firstBatch: number;
}

/** An epoch of windows as feeds of a step graph; a sample is one character. */
export async function* textBatches(
  dataset: TextDataset,
  { input, ...windows }: TextFeedOptions,
): AsyncGenerator<TrainBatch, void, undefined> {
  for (const { tokens, next } of textWindows(dataset, windows))
    yield await Promise.resolve({ feeds: { [input]: tokens, labels: next }, samples: next.size });
}

/** The input that takes character numbers. Throws StepSpecError where the model is no character model of this vocabulary. */
function tokenInput(model: Model, logits: string, vocabulary: number): string {
  const inputs = requiredInputs(model.graph);
  const type = inferShapes(model).types.get(logits);
  const classes = type?.kind === 'tensor' ? type.shape?.[2] : undefined;
  const input = inputs[0]?.type;
  if (inputs.length !== 1 || input?.kind !== 'tensor' || input.dtype !== 'int64' || input.shape?.length !== 2)
    throw new StepSpecError('the model does not take characters', 'Give a model with one input, int64 [batch, time].');
  if (classes !== vocabulary)
    throw new StepSpecError(
      `the model's output is not [batch, time, ${vocabulary}], but the text has ${vocabulary} different characters`,
      'Give text in the characters that the model was made for, or build a model for this text.',
    );
  return inputs[0]!.name;
}

/** What two runs must share for one to continue the other's checkpoint. */
function fingerprintOf(options: TrainTextOptions, resolved: object): string {
  const { optimizer, schedule, warmUpEpochs, weightDecay, labelSmoothing, clipNorm, averageDecay, seed } = options;
  const recipe = { optimizer, schedule, warmUpEpochs, weightDecay, labelSmoothing, clipNorm, averageDecay, seed };
  const { name, size, vocabulary } = options.data.train;
  return JSON.stringify({ ...recipe, ...resolved, data: { name, size, vocabulary } });
}
