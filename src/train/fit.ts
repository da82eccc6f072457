/** @file The training loop: epochs, schedules, evaluation, early stopping, checkpoints, progress. */
import type { Model, Tensor } from '../ir/index.js';
import type { Backend } from '../runtime/index.js';
import { now, turn } from '../platform/index.js';
import { decodeCheckpoint, encodeCheckpoint, type CheckpointStore } from './checkpoint.js';
import { CheckpointError, DivergedError } from './errors.js';
import type { Schedule } from './schedules.js';
import type { Trainer } from './trainer.js';

export interface TrainBatch {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly samples: number;
}

export interface FitOptions {
  readonly epochs: number;
  readonly stepsPerEpoch: number;
  /**
   * The batches of an epoch from one of them on. The same arguments must give the same batches: a resumed training asks
   * for those that are left.
   */
  readonly batches: (epoch: number, firstBatch: number) => AsyncIterable<TrainBatch>;
  readonly learningRate: Schedule;
  /** Replaces the optimiser's fixed momentum. */
  readonly momentum?: Schedule;
  /** Weights of loss terms by name; 1 for those left out. */
  readonly lossWeights?: Readonly<Record<string, Schedule>>;
  /** Decay of the moving average, where the step graph keeps one; 0.999 where omitted. */
  readonly averageDecay?: number;
  /** Term whose accuracy is reported; the first cross-entropy where omitted. */
  readonly term?: string;
  /** Called with the exported model after each epoch (moving average where there is one). */
  readonly evaluate?: (model: Model) => Promise<EvaluationSummary>;
  readonly earlyStopping?: EarlyStopping;
  readonly checkpoints?: CheckpointStore;
  /** Says what a checkpoint must have been made with to be continued; recipe and data in a string. */
  readonly fingerprint?: string;
  /** Steps between checkpoints within an epoch; only at the ends of epochs where omitted. */
  readonly checkpointSteps?: number;
  /** Ends the training after the step under way, with a checkpoint. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
}

export interface EvaluationSummary {
  readonly accuracy: number;
  readonly loss: number;
}

/** Ends training when the evaluated accuracy has not grown for some epochs, and goes back to the best state. */
export interface EarlyStopping {
  /** Epochs without a gain that are borne. */
  readonly patience: number;
  /** Growth in accuracy that counts as a gain; 0 where omitted. */
  readonly minimumGain?: number;
}

export interface EpochRecord {
  /** Counted from 1. */
  readonly epoch: number;
  readonly loss: number;
  /** Share of training samples that were classified rightly while training. */
  readonly accuracy: number;
  readonly evaluation?: EvaluationSummary;
  readonly learningRate: number;
  readonly imagesPerSecond: number;
}

export type TrainEvent =
  | {
      readonly kind: 'start';
      readonly epochs: number;
      readonly totalSteps: number;
      readonly resumedAt: number;
      /** What the steps run on, and what was chosen for them without being asked for. */
      readonly backend: Backend;
      readonly threads: number;
      readonly remarks: readonly string[];
    }
  | {
      readonly kind: 'step';
      /** Counted from 1. */
      readonly epoch: number;
      readonly epochs: number;
      /** Steps done in this epoch, and in all. */
      readonly stepInEpoch: number;
      readonly stepsPerEpoch: number;
      readonly step: number;
      readonly totalSteps: number;
      readonly loss: number;
      readonly terms: Readonly<Record<string, number>>;
      /** Mean over the epoch so far. */
      readonly accuracy: number;
      readonly learningRate: number;
      readonly imagesPerSecond: number;
      readonly etaSeconds: number;
    }
  | { readonly kind: 'epoch'; readonly record: EpochRecord; readonly epochs: number }
  | { readonly kind: 'checkpoint'; readonly step: number };

export interface FitResult {
  readonly stopped: 'finished' | 'early' | 'aborted';
  /** Whole epochs done. */
  readonly epochs: number;
  readonly steps: number;
  readonly history: readonly EpochRecord[];
  /** Median over the steps of this run. */
  readonly imagesPerSecond: number;
}

/** What the loop carries across a checkpoint, besides the trainer's state. */
interface LoopState {
  epoch: number;
  stepInEpoch: number;
  lossSum: number;
  correct: number;
  samples: number;
  history: EpochRecord[];
  best: { readonly accuracy: number; readonly epoch: number } | undefined;
}

const BEST = 'best/';

/**
 * Trains to the end, to an early stop, or until aborted. With a checkpoint store, the state is saved after each epoch and on
 * an abort, and a later call with the same options continues bit for bit as if nothing had happened; the
 * checkpoint is cleared when training ends. Throws DivergedError where the loss is no longer finite, CheckpointError where a
 * stored checkpoint does not fit.
 */
export async function fit(trainer: Trainer, options: FitOptions): Promise<FitResult> {
  const { epochs, stepsPerEpoch, signal, checkpoints, onEvent } = options;
  const totalSteps = epochs * stepsPerEpoch;
  const term = options.term ?? [...trainer.step.outputs.correct.keys()][0];
  const { loop, best: resumedBest } = await resume(trainer, options);
  let best = resumedBest;
  const { backend, threads, remarks } = trainer.session;
  onEvent?.({ kind: 'start', epochs, totalSteps, resumedAt: trainer.iteration, backend, threads, remarks });
  const rates: number[] = [];
  let epochStarted = now();
  let epochSamples = 0;

  const save = async (): Promise<void> => {
    if (checkpoints === undefined) return;
    await checkpoints.save(await encodeState(trainer, loop, best, options.fingerprint ?? ''));
    onEvent?.({ kind: 'checkpoint', step: trainer.iteration });
  };
  const result = (stopped: FitResult['stopped']): FitResult => ({
    stopped,
    epochs: loop.epoch,
    steps: trainer.iteration,
    history: loop.history,
    imagesPerSecond: median(rates),
  });

  while (loop.epoch < epochs) {
    for await (const batch of options.batches(loop.epoch, loop.stepInEpoch)) {
      if (signal?.aborted) break;
      const started = now();
      const learningRate = await runStep(trainer, batch, options, totalSteps, loop, term);
      const rate = (batch.samples * 1000) / (now() - started);
      rates.push(rate);
      epochSamples += batch.samples;
      onEvent?.({ ...progressOf(loop, options, trainer.iteration, median(rates.slice(-20)), batch), ...learningRate });
      if (options.checkpointSteps && loop.stepInEpoch % options.checkpointSteps === 0) await save();
      // The wasm back end computes without leaving this turn of the event loop: an abort must get a chance to arrive.
      await turn();
      if (loop.stepInEpoch >= stepsPerEpoch) break;
    }
    if (signal?.aborted && loop.stepInEpoch < stepsPerEpoch) {
      await save();
      return result('aborted');
    }
    if (loop.stepInEpoch < stepsPerEpoch)
      throw new CheckpointError(
        `epoch ${loop.epoch + 1} ended after ${loop.stepInEpoch} of ${stepsPerEpoch} steps`,
        'Give the number of batches that the data really has.',
      );

    const record = await closeEpoch(trainer, options, loop, (epochSamples * 1000) / (now() - epochStarted));
    epochStarted = now();
    epochSamples = 0;
    onEvent?.({ kind: 'epoch', record, epochs });
    if (options.earlyStopping && record.evaluation) {
      const { patience, minimumGain = 0 } = options.earlyStopping;
      if (loop.best === undefined || record.evaluation.accuracy > loop.best.accuracy + minimumGain) {
        loop.best = { accuracy: record.evaluation.accuracy, epoch: loop.epoch };
        best = (await trainer.snapshot()).tensors;
      } else if (loop.epoch - loop.best.epoch >= patience) {
        trainer.restore({ iteration: trainer.iteration, tensors: best! });
        await checkpoints?.clear();
        return result('early');
      }
    }
    if (loop.epoch < epochs) await save();
  }
  if (best !== undefined) trainer.restore({ iteration: trainer.iteration, tensors: best });
  await checkpoints?.clear();
  return result('finished');
}

/** One step; adds to the epoch's sums and returns the learning rate used. */
async function runStep(
  trainer: Trainer,
  batch: TrainBatch,
  options: FitOptions,
  totalSteps: number,
  loop: LoopState,
  term: string | undefined,
): Promise<{ readonly loss: number; readonly terms: Readonly<Record<string, number>>; readonly learningRate: number }> {
  const progress = { step: trainer.iteration, totalSteps, stepsPerEpoch: options.stepsPerEpoch };
  const learningRate = options.learningRate(progress);
  const { loss, terms, correct } = await trainer.run(batch.feeds, {
    learningRate,
    momentum: options.momentum?.(progress),
    averageDecay: options.averageDecay,
    lossWeights: Object.fromEntries(
      Object.entries(options.lossWeights ?? {}).map(([name, weight]) => [name, weight(progress)]),
    ),
  });
  if (!Number.isFinite(loss)) throw new DivergedError(trainer.iteration, loss);
  loop.stepInEpoch++;
  loop.lossSum += loss * batch.samples;
  loop.samples += batch.samples;
  if (term !== undefined) loop.correct += correct[term] ?? 0;
  return { loss, terms, learningRate };
}

function progressOf(
  loop: LoopState,
  { epochs, stepsPerEpoch }: FitOptions,
  step: number,
  imagesPerSecond: number,
  batch: TrainBatch,
): Omit<Extract<TrainEvent, { kind: 'step' }>, 'loss' | 'terms' | 'learningRate'> {
  const totalSteps = epochs * stepsPerEpoch;
  return {
    kind: 'step',
    epoch: loop.epoch + 1,
    epochs,
    stepInEpoch: loop.stepInEpoch,
    stepsPerEpoch,
    step,
    totalSteps,
    accuracy: loop.correct / loop.samples,
    imagesPerSecond,
    etaSeconds: ((totalSteps - step) * batch.samples) / imagesPerSecond,
  };
}

/** Evaluates, appends to the history and sets the loop to the next epoch. */
async function closeEpoch(
  trainer: Trainer,
  options: FitOptions,
  loop: LoopState,
  imagesPerSecond: number,
): Promise<EpochRecord> {
  const evaluation = await options.evaluate?.(await trainer.export(trainer.step.averageDecay ? 'average' : 'latest'));
  const totalSteps = options.epochs * options.stepsPerEpoch;
  const record: EpochRecord = {
    epoch: loop.epoch + 1,
    loss: loop.lossSum / loop.samples,
    accuracy: loop.correct / loop.samples,
    ...(evaluation && { evaluation: { accuracy: evaluation.accuracy, loss: evaluation.loss } }),
    learningRate: options.learningRate({
      step: trainer.iteration - 1,
      totalSteps,
      stepsPerEpoch: options.stepsPerEpoch,
    }),
    imagesPerSecond,
  };
  loop.history.push(record);
  Object.assign(loop, { epoch: loop.epoch + 1, stepInEpoch: 0, lossSum: 0, correct: 0, samples: 0 });
  return record;
}

async function encodeState(
  trainer: Trainer,
  loop: LoopState,
  best: ReadonlyMap<string, Tensor> | undefined,
  fingerprint: string,
): Promise<Uint8Array> {
  const { iteration, tensors } = await trainer.snapshot();
  const kept = new Map(tensors);
  for (const [name, tensor] of best ?? []) kept.set(`${BEST}${name}`, tensor);
  const { epoch, stepInEpoch, ...extra } = loop;
  return encodeCheckpoint({ iteration, epoch, stepInEpoch, fingerprint, extra, tensors: kept });
}

/** Takes up a stored checkpoint, or begins anew. */
async function resume(
  trainer: Trainer,
  options: FitOptions,
): Promise<{ readonly loop: LoopState; readonly best: ReadonlyMap<string, Tensor> | undefined }> {
  const bytes = await options.checkpoints?.load();
  if (bytes === undefined)
    return {
      loop: { epoch: 0, stepInEpoch: 0, lossSum: 0, correct: 0, samples: 0, history: [], best: undefined },
      best: undefined,
    };
  const { iteration, epoch, stepInEpoch, fingerprint, extra, tensors } = decodeCheckpoint(bytes);
  if (fingerprint !== (options.fingerprint ?? ''))
    throw new CheckpointError(
      'the checkpoint was made with other options or other data',
      'Use the options that it was made with, or delete it to start anew.',
    );
  trainer.restore({ iteration, tensors });
  const best = new Map(
    [...tensors].filter(([name]) => name.startsWith(BEST)).map(([name, tensor]) => [name.slice(BEST.length), tensor]),
  );
  const rest = extra as Omit<LoopState, 'epoch' | 'stepInEpoch'>;
  return { loop: { epoch, stepInEpoch, ...rest }, best: best.size > 0 ? best : undefined };
}

function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}
