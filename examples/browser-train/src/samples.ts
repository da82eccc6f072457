/** @file The labelled digits of the visitor, and how they are divided for training. */
import { divide, takeSamples, type DataSplits, type ImageDataset } from 'cuttle/data';

export const SIDE = 28;
export const CLASSES = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] as const;

export interface Sample {
  /** 28×28 bytes; ink is bright. */
  readonly pixels: Uint8Array;
  /** 0 to 9. */
  readonly label: number;
  readonly origin: 'embedded' | 'drawn' | 'file';
}

/** Fewer than these cannot be divided in three. */
export const FEWEST_SAMPLES = 20;

/**
 * Four fifths to train on, a tenth to watch after each epoch, a tenth to report on at the end; every class in proportion
 * and equal pictures on one side.
 */
export function splitSamples(samples: readonly Sample[], seed: number): DataSplits {
  const all = datasetOf(samples, 'digits');
  const first = divide(all, 0.2, seed);
  const held = takeSamples(all, first.taken);
  const second = divide(held, 0.5, seed);
  return {
    train: takeSamples(all, first.left, 'digits/train'),
    calibration: takeSamples(held, second.left, 'digits/calibration'),
    test: takeSamples(held, second.taken, 'digits/test'),
  };
}

/** Images per class. */
export function countByClass(samples: readonly Sample[]): readonly number[] {
  const counts = CLASSES.map(() => 0);
  for (const { label } of samples) counts[label]!++;
  return counts;
}

function datasetOf(samples: readonly Sample[], name: string): ImageDataset {
  const pixels = new Uint8Array(samples.length * SIDE * SIDE);
  samples.forEach((sample, index) => pixels.set(sample.pixels, index * SIDE * SIDE));
  const labels = Int32Array.from(samples, ({ label }) => label);
  return { name, classes: CLASSES, size: samples.length, channels: 1, height: SIDE, width: SIDE, labels, pixels };
}
