/** @file Architectures by name. */
import { CuttleError, type Model } from '../ir/index.js';
import { digitsCnn, lenet } from './digits.js';
import type { ArchitectureOptions } from './layers.js';
import { rowClassifier } from './recurrent.js';
import { mobilenetV2 } from './mobilenet-v2.js';
import { resnet } from './resnet.js';
import { vgg } from './vgg.js';

export interface Architecture {
  /** Canonical name, as the command line lists it. */
  readonly name: string;
  readonly summary: string;
  /** Smallest image side that it accepts. */
  readonly minimumSize: number;
  /** Whether it can be built with other channels than published (`ArchitectureOptions.width`). */
  readonly scales?: boolean;
  readonly build: (options: ArchitectureOptions) => Model;
}

const resnetOf = (depth: number): Architecture => ({
  name: `resnet-${depth}`,
  summary: `CIFAR-style residual network of depth ${depth}`,
  minimumSize: 4,
  scales: true,
  build: (options) => resnet(`resnet-${depth}`, depth, options),
});

const vggOf = (depth: 11 | 16): Architecture => ({
  name: `vgg-${depth}`,
  summary: `VGG-${depth} with batch normalisation, small-input form`,
  minimumSize: 4,
  build: (options) => vgg(`vgg-${depth}`, depth, options),
});

const mobilenetV2Of = (width: number): Architecture => {
  const name = width === 1 ? 'mobilenet-v2' : `mobilenet-v2-${width}`;
  return {
    name,
    summary: `MobileNetV2, CIFAR form, width multiplier ${width}`,
    minimumSize: 8,
    build: (options) => mobilenetV2(name, width, options),
  };
};

/** Every architecture of the zoo, in the order in which they are listed. */
export const architectures: readonly Architecture[] = [
  ...[8, 20, 32, 56].map(resnetOf),
  vggOf(11),
  vggOf(16),
  ...[0.25, 0.5, 0.75, 1].map(mobilenetV2Of),
  { name: 'lenet-5', summary: 'LeNet-5 with ReLU and max pooling', minimumSize: 12, build: (o) => lenet('lenet-5', o) },
  {
    name: 'digits-cnn',
    summary: 'Eight-layer CNN for digits, trains in seconds',
    minimumSize: 8,
    build: (o) => digitsCnn('digits-cnn', o),
  },
  {
    name: 'lstm-rows',
    summary: 'Two layers of LSTM of 128 units that read an image row by row',
    minimumSize: 1,
    build: (o) => rowClassifier('lstm-rows', o, { cell: 'LSTM', hidden: 128, layers: 2 }),
  },
];

/** A name that the zoo does not have, or options that an architecture cannot be built with. Exit code 2. */
export class ArchitectureError extends CuttleError {
  constructor(message: string, hint: string) {
    super('usage', 'zoo/architecture', message, { hint });
  }
}

/** The architecture of that name; hyphens and case do not matter. Throws ArchitectureError for an unknown name. */
export function findArchitecture(name: string): Architecture {
  const key = normalise(name);
  const found = architectures.find((architecture) => normalise(architecture.name) === key);
  if (found !== undefined) return found;
  throw new ArchitectureError(
    `there is no architecture '${name}'`,
    `Choose one of ${architectures.map((architecture) => architecture.name).join(', ')}.`,
  );
}

/**
 * The architecture of that name with fresh weights: input `input` float32 [batch, C, H, W], output `logits`
 * float32 [batch, classes], opset EMIT_OPSET, BatchNormalization in inference form. Hyphens and case do not matter
 * (`ResNet20` is `resnet-20`). Throws ArchitectureError for an unknown name or impossible options.
 */
export function buildArchitecture(name: string, options: ArchitectureOptions): Model {
  const found = findArchitecture(name);
  const { classes, input } = options;
  if (!Number.isInteger(classes) || classes < 2)
    throw new ArchitectureError(`${found.name} cannot have ${classes} classes`, 'Give at least two classes.');
  const [channels, height, width] = input;
  if (!input.every((dim) => Number.isInteger(dim) && dim > 0) || Math.min(height, width) < found.minimumSize)
    throw new ArchitectureError(
      `${found.name} cannot take images of ${channels}×${height}×${width}`,
      `Images must be at least ${found.minimumSize} pixels high and wide.`,
    );
  if (options.width !== undefined && !(found.scales && options.width > 0 && options.width < Infinity))
    throw new ArchitectureError(
      `${found.name} cannot be ${options.width} times as wide`,
      found.scales ? 'Give a positive factor.' : 'Leave the width out, or choose a residual network.',
    );
  return found.build(options);
}

const normalise = (name: string): string => name.toLowerCase().replaceAll(/[-_ ]/g, '');
