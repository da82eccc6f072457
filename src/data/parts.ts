/** @file From the parts that the data names to training, calibration and test images. */
import { type PartName } from './arrange.js';
import { emptyLike, takeSamples, type DataSplits, type ImageDataset } from './dataset.js';
import { DataError, type BadFile } from './errors.js';
import { divide, sharedImages } from './split.js';

/** A source as it was read, before anything is split by seed. */
export interface RawData {
  readonly parts: Partial<Record<PartName, ImageDataset>>;
  readonly bad: readonly BadFile[];
  readonly notes: readonly string[];
}

export interface SplitOptions {
  readonly seed: number;
  /** Share of the images it is taken from that becomes the calibration set; 0.1 of training, 0.5 of test images by default. */
  readonly calibrationFraction?: number;
  /** Number of calibration images, about; every class in proportion. */
  readonly calibrationSize?: number;
  /**
   * Where calibration images come from if the data has no `val` part beside its test part. `test` divides the test images
   * (half by default): right for a network that was trained elsewhere on the training images, which it knows too well to be
   * calibrated on. Default `train`.
   */
  readonly calibrateOn?: 'train' | 'test';
  /** Share of all images that becomes the test set, where the data names none. Default 0.2. */
  readonly testFraction?: number;
  /** `test`: only test images are needed, so the data may lack training images. Default `train`. */
  readonly use?: 'train' | 'test';
}

/**
 * Training, calibration and test images. Named parts stand as such (`val` calibrates where there is a test part, else it
 * is the test part); what is missing is taken from the training images by seed. Throws DataError where a part is empty.
 */
export function splitParts(raw: RawData, options: SplitOptions): { splits: DataSplits; notes: readonly string[] } {
  const { seed, testFraction = 0.2, use = 'train' } = options;
  checkFraction('test fraction', testFraction);
  const notes = [...raw.notes];
  const { all, val } = raw.parts;
  let train = raw.parts.train ?? all;
  let test = raw.parts.test ?? val;
  const calibrating = raw.parts.test && val;
  if (train === undefined) {
    if (test === undefined) throw new DataError('empty', 'the data holds no images');
    if (use === 'train')
      throw new DataError('no-train', `${test.name}: there are test images but no training images`, {
        hint: 'Add a train folder beside the test folder.',
      });
    train = emptyLike(test, 'train');
  }
  if (test === undefined) {
    const { taken, left } = divide(train, testFraction, seed);
    const whole = train;
    test = named(takeSamples(whole, taken), 'test');
    train = named(takeSamples(whole, left), 'train');
    notes.push(`no test part: ${test.size} of ${whole.size} images held out for testing by seed ${seed}`);
  }
  let calibration: ImageDataset;
  if (calibrating) calibration = calibrating;
  else if (options.calibrateOn === 'test') {
    const whole = test;
    const { taken, left } = divide(whole, calibrationShare(options, whole.size, 0.5), seed + 1);
    calibration = named(takeSamples(whole, taken), 'calibration');
    test = named(takeSamples(whole, left), 'test');
    notes.push(
      `${calibration.size} of ${whole.size} test images calibrate; accuracy is reported on the other ${test.size}`,
    );
  } else if (train.size === 0) calibration = emptyLike(test, 'calibration');
  else {
    const fraction = calibrationShare(options, train.size, 0.1);
    const { taken, left } = divide(train, fraction, seed + 1);
    const whole = train;
    calibration = named(takeSamples(whole, taken), 'calibration');
    train = named(takeSamples(whole, left), 'train');
  }
  if (use === 'train')
    for (const [part, dataset] of [
      ['training', train],
      ['calibration', calibration],
      ['test', test],
    ] as const)
      if (dataset.size === 0)
        throw new DataError('too-few', `too few images: none is left for the ${part} set`, {
          hint: 'Give at least a few images of every class.',
        });
  if (test.size === 0) throw new DataError('too-few', 'there are no test images');
  const shared = sharedImages(train, test);
  if (shared > 0)
    notes.push(
      `${shared} of ${test.size} test images also occur, pixel for pixel, among the training images as published`,
    );
  return { splits: { train, calibration, test }, notes };
}

function calibrationShare(options: SplitOptions, available: number, usual: number): number {
  if (options.calibrationSize !== undefined) {
    const size = options.calibrationSize;
    if (!Number.isInteger(size) || size < 1 || size >= available)
      throw new DataError('calibration-size', `a calibration set of ${size} cannot be taken from ${available} images`, {
        kind: 'usage',
      });
    return size / available;
  }
  const fraction = options.calibrationFraction ?? usual;
  checkFraction('calibration fraction', fraction);
  return fraction;
}

function checkFraction(what: string, value: number): void {
  if (!(value > 0 && value < 1))
    throw new DataError('fraction', `the ${what} must lie between 0 and 1, not ${value}`, { kind: 'usage' });
}

function named(dataset: ImageDataset, part: string): ImageDataset {
  return { ...dataset, name: `${dataset.name.replace(/\/[^/]*$/, '')}/${part}` };
}
