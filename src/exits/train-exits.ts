/** @file Trains the exits of an over-provisioned network: alone on a frozen backbone, or together with it. */
import type { Augmentation, ImageDataset, Preprocessing } from '../data/index.js';
import { batchCount } from '../data/index.js';
import { CuttleError, type Tensor } from '../ir/index.js';
import type { SessionOptions } from '../runtime/index.js';
import {
  buildStep,
  executionProfileFor,
  classificationBatches,
  createTrainer,
  fit,
  InterruptedError,
  parametersOf,
  scheduleOf,
  withConstants,
  type CheckpointStore,
  type FitResult,
  type LossTerm,
  type StepSpec,
  type OptimizerSpec,
  type Parameter,
  type Schedule,
  type ScheduleName,
  type StepGraph,
  type TrainEvent,
} from '../train/index.js';
import { backboneOf, withTemperatures, type Progressive } from './progressive.js';
import { groupCheckpoints } from './train-exits-checkpoint.js';

/** Options of exit training that contradict each other or the data. Exit code 2. */
export class ExitTrainingError extends CuttleError {
  constructor(message: string, hint: string) {
    super('usage', 'exits/training', message, { hint });
  }
}

export interface TrainExitsOptions {
  /** Training images. */
  readonly data: ImageDataset;
  readonly preprocessing: Preprocessing;
  /**
   * `frozen` (default): the exits alone; the backbone stays as it is, to the byte, and its features are computed once per
   * batch for all heads. `joint`: everything, with SDN's schedule of loss weights.
   */
  readonly backbone?: 'frozen' | 'joint';
  /** Adds to each exit's loss the distance to the final exit: α · cross-entropy + (1 − α) · KL at this temperature. */
  readonly distillation?: { readonly alpha: number; readonly temperature: number };
  /** 10 where omitted. */
  readonly epochs?: number;
  /** 128 where omitted; never more than there are images. */
  readonly batchSize?: number;
  /** Peak learning rate; 0.001 where omitted. */
  readonly learningRate?: number;
  /** Adam where omitted, as HAPI. */
  readonly optimizer?: OptimizerSpec;
  /** `one-cycle` where omitted. */
  readonly schedule?: ScheduleName;
  /** 10⁻⁴ where omitted. */
  readonly weightDecay?: number;
  readonly labelSmoothing?: number;
  readonly augment?: Augmentation;
  /**
   * Heads that one step graph trains; all where omitted. With fewer, groups of neighbouring heads train one after another,
   * each with the part of the backbone that it needs: less memory, more backbone work. Frozen backbone only.
   */
  readonly maxHeadsPerStep?: number;
  /** Seed of order and augmentation; 0 where omitted. */
  readonly seed?: number;
  readonly session?: SessionOptions;
  readonly checkpoints?: CheckpointStore;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: ExitTrainEvent) => void;
}

/** An event of the training loop, and which exits it is about. */
export interface ExitTrainEvent {
  /** Counted from 1. */
  readonly group: number;
  readonly groups: number;
  /** Numbers of the exits in this group. */
  readonly exits: readonly number[];
  readonly event: TrainEvent;
}

export interface TrainedExits {
  /** The same network with trained exits; temperatures are 1 again. */
  readonly progressive: Progressive;
  /** Training images per second through one step, all groups taken together. */
  readonly imagesPerSecond: number;
  /** What each group of heads did. */
  readonly groups: readonly { readonly exits: readonly number[]; readonly result: FitResult }[];
}

/**
 * Trains the exits of a progressive model. Deterministic by seed on one machine; with a checkpoint store it survives an
 * abort. Throws ExitTrainingError for impossible options, InterruptedError on an abort, and what the training loop throws.
 */
export async function trainExits(progressive: Progressive, options: TrainExitsOptions): Promise<TrainedExits> {
  const { data, preprocessing, backbone = 'frozen', epochs = 10, seed = 0, session = {}, signal } = options;
  const { exits } = progressive.info;
  checkOptions(options, progressive);
  const batchSize = Math.min(options.batchSize ?? 128, data.size);
  const stepsPerEpoch = batchCount(data.size, batchSize, true);
  const perStep = backbone === 'joint' ? exits.length : (options.maxHeadsPerStep ?? exits.length);
  const groups: number[][] = [];
  exits.forEach((_, exit) => (exit % perStep === 0 ? groups.push([exit]) : groups.at(-1)!.push(exit)));

  const checkpoints = options.checkpoints && (await groupCheckpoints(options.checkpoints, fingerprintOf(options)));
  const trained = new Map<string, Tensor>(checkpoints?.finished);
  const results: { exits: readonly number[]; result: FitResult }[] = [];
  const profile = await executionProfileFor(session);
  for (const [index, group] of groups.entries()) {
    if (checkpoints && index < checkpoints.group) continue;
    const step = buildExitStep(progressive, group, { ...options, profile });
    await using trainer = await createTrainer(step, { ...session, seed });
    const result = await fit(trainer, {
      epochs,
      stepsPerEpoch,
      batches: (epoch, firstBatch) =>
        classificationBatches(data, {
          input: progressive.info.input,
          batchSize,
          preprocessing,
          seed,
          epoch,
          firstBatch,
          augment: options.augment,
        }),
      learningRate: scheduleOf(options.schedule ?? 'one-cycle', options.learningRate ?? 1e-3, epochs),
      lossWeights: lossWeights(progressive, group, options, epochs),
      // Training accuracy is that of the last head, or of the final exit.
      term: backbone === 'joint' ? FINAL : exits[group.at(-1)!]!.output,
      ...(checkpoints && { checkpoints: checkpoints.store }),
      ...(signal && { signal }),
      onEvent: (event) => options.onEvent?.({ group: index + 1, groups: groups.length, exits: group, event }),
    });
    if (result.stopped === 'aborted') throw new InterruptedError(result.steps, checkpoints !== undefined);
    for (const [name, tensor] of await trainer.constants()) trained.set(name, tensor);
    results.push({ exits: group, result });
    await checkpoints?.finish(index, trained, index === groups.length - 1);
  }
  const model = withConstants(progressive.model, trained);
  const ones = new Float64Array(exits.length + 1).fill(1);
  return {
    progressive: withTemperatures({ ...progressive, model }, ones),
    imagesPerSecond: 1 / results.reduce((sum, { result }) => sum + 1 / result.imagesPerSecond, 0),
    groups: results,
  };
}

const FINAL = 'final';

/**
 * The step graph of some exits (by number). With a frozen backbone its nodes stay in inference form, appear once, and no
 * gradient goes past the values that the heads read.
 */
export function buildExitStep(
  progressive: Progressive,
  group: readonly number[],
  options: Pick<TrainExitsOptions, 'backbone' | 'distillation' | 'optimizer' | 'weightDecay' | 'labelSmoothing'> &
    Pick<StepSpec, 'profile'>,
): StepGraph {
  const { info, model } = progressive;
  const { backbone = 'frozen', distillation, labelSmoothing } = options;
  const losses: LossTerm[] = group.flatMap((exit): LossTerm[] => {
    const { output } = info.exits[exit]!;
    const crossEntropy: LossTerm = { kind: 'cross-entropy', name: output, logits: output, labelSmoothing };
    if (distillation === undefined || distillation.alpha === 1) return [crossEntropy];
    const { temperature } = distillation;
    return [
      crossEntropy,
      { kind: 'distillation', name: distilled(output), student: output, teacher: info.final.logits, temperature },
    ];
  });
  if (backbone === 'joint')
    losses.push({ kind: 'cross-entropy', name: FINAL, logits: info.final.logits, labelSmoothing });
  return buildStep(model, {
    losses,
    optimizer: options.optimizer ?? { kind: 'adam' },
    weightDecay: options.weightDecay ?? 1e-4,
    profile: options.profile,
    ...(backbone === 'frozen' && { trains: outsideBackbone(progressive) }),
  });
}

/** SDN's weight of an exit's loss: min(C, 0.01 + epoch · C / epochs), epochs counted from 1, C its share of the MACs. */
export function sdnWeight(position: number, epochs: number): Schedule {
  return ({ step, stepsPerEpoch }) => {
    const epoch = Math.floor(step / stepsPerEpoch) + 1;
    return Math.min(position, 0.01 + (epoch * position) / epochs);
  };
}

function lossWeights(
  { info }: Progressive,
  group: readonly number[],
  { backbone, distillation }: TrainExitsOptions,
  epochs: number,
): Record<string, Schedule> {
  const weights: Record<string, Schedule> = {};
  for (const exit of group) {
    const { output, position } = info.exits[exit]!;
    const weight = backbone === 'joint' ? sdnWeight(position, epochs) : (): number => 1;
    const alpha = distillation?.alpha ?? 1;
    weights[output] = (progress) => alpha * weight(progress);
    if (alpha !== 1) weights[distilled(output)] = (progress) => (1 - alpha) * weight(progress);
  }
  if (backbone === 'joint') weights[FINAL] = () => 1;
  return weights;
}

const distilled = (output: string): string => `${output}.distilled`;

/** Parameters that belong to exit heads alone. */
function outsideBackbone(progressive: Progressive): (parameter: Parameter) => boolean {
  const backbone = new Set(parametersOf(backboneOf(progressive).graph).map(({ name }) => name));
  return ({ name }) => !backbone.has(name);
}

function checkOptions(options: TrainExitsOptions, { info }: Progressive): void {
  const { data, backbone, distillation, maxHeadsPerStep } = options;
  if (info.exits.length === 0) throw new ExitTrainingError('the model has no exits', 'Attach exits first.');
  if (data.size === 0)
    throw new ExitTrainingError('there are no training images', 'Give a data set with training images.');
  if (data.classes.length !== info.classes)
    throw new ExitTrainingError(
      `the model has ${info.classes} classes, but the data has ${data.classes.length}`,
      'Give data with the same classes, in the same order.',
    );
  if (distillation && !(distillation.alpha >= 0 && distillation.alpha <= 1))
    throw new ExitTrainingError(`a distillation share of ${distillation.alpha}`, 'α lies between 0 and 1.');
  if (maxHeadsPerStep === undefined) return;
  if (!Number.isInteger(maxHeadsPerStep) || maxHeadsPerStep < 1)
    throw new ExitTrainingError(`${maxHeadsPerStep} heads per step`, 'Give a whole number, 1 or more.');
  if (backbone === 'joint' && maxHeadsPerStep < info.exits.length)
    throw new ExitTrainingError('joint training needs all heads in one step', 'Leave out maxHeadsPerStep.');
}

/** What two runs must share for one to continue the other's checkpoint. */
function fingerprintOf(options: TrainExitsOptions): string {
  const { data, backbone, distillation, epochs, batchSize, learningRate, optimizer, schedule, weightDecay } = options;
  const { labelSmoothing, augment, maxHeadsPerStep, seed, preprocessing } = options;
  const recipe = {
    ...{ backbone, distillation, epochs, batchSize, learningRate, optimizer, schedule, weightDecay },
    ...{ labelSmoothing, augment, maxHeadsPerStep, seed, preprocessing },
  };
  return JSON.stringify({ ...recipe, data: { name: data.name, size: data.size, classes: data.classes } });
}
