/** @file `cuttle train`: a network of the zoo from scratch, or an existing ONNX classifier further. */
import { z } from 'zod';
import { standardAugmentation, type Augmentation } from '../../data/index.js';
import { memoryUse } from '../../platform/node/cpu.js';
import { exists, fileInfo, FileExistsError } from '../../platform/node/files.js';
import { scheduleNames, type OptimizerSpec, type TrainEvent, type TrainedModel } from '../../train/index.js';
import { fileFormulations, trainAdaptersToFile, trainToFile, type TrainToFileOptions } from '../../train/node.js';
import { isTextSource } from '../../data/node.js';
import {
  architectures,
  buildArchitecture,
  findArchitecture,
  findTextArchitecture,
  textArchitectures,
} from '../../zoo/index.js';
import { checkTextArchitecture, refuseImageOptions, trainOnText } from '../text-verbs.js';
import type { Progress } from '../console.js';
import { percent } from '../../report/index.js';
import {
  dataFlags,
  dataOptions,
  openImages,
  preprocessingFlags,
  preprocessingGiven,
  preprocessingOptions,
  reportAssumed,
} from '../data-options.js';
import { sessionFlags, sessionGiven, sessionOptions } from '../session-options.js';
import { stepTeller, tellStudio } from '../tell-studio.js';
import { adapterRequest, loraFlags, loraOptions } from '../adapter-options.js';
import { openModel } from '../open-model.js';
import { defineVerb, option, UsageError, type VerbContext } from '../verb.js';

const optimizers: Readonly<Record<'sgd' | 'adam' | 'adamw', OptimizerSpec>> = {
  sgd: { kind: 'sgd', momentum: 0.9, nesterov: true },
  adam: { kind: 'adam' },
  adamw: { kind: 'adamw' },
};

export const train = defineVerb({
  name: 'train',
  summary: 'Train a network on images or text: one of the zoo from scratch, or an existing ONNX model.',
  args: [],
  flags: [
    [
      '--arch <name>',
      `network to build: for images ${architectures.map(({ name }) => name).join(', ')}; for text ${textArchitectures.map(({ name }) => name).join(', ')}`,
    ],
    ['--model <file>', 'ONNX classifier to train further'],
    ...dataFlags,
    ['--out <file>', 'where the trained ONNX model goes'],
    ['--epochs <count>', 'passes over the training images (default 10)'],
    ['--batch <count>', 'images (default 128) or windows of text (default 32) per step'],
    ['--window <count>', 'characters per window of text (default 64)'],
    [
      '--lr <rate>',
      'peak learning rate (default for images 0.1 with sgd, 0.001 with adam and adamw; for text 0.5 and 0.004)',
    ],
    ['--optimizer <name>', 'sgd (Nesterov momentum 0.9; default for images), adam (default for text) or adamw'],
    ['--schedule <name>', `learning rate over time: ${scheduleNames.join(', ')}`],
    ['--warm-up <epochs>', 'epochs of linear warm-up'],
    [
      '--weight-decay <rate>',
      'weight decay, biases and normalisation layers spared (default 0.0005 for images, 0 for text)',
    ],
    ['--label-smoothing <share>', 'share of the target spread over all classes'],
    ['--clip <norm>', 'scale gradients down to this common norm (default 1 for text)'],
    ['--ema <decay>', 'keep and export a moving average of the weights'],
    ['--augment <what>', 'none, or any of crop, flip, cutout joined by commas (default: crop,flip for colour images)'],
    ['--patience <epochs>', 'stop when the calibration accuracy has not grown for this long'],
    ...preprocessingFlags,
    ...sessionFlags,
    ...loraFlags,
    [
      '--max-memory <size>',
      'most memory that the process may take, such as 500MB: what does not fit is computed twice',
    ],
    [
      '--no-tune',
      'do not measure which forms of gradients are fastest on this device (measured once, kept in the cache)',
    ],
    ['--seed <number>', 'seed of weights, order and augmentation (default 0)'],
    ['--force', 'replace an existing output file'],
  ],
  options: z.object({
    arch: z.string().optional(),
    model: z.string().optional(),
    out: z.string({ error: 'is required: say where the trained model goes, such as --out model.onnx' }),
    epochs: option.count().default(10),
    batch: option.count().optional(),
    window: option.count(2).optional(),
    lr: option.positive().optional(),
    optimizer: z.enum(['sgd', 'adam', 'adamw']).optional(),
    schedule: z.enum(scheduleNames).default('one-cycle'),
    warmUp: z.coerce.number('is not a number').min(0).default(0),
    weightDecay: z.coerce.number('is not a number').min(0).optional(),
    labelSmoothing: z.coerce.number('is not a number').min(0).max(0.9).optional(),
    clip: option.positive().optional(),
    ema: z.coerce.number('is not a number').min(0).max(1, 'must be below 1').optional(),
    augment: z.string().optional(),
    patience: option.count().optional(),
    ...loraOptions,
    maxMemory: option.bytes().optional(),
    tune: z.boolean().default(true),
    seed: option.seed(),
    force: option.flag(),
    ...dataOptions,
    ...preprocessingOptions,
    ...sessionOptions,
  }),
  examples: [
    'cuttle train --arch lenet-5 --data mnist --epochs 2 --out digits.onnx',
    'cuttle train --arch char-lstm --data tinyshakespeare.txt.gz --out writer.onnx',
    'cuttle train --model digits.onnx --data mnist --epochs 1 --lr 0.01 --out digits-tuned.onnx',
  ],
  async run(context) {
    const { options, console, signal } = context;
    if ((options.arch === undefined) === (options.model === undefined))
      throw new UsageError('give either --arch NAME or --model FILE', 'See: cuttle train --help');
    if (options.lora !== undefined && options.model === undefined)
      throw new UsageError('--lora: needs the network to adapt, as --model FILE');
    // Reading images can take minutes: what can be refused before is.
    const { arch } = options;
    const onText = isTextSource(options.data);
    if (arch !== undefined) {
      if (onText) checkTextArchitecture(arch);
      else checkImageArchitecture(arch);
    }
    if (onText) refuseImageOptions(options);
    else if (options.window !== undefined) throw new UsageError('--window: is for text, but the data is images');
    if (!options.force && (await exists(options.out))) throw new FileExistsError(options.out);
    const existing = options.model === undefined ? undefined : await openModel(options.model, context.console);
    if (onText && options.lora !== undefined) throw new UsageError('--lora: is for images, but the data is text');
    const adapterOptions = options.lora === undefined ? undefined : adapterRequest(existing!, options);
    if (onText)
      return await trainOnText(context, {
        arch,
        existing,
        data: options.data,
        out: options.out,
        force: options.force,
        epochs: options.epochs,
        batchSize: options.batch,
        length: options.window,
        learningRate: options.lr,
        optimizer: options.optimizer && optimizers[options.optimizer],
        schedule: options.schedule,
        warmUpEpochs: options.warmUp,
        weightDecay: options.weightDecay,
        labelSmoothing: options.labelSmoothing,
        clipNorm: options.clip,
        averageDecay: options.ema,
        earlyStopping: options.patience === undefined ? undefined : { patience: options.patience },
        seed: options.seed,
        session: sessionGiven(options),
      });
    const augment = augmentation(options.augment);
    const data = await openImages(context, options, { seed: options.seed });
    let repeats: { readonly nodes: number; readonly extraTime: number } | undefined;
    let adapters: { readonly weights: number; readonly params: number; readonly bytes: number } | undefined;
    const train = async (given: TrainToFileOptions): Promise<Omit<TrainedModel, 'model'>> => {
      if (adapterOptions === undefined) return await trainToFile(given);
      const optimizer = options.optimizer === undefined ? optimizers.adam : given.optimizer;
      const tuned = await trainAdaptersToFile({ ...given, optimizer, model: existing!, adapters: adapterOptions });
      const { params } = tuned;
      adapters = { weights: tuned.adapters.adapters.length, params, bytes: (await fileInfo(options.out))!.size };
      return tuned;
    };
    const trained = await train({
      out: options.out,
      force: options.force,
      model: existing ?? (({ classes, input }) => buildArchitecture(arch!, { classes, input, seed: options.seed })),
      data,
      preprocessing: preprocessingGiven(options),
      epochs: options.epochs,
      batchSize: options.batch,
      learningRate: options.lr,
      optimizer: optimizers[options.optimizer ?? 'sgd'],
      schedule: options.schedule,
      warmUpEpochs: options.warmUp,
      weightDecay: options.weightDecay,
      labelSmoothing: options.labelSmoothing,
      clipNorm: options.clip,
      averageDecay: options.ema,
      augment: augment === 'default' ? (data.train.channels === 3 ? standardAugmentation : undefined) : augment,
      earlyStopping: options.patience === undefined ? undefined : { patience: options.patience },
      seed: options.seed,
      session: sessionGiven(options),
      maxMemory: options.maxMemory,
      onMemory: ({ repeated, extraTime }) => {
        repeats = { nodes: repeated.length, extraTime };
        if (repeated.length > 0)
          console.log(`memory: ${repeated.length} nodes run twice, about ${percent(extraTime)} more time`);
      },
      tune: options.tune ? fileFormulations() : undefined,
      signal,
      onEvent: showTraining(console, 'training'),
    });
    // What a network of the zoo expects was decided here, and is written into it.
    if (existing !== undefined) reportAssumed(context, trained.assumed);
    const { accuracy, loss, imagesPerSecond, epochs, params } = trained;
    return {
      json: {
        accuracy,
        loss,
        imagesPerSecond,
        epochs,
        params,
        out: options.out,
        history: trained.history,
        ...(adapters && { adapters }),
        ...(repeats && {
          memory: { maxBytes: options.maxMemory, peakBytes: memoryUse().peakResidentBytes, repeats },
        }),
      },
      text: `${options.out}: ${percent(accuracy)} of ${data.test.size} test images right, loss ${loss.toFixed(4)}, after ${epochs} epochs at ${Math.round(imagesPerSecond)} images/s`,
    };
  },
});

/** Refuses names of no network and networks that read text, before any image is opened. */
function checkImageArchitecture(arch: string): void {
  if (findTextArchitecture(arch) !== undefined)
    throw new UsageError(
      `--arch: '${arch}' reads text, but the data is images`,
      'Give --data a file that ends in .txt or .txt.gz.',
    );
  findArchitecture(arch);
}

/** A progress bar for training events, and a line after each epoch. */
export function showTraining(console: VerbContext<unknown>['console'], label: string): (event: TrainEvent) => void {
  let progress: Progress | undefined;
  let totalSteps = 0;
  let step = 0;
  const tellStep = stepTeller(label);
  return (event) => {
    switch (event.kind) {
      case 'start':
        ({ totalSteps } = event);
        if (event.resumedAt > 0) console.log(`${label}: continues at step ${event.resumedAt} of ${event.totalSteps}`);
        progress = console.progress(label, event.totalSteps);
        break;
      case 'step':
        ({ step } = event);
        tellStep({ step, totalSteps, loss: event.loss, accuracy: event.accuracy });
        progress?.update(
          event.step,
          `epoch ${event.epoch}/${event.epochs}, loss ${event.loss.toFixed(3)}, accuracy ${percent(event.accuracy)}, ${Math.round(event.imagesPerSecond)} images/s`,
        );
        break;
      case 'epoch': {
        const { epoch, loss, accuracy, evaluation } = event.record;
        tellStudio({ kind: 'epoch', label, epoch, step, ...(evaluation && { heldOut: evaluation.accuracy }) });
        const held = evaluation === undefined ? '' : `, held-out accuracy ${percent(evaluation.accuracy)}`;
        console.log(
          `${label}: epoch ${epoch}/${event.epochs}: loss ${loss.toFixed(4)}, accuracy ${percent(accuracy)}${held}`,
        );
        break;
      }
      case 'checkpoint':
        break;
    }
  };
}

const known = ['crop', 'flip', 'cutout'] as const;

function augmentation(text: string | undefined): Augmentation | 'default' | undefined {
  if (text === undefined) return 'default';
  if (text === 'none') return undefined;
  const wanted = text.split(',');
  const strange = wanted.find((name) => !(known as readonly string[]).includes(name));
  if (strange !== undefined) throw new UsageError(`--augment: '${strange}' is none of none, ${known.join(', ')}`);
  return {
    ...(wanted.includes('crop') ? { crop: { padding: 4 } } : {}),
    ...(wanted.includes('flip') ? { flip: true } : {}),
    ...(wanted.includes('cutout') ? { cutout: { size: 8 } } : {}),
  };
}
