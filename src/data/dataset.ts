/** @file An image classification data set in memory, and the three disjoint parts that a job works with. */
import { DataError } from './errors.js';

/** Labelled images of one size, kept as bytes: a quarter of what floats would take. */
export interface ImageDataset {
  /** `mnist/train`, for messages. */
  readonly name: string;
  /** Class names by label. */
  readonly classes: readonly string[];
  /** Number of images. */
  readonly size: number;
  /** 1 (gray) or 3 (RGB). */
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** A class index per image. */
  readonly labels: Int32Array;
  /** Samples in N×C×H×W order, 0 to 255. */
  readonly pixels: Uint8Array;
}

/** Training, calibration and test images; no image is in two of them. */
export interface DataSplits {
  readonly train: ImageDataset;
  readonly calibration: ImageDataset;
  readonly test: ImageDataset;
}

/** Bytes of one image. */
export function sampleBytes(dataset: Pick<ImageDataset, 'channels' | 'height' | 'width'>): number {
  return dataset.channels * dataset.height * dataset.width;
}

/** Checks that a data set's parts fit one another and returns it. Throws DataError. */
export function checkedDataset(dataset: ImageDataset): ImageDataset {
  const { name, size, labels, pixels, classes, channels } = dataset;
  if (channels !== 1 && channels !== 3)
    throw new DataError('channels', `${name}: images have ${channels} channels; 1 (gray) or 3 (RGB) are possible`);
  if (labels.length !== size) throw new DataError('label-count', `${name}: ${size} images but ${labels.length} labels`);
  if (pixels.length !== size * sampleBytes(dataset))
    throw new DataError(
      'pixel-count',
      `${name}: ${size} images need ${size * sampleBytes(dataset)} bytes, but there are ${pixels.length}`,
    );
  for (let i = 0; i < size; i++)
    if (labels[i]! < 0 || labels[i]! >= classes.length)
      throw new DataError(
        'label-range',
        `${name}: image ${i} has label ${labels[i]}, but there are ${classes.length} classes`,
      );
  return dataset;
}

/** The images at these positions, copied, in this order. */
export function takeSamples(dataset: ImageDataset, indices: ArrayLike<number>, name = dataset.name): ImageDataset {
  const bytes = sampleBytes(dataset);
  const pixels = new Uint8Array(indices.length * bytes);
  const labels = new Int32Array(indices.length);
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]!;
    pixels.set(dataset.pixels.subarray(from * bytes, (from + 1) * bytes), i * bytes);
    labels[i] = dataset.labels[from]!;
  }
  return { ...dataset, name, size: indices.length, labels, pixels };
}

/** One image's bytes (C×H×W), shared with the data set. */
export function samplePixels(dataset: ImageDataset, index: number): Uint8Array {
  const bytes = sampleBytes(dataset);
  return dataset.pixels.subarray(index * bytes, (index + 1) * bytes);
}

/** Images per class. */
export function classCounts(labels: Int32Array, classes: number): Int32Array {
  const counts = new Int32Array(classes);
  for (let i = 0; i < labels.length; i++) counts[labels[i]!]!++;
  return counts;
}

/** A data set without images, shaped like another. */
export function emptyLike(dataset: ImageDataset, name: string): ImageDataset {
  return { ...dataset, name, size: 0, labels: new Int32Array(0), pixels: new Uint8Array(0) };
}
