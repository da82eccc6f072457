/** @file Training a classifier on image data from end to end: what `cuttle train` does, without files. */
import {
  batchCount,
  batches,
  resolvePreprocessing,
  writeClasses,
  writePreprocessing,
  type Augmentation,
  type DataSplits,
  type ImageDataset,
  type Preprocessing,
  type PreprocessingOptions,
} from '../data/index.js';
import { requiredInputs, type Model } from '../ir/index.js';
import { inferShapes } from '../passes/index.js';
import type { SessionOptions } from '../runtime/index.js';
import type { CheckpointStore } from './checkpoint.js';
import { InterruptedError, StepSpecError } from './errors.js';
import { classifierOutput, evaluate } from './evaluate.js';
import { executionProfileFor } from './execution-profile.js';
import { fit, type EarlyStopping, type EpochRecord, type TrainBatch, type TrainEvent } from './fit.js';
import type { OptimizerSpec } from './optimizers.js';
import { fitProcess, type FittedStep } from './memory.js';
import { parametersOf, type Parameter } from './parameters.js';
import { scheduleOf, withWarmUp, type ScheduleName } from './schedules.js';
import { buildStep, type StepSpec } from './step-graph.js';
import { buildTunedStep, type FormulationStore } from './tune.js';
import { createTrainer, type Trainer } from './trainer.js';

/** What a network must be made for. */
export interface ClassificationTask {
  readonly classes: number;
  /** Channels, height, width. */
  readonly input: readonly [number, number, number];
}

export interface TrainModelOptions {
  /** An existing classifier, or what builds one for the data (see `cuttle/zoo`). */
  readonly model: Model | ((task: ClassificationTask) => Model);
  readonly data: DataSplits;
  readonly preprocessing?: PreprocessingOptions;
  /** 10 where omitted. */
  readonly epochs?: number;
  /** 128 where omitted; never more than there are training images. */
  readonly batchSize?: number;
  /** Peak learning rate; 0.1 for SGD, 0.001 for Adam and AdamW where omitted. */
  readonly learningRate?: number;
  /** SGD with Nesterov momentum 0.9 where omitted. */
  readonly optimizer?: OptimizerSpec;
  /** `one-cycle` where omitted. */
  readonly schedule?: ScheduleName;
  /** Epochs of linear warm-up before the schedule begins. */
  readonly warmUpEpochs?: number;
  /** 5 · 10⁻⁴ where omitted; not applied to biases and normalisation layers. */
  readonly weightDecay?: number;
  readonly labelSmoothing?: number;
  readonly clipNorm?: number;
  /** Decay of a moving average of the weights, which is then what is evaluated and exported. */
  readonly averageDecay?: number;
  readonly augment?: Augmentation;
  readonly trains?: (parameter: Parameter) => boolean;
  readonly earlyStopping?: EarlyStopping;
  /** Seed of order, augmentation and dropout; 0 where omitted. */
  readonly seed?: number;
  readonly session?: SessionOptions;
  /**
   * Bytes that the process may hold while it trains (in browsers: the step alone). What does not fit is computed twice instead of
   * being held, with the same losses.
   */
  readonly maxMemory?: number;
  /** Hears how `maxMemory` is met. */
  readonly onMemory?: (fitted: FittedStep) => void;
  /** Decide formulations of the backward pass by measuring them, and keep the choices here; fixed preferences where omitted. */
  readonly tune?: FormulationStore;
  readonly checkpoints?: CheckpointStore;
  /** Steps between checkpoints within an epoch; only at the ends of epochs where omitted. */
  readonly checkpointSteps?: number;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
  /** Called once, before the first step: to look at the weights while they train, with `trainer.export()`. */
  readonly onTrainer?: (trainer: Trainer) => void;
}

export interface TrainedModel {
  /** In inference form, with its preprocessing and classes in the metadata. */
  readonly model: Model;
  /** On the test images. */
  readonly accuracy: number;
  readonly loss: number;
  readonly imagesPerSecond: number;
  /** Whole epochs done. */
  readonly epochs: number;
  /** Trained parameters (elements). */
  readonly params: number;
  readonly history: readonly EpochRecord[];
  readonly preprocessing: Preprocessing;
  /** What was assumed about the preprocessing, in sentences. */
  readonly assumed: readonly string[];
  readonly stopped: 'finished' | 'early';
}

/**
 * Trains on `data.train`, watches `data.calibration` (where it has images) and reports on `data.test`. Deterministic by
 * seed on one machine; with a checkpoint store it survives an abort. Throws StepSpecError where model and data do not fit,
 * InterruptedError (with the network as far as it was trained) on an abort, and what buildStep, fit and the runtime throw.
 */
export async function trainModel(options: TrainModelOptions): Promise<TrainedModel> {
  const { data, seed = 0, epochs = 10, session = {}, signal } = options;
  const { classes, channels, height, width } = data.train;
  const built =
    typeof options.model === 'function'
      ? options.model({
          classes: classes.length,
          input: [channels, options.preprocessing?.height ?? height, options.preprocessing?.width ?? width],
        })
      : options.model;
  const { preprocessing, assumed } = resolvePreprocessing(built, options.preprocessing);
  const model = writeClasses(writePreprocessing(built, preprocessing), classes);
  const { logits } = classifierOutput(model);
  const input = requiredInputs(model.graph)[0]!.name;

  const batchSize = Math.min(options.batchSize ?? 128, data.train.size);
  if (batchSize < 1) throw new StepSpecError('there are no training images', 'Give a data set with training images.');
  const stepsPerEpoch = batchCount(data.train.size, batchSize, true);
  const optimizer = options.optimizer ?? { kind: 'sgd', momentum: 0.9, nesterov: true };
  const learningRate = options.learningRate ?? (optimizer.kind === 'sgd' ? 0.1 : 1e-3);
  const schedule = scheduleOf(options.schedule ?? 'one-cycle', learningRate, epochs);
  const warmUp = Math.round((options.warmUpEpochs ?? 0) * stepsPerEpoch);
  const spec: StepSpec = {
    losses: [
      {
        kind: 'cross-entropy',
        name: 'classification',
        logits,
        labelSmoothing: options.labelSmoothing,
      },
    ],
    optimizer,
    weightDecay: options.weightDecay ?? 5e-4,
    movingAverage: options.averageDecay !== undefined,
    profile: await executionProfileFor(session),
    trains: options.trains,
    clipNorm: options.clipNorm,
    dims: batchDims(model, batchSize),
  };
  const step =
    options.tune === undefined
      ? buildStep(model, spec)
      : await buildTunedStep(model, spec, { session, batch: batchSize, store: options.tune, signal });
  const logitsClasses = classCountOf(step.source, logits);
  if (logitsClasses !== undefined && logitsClasses !== classes.length)
    throw new StepSpecError(
      `the model has ${logitsClasses} classes, but the data has ${classes.length}`,
      'Give data with the same classes, or build a network for this data.',
    );

  const fitted = options.maxMemory === undefined ? undefined : await fitProcess(step, options.maxMemory);
  if (fitted) options.onMemory?.(fitted);
  // Evaluation must not take more than the step does.
  const evaluation = { preprocessing, session, ...(fitted && { batchSize: Math.min(batchSize, 64) }) };
  await using trainer = await createTrainer(fitted?.step ?? step, { ...session, seed });
  options.onTrainer?.(trainer);
  const result = await fit(trainer, {
    epochs,
    stepsPerEpoch,
    batches: (epoch, firstBatch) =>
      classificationBatches(data.train, {
        input,
        batchSize,
        preprocessing,
        seed,
        epoch,
        firstBatch,
        augment: options.augment,
      }),
    learningRate: warmUp > 0 ? withWarmUp(schedule, warmUp) : schedule,
    averageDecay: options.averageDecay,
    evaluate: data.calibration.size > 0 ? (current) => evaluate(current, data.calibration, evaluation) : undefined,
    earlyStopping: options.earlyStopping,
    checkpoints: options.checkpoints,
    checkpointSteps: options.checkpointSteps,
    signal,
    onEvent: options.onEvent,
    fingerprint: fingerprintOf(options, { batchSize, learningRate, epochs, preprocessing }),
  });
  const { stopped } = result;
  const trained = await trainer.export(options.averageDecay === undefined ? 'latest' : 'average');
  if (stopped === 'aborted') throw new InterruptedError(result.steps, options.checkpoints !== undefined, trained);
  const { accuracy, loss } = await evaluate(trained, data.test, evaluation);
  return {
    model: trained,
    accuracy,
    loss,
    imagesPerSecond: result.imagesPerSecond,
    epochs: result.epochs,
    params: parametersOf(trained.graph).reduce((sum, { value }) => sum + value.size, 0),
    history: result.history,
    preprocessing,
    assumed,
    stopped,
  };
}

/** The batch size, under the name of every input's symbolic first dim. */
function batchDims(model: Model, batchSize: number): Readonly<Record<string, number>> {
  const names = requiredInputs(model.graph).map(({ type }) => (type?.kind === 'tensor' ? type.shape?.[0] : undefined));
  return Object.fromEntries(names.filter((dim) => typeof dim === 'string').map((dim) => [dim, batchSize]));
}

interface ClassificationBatchOptions {
  readonly input: string;
  readonly batchSize: number;
  readonly preprocessing: Preprocessing;
  readonly seed: number;
  readonly epoch: number;
  readonly firstBatch: number;
  readonly augment: Augmentation | undefined;
}

/** An epoch of full, shuffled batches as feeds of a step graph with the labels' usual name. */
export async function* classificationBatches(
  dataset: ImageDataset,
  options: ClassificationBatchOptions,
): AsyncGenerator<TrainBatch, void, undefined> {
  const { input, batchSize, preprocessing, seed, epoch, firstBatch, augment } = options;
  const order = { batchSize, preprocessing, shuffleSeed: seed, epoch, firstBatch, dropLast: true };
  for await (const { images, labels } of batches(dataset, { ...order, augment }))
    yield { feeds: { [input]: images, labels }, samples: labels.size };
}

function classCountOf(model: Model, logits: string): number | undefined {
  const type = inferShapes(model).types.get(logits);
  const classes = type?.kind === 'tensor' ? type.shape?.[1] : undefined;
  return typeof classes === 'number' ? classes : undefined;
}

/** What two runs must share for one to continue the other's checkpoint. */
function fingerprintOf(options: TrainModelOptions, resolved: object): string {
  const { optimizer, schedule, warmUpEpochs, weightDecay, labelSmoothing, clipNorm, averageDecay, augment, seed } =
    options;
  const recipe = { optimizer, schedule, warmUpEpochs, weightDecay, labelSmoothing, clipNorm, averageDecay };
  const { name, size, classes } = options.data.train;
  return JSON.stringify({ ...recipe, augment, seed, ...resolved, data: { name, size, classes } });
}
