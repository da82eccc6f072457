/** @file How pixels become a model's input: size, channel order, mean and std; stored in the model's metadata. */
import * as z from 'zod/mini';
import { formatType, requiredInputs, type Model } from '../ir/index.js';
import { inEnglish } from '../platform/index.js';
import { DataError } from './errors.js';

/** Channel order of a model's input. */
export type ChannelOrder = 'rgb' | 'bgr' | 'gray';

/**
 * What is done to an image before a model sees it: brought to height×width, channels put in order, bytes scaled to 0..1,
 * then per channel `(value − mean) / std`. `mean` and `std` are in the input's own channel order.
 */
export interface Preprocessing {
  readonly height: number;
  readonly width: number;
  readonly channels: ChannelOrder;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** The metadata entry that holds a model's Preprocessing as JSON. */
export const PREPROCESSING_KEY = 'cuttle.preprocessing';

/** Mean and std after scaling to 0..1, RGB order (one value for gray). */
export const normalisations = {
  /** ImageNet statistics, as torchvision's model documentation states them. */
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  /** CIFAR-10 training set statistics. */
  'cifar-10': { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
  /** MNIST training set statistics. */
  mnist: { mean: [0.1307], std: [0.3081] },
  /** Only scaled to 0..1. */
  none: { mean: [0], std: [1] },
} as const satisfies Record<string, { readonly mean: readonly number[]; readonly std: readonly number[] }>;

export type NormalisationName = keyof typeof normalisations;

const channelCount = { rgb: 3, bgr: 3, gray: 1 } as const satisfies Record<ChannelOrder, number>;

/** Number of channels of an order. */
export function channelsOf(order: ChannelOrder): 1 | 3 {
  return channelCount[order];
}

const positiveSize = z.int().check(z.gte(1), z.lte(65_536));
/** Schema of the metadata entry `cuttle.preprocessing`, version 1. */
export const preprocessingSchema = z
  .object({
    version: z.literal(1),
    height: positiveSize,
    width: positiveSize,
    channels: z.enum(['rgb', 'bgr', 'gray']),
    mean: z.array(z.number()),
    std: z.array(z.number().check(z.positive())),
  })
  .check(
    z.refine(
      ({ channels, mean, std }) => mean.length === channelCount[channels] && std.length === channelCount[channels],
      'mean and std need one number per channel',
    ),
  );

/** The Preprocessing stored in a model, or `undefined` where it has none. Throws DataError where the entry is broken. */
export function readPreprocessing(model: Pick<Model, 'metadata'>): Preprocessing | undefined {
  const text = model.metadata.get(PREPROCESSING_KEY);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError('preprocessing', `the model's metadata entry '${PREPROCESSING_KEY}' is not JSON`, { cause });
  }
  const parsed = preprocessingSchema.safeParse(value, inEnglish);
  if (!parsed.success)
    throw new DataError(
      'preprocessing',
      `the model's metadata entry '${PREPROCESSING_KEY}' is broken: ${parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`.trim()).join('; ')}`,
      { cause: parsed.error },
    );
  const { height, width, channels, mean, std } = parsed.data;
  return { height, width, channels, mean, std };
}

/** The model with this Preprocessing in its metadata. Throws DataError where the values make no sense. */
export function writePreprocessing(model: Model, preprocessing: Preprocessing): Model {
  const { height, width, channels, mean, std } = preprocessing;
  const text = JSON.stringify({ version: 1, height, width, channels, mean, std });
  const written = { ...model, metadata: new Map(model.metadata).set(PREPROCESSING_KEY, text) };
  readPreprocessing(written);
  return written;
}

/** A preset's mean and std for a channel order: one value is repeated, three are averaged for gray and reversed for BGR. */
export function normalisationFor(
  name: NormalisationName,
  channels: ChannelOrder,
): { readonly mean: readonly number[]; readonly std: readonly number[] } {
  const { mean, std } = normalisations[name];
  return { mean: perChannel(mean, channels), std: perChannel(std, channels) };
}

function perChannel(values: readonly number[], channels: ChannelOrder): readonly number[] {
  const count = channelCount[channels];
  if (values.length === count) return channels === 'bgr' ? [...values].reverse() : values;
  if (values.length === 1) return Array.from({ length: count }, () => values[0]!);
  return [values.reduce((sum, value) => sum + value, 0) / values.length];
}

/** What the user said about preprocessing; all of it overrides what the model says. */
export interface PreprocessingOptions {
  readonly normalise?: NormalisationName;
  /** R, G, B after scaling to 0..1 (whatever the input's order). One number stands for all channels. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly channels?: ChannelOrder;
  readonly height?: number;
  readonly width?: number;
}

export interface ResolvedPreprocessing {
  readonly preprocessing: Preprocessing;
  /** One sentence for every value that neither the user nor the model states. */
  readonly assumed: readonly string[];
}

/**
 * The Preprocessing for a model's first input: what the user says, else what the model's metadata says, else what its
 * shape suggests, and that is reported in `assumed`. The input must be float N×C×H×W with 1 or 3 channels.
 * Throws DataError: 'unsupported' for other layouts, 'usage' where the options do not fit or a size must be given.
 */
export function resolvePreprocessing(model: Model, options: PreprocessingOptions = {}): ResolvedPreprocessing {
  const stored = readPreprocessing(model);
  const input = imageInput(model);
  const assumed: string[] = [];
  const height = options.height ?? input.height ?? stored?.height;
  const width = options.width ?? input.width ?? stored?.width;
  if (height === undefined || width === undefined)
    throw new DataError('size', `input '${input.name}' has no fixed height and width`, {
      kind: 'usage',
      hint: 'Give the image size, e.g. --size 224x224.',
    });
  if ((input.height ?? height) !== height || (input.width ?? width) !== width)
    throw new DataError(
      'size',
      `input '${input.name}' takes ${input.height}×${input.width} images, not ${height}×${width}`,
      { kind: 'usage' },
    );
  const channels = options.channels ?? stored?.channels ?? (input.channels === 1 ? 'gray' : 'rgb');
  if (input.channels !== undefined && channelCount[channels] !== input.channels)
    throw new DataError(
      'channels',
      `input '${input.name}' has ${input.channels} channels; '${channels}' does not fit`,
      {
        kind: 'usage',
      },
    );
  if (options.channels === undefined && stored === undefined && channels === 'rgb') assumed.push('channel order RGB');
  const normalisation = resolveNormalisation(options, stored, channels, height, assumed);
  return { preprocessing: { height, width, channels, ...normalisation }, assumed };
}

function resolveNormalisation(
  options: PreprocessingOptions,
  stored: Preprocessing | undefined,
  channels: ChannelOrder,
  height: number,
  assumed: string[],
): { readonly mean: readonly number[]; readonly std: readonly number[] } {
  if ((options.mean === undefined) !== (options.std === undefined))
    throw new DataError('normalise', 'mean and std must be given together', { kind: 'usage' });
  if (options.mean && options.std) {
    const mean = spread(options.mean, channels, 'mean');
    const std = spread(options.std, channels, 'std');
    if (std.some((value) => !(value > 0))) throw new DataError('normalise', 'std must be positive', { kind: 'usage' });
    return { mean, std };
  }
  if (options.normalise !== undefined) return normalisationFor(options.normalise, channels);
  if (stored)
    return stored.channels === channels ? { mean: stored.mean, std: stored.std } : reordered(stored, channels);
  const preset: NormalisationName =
    channels === 'gray' ? 'none' : height === 32 ? 'cifar-10' : height >= 96 ? 'imagenet' : 'none';
  const { mean, std } = normalisationFor(preset, channels);
  assumed.push(`normalisation '${preset}' (mean ${mean.join(', ')}; std ${std.join(', ')})`);
  return { mean, std };
}

function reordered(stored: Preprocessing, channels: ChannelOrder): Pick<Preprocessing, 'mean' | 'std'> {
  if (stored.channels === 'gray' || channels === 'gray')
    throw new DataError('channels', `the model's metadata says '${stored.channels}'; '${channels}' does not fit`, {
      kind: 'usage',
    });
  return { mean: [...stored.mean].reverse(), std: [...stored.std].reverse() };
}

function spread(values: readonly number[], channels: ChannelOrder, what: string): readonly number[] {
  const count = channelCount[channels];
  if (values.some((value) => !Number.isFinite(value)))
    throw new DataError('normalise', `${what} must be numbers`, { kind: 'usage' });
  if (values.length === count) return channels === 'bgr' ? [...values].reverse() : values;
  if (values.length === 1) return Array.from({ length: count }, () => values[0]!);
  throw new DataError('normalise', `${what} has ${values.length} numbers, but the images have ${count} channels`, {
    kind: 'usage',
  });
}

interface ImageInput {
  readonly name: string;
  readonly channels: number | undefined;
  readonly height: number | undefined;
  readonly width: number | undefined;
}

function imageInput(model: Model): ImageInput {
  const input = requiredInputs(model.graph)[0];
  if (input === undefined) throw new DataError('no-input', 'the model has no input');
  const shape = input.type?.kind === 'tensor' ? input.type.shape : undefined;
  const [, channels, height, width] = shape ?? [];
  const fixed = (dim: typeof channels): number | undefined => (typeof dim === 'number' ? dim : undefined);
  const fits = shape === undefined || (shape.length === 4 && [undefined, 1, 3].includes(fixed(channels)));
  if (!fits || (input.type?.kind === 'tensor' && input.type.dtype !== 'float32'))
    throw new DataError(
      'layout',
      `input '${input.name}' is ${formatType(input.type)}, not images float32[N, C, H, W] with 1 or 3 channels`,
      {
        kind: 'unsupported',
        hint: 'Export the model with channels first (NCHW) and float32 input.',
      },
    );
  return { name: input.name, channels: fixed(channels), height: fixed(height), width: fixed(width) };
}
