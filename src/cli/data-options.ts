/** @file Options that say which images a verb reads and how pixels become the input tensor. */
import { z } from 'zod';
import {
  describeBadFiles,
  normalisations,
  type NormalisationName,
  type Preprocessing,
  type PreprocessingOptions,
} from '../data/index.js';
import { openData, type OpenedData, type SplitOptions } from '../data/node.js';
import type { VerbContext } from './verb.js';
import { option } from './verb.js';

const sizeText = z.string().transform((text, context) => {
  const match = /^(\d+)(?:x(\d+))?$/.exec(text);
  if (match === null) {
    context.addIssue({ code: 'custom', message: `'${text}' is not a size such as 224 or 240x180 (width x height)` });
    return z.NEVER;
  }
  return { width: Number(match[1]), height: Number(match[2] ?? match[1]) };
});

/** `--normalise`, `--mean`, `--std`, `--size`, `--channels`. */
export const preprocessingFlags = [
  ['--normalise <preset>', `how pixels are normalised: ${Object.keys(normalisations).join(', ')}`],
  ['--mean <r,g,b>', 'mean per channel after scaling to 0..1 (with --std)'],
  ['--std <r,g,b>', 'standard deviation per channel after scaling to 0..1 (with --mean)'],
  ['--size <WxH>', 'image size that the model takes, where its input does not say'],
  ['--channels <order>', 'channel order of the input: rgb, bgr or gray'],
] as const;

export const preprocessingOptions = {
  normalise: z.enum(Object.keys(normalisations) as [NormalisationName, ...NormalisationName[]]).optional(),
  mean: option.numbers().optional(),
  std: option.numbers().optional(),
  size: sizeText.optional(),
  channels: z.enum(['rgb', 'bgr', 'gray']).optional(),
};

/** `--data`, `--limit`, `--on-bad`. */
export const dataFlags = [
  [
    '--data <source>',
    'folder or .tar(.gz) of images by class, IDX files, CIFAR batches, a text (.txt, .txt.gz), or a name: mnist, fashion-mnist, cifar-10 …',
  ],
  ['--limit <count>', 'use at most this many images of each part'],
  ['--on-bad <what>', 'count (and name) unreadable images, or stop at the first: count, stop'],
] as const;

export const dataOptions = {
  data: z.string({ error: 'is required: say where the images are, such as --data mnist' }),
  limit: option.count().optional(),
  onBad: z.enum(['count', 'stop']).default('count'),
};

type Given = z.infer<z.ZodObject<typeof preprocessingOptions>>;

/** The options as the data floor takes them. */
export function preprocessingGiven({ normalise, mean, std, size, channels }: Given): PreprocessingOptions {
  return { normalise, mean, std, channels, height: size?.height, width: size?.width };
}

/**
 * Opens the images that `--data` names, in the size and channels that the network takes, with progress and with a
 * warning for every unreadable file and every assumption.
 */
export async function openImages(
  { console, signal }: Pick<VerbContext<unknown>, 'console' | 'signal'>,
  options: z.infer<z.ZodObject<typeof dataOptions>>,
  split: SplitOptions,
  fit?: Preprocessing,
): Promise<OpenedData> {
  let progress: ReturnType<typeof console.progress> | undefined;
  const data = await openData(options.data, {
    ...split,
    limit: options.limit,
    onBad: options.onBad,
    size: fit && { height: fit.height, width: fit.width },
    channels: fit && (fit.channels === 'gray' ? 1 : 3),
    signal,
    onProgress: ({ phase, done, total }) => {
      progress ??= console.progress(phase === 'download' ? 'downloading' : 'reading images', total ?? 0);
      progress.update(done);
    },
  });
  progress?.end();
  const { bad, notes } = data.report;
  if (bad.length > 0) console.warn(describeBadFiles(bad));
  for (const note of notes) console.log(note);
  console.log(
    `${options.data}: ${data.train.size} training, ${data.calibration.size} calibration, ${data.test.size} test images, ${data.test.classes.length} classes`,
  );
  return data;
}

/** Says what was assumed about a model's input. */
export function reportAssumed({ console }: Pick<VerbContext<unknown>, 'console'>, assumed: readonly string[]): void {
  if (assumed.length > 0) console.warn(`the model does not say how its input is made; assumed: ${assumed.join('; ')}`);
}
