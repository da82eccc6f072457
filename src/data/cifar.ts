/** @file The binary version of CIFAR-10 and CIFAR-100: fixed-length records of label bytes and three planes. */
import { type ImageDataset } from './dataset.js';
import { DataError } from './errors.js';

export const CIFAR_SIDE = 32;
const IMAGE_BYTES = 3 * CIFAR_SIDE * CIFAR_SIDE;

/** The two published layouts (https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version"). */
export const cifarLayouts = {
  'cifar-10': {
    labelBytes: 1,
    /** Which of a record's label bytes is the class. */
    label: 0,
    classes: 10,
    train: ['data_batch_1.bin', 'data_batch_2.bin', 'data_batch_3.bin', 'data_batch_4.bin', 'data_batch_5.bin'],
    test: ['test_batch.bin'],
    names: 'batches.meta.txt',
  },
  'cifar-100': {
    labelBytes: 2,
    label: 1,
    classes: 100,
    train: ['train.bin'],
    test: ['test.bin'],
    names: 'fine_label_names.txt',
  },
} as const;

export type CifarVariant = keyof typeof cifarLayouts;

/** Class names from the text file that comes with the batches: one a line. Throws DataError where their number is wrong. */
export function parseCifarNames(text: string, variant: CifarVariant): readonly string[] {
  const names = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const { classes, names: file } = cifarLayouts[variant];
  if (names.length !== classes)
    throw new DataError('cifar-names', `${file} lists ${names.length} class names; ${variant} has ${classes}`);
  return names;
}

/**
 * One data set of one or more batch files, in order. Files are whole records of 3,073 (CIFAR-10) or 3,074 (CIFAR-100)
 * bytes: label byte(s), then the red, green and blue planes. Throws DataError naming the file otherwise.
 */
export function parseCifar(
  files: readonly { readonly name: string; readonly bytes: Uint8Array }[],
  variant: CifarVariant,
  classes: readonly string[],
  name: string,
): ImageDataset {
  const { labelBytes, label } = cifarLayouts[variant];
  const record = labelBytes + IMAGE_BYTES;
  let size = 0;
  for (const file of files) {
    if (file.bytes.length === 0 || file.bytes.length % record !== 0)
      throw new DataError(
        'cifar-size',
        `${file.name} has ${file.bytes.length} bytes; a ${variant} batch is a whole number of ${record}-byte records`,
      );
    size += file.bytes.length / record;
  }
  const pixels = new Uint8Array(size * IMAGE_BYTES);
  const labels = new Int32Array(size);
  let at = 0;
  for (const { name: file, bytes } of files)
    for (let start = 0; start < bytes.length; start += record, at++) {
      const value = bytes[start + label]!;
      if (value >= classes.length)
        throw new DataError(
          'label-range',
          `${file}: record ${start / record} has label ${value}, but ${variant} has ${classes.length} classes`,
        );
      labels[at] = value;
      pixels.set(bytes.subarray(start + labelBytes, start + record), at * IMAGE_BYTES);
    }
  return { name, classes, size, channels: 3, height: CIFAR_SIDE, width: CIFAR_SIDE, labels, pixels };
}
