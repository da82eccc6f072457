/** @file `cuttle/data`: data sets in memory, preprocessing, augmentation and batches. Pure; file sources are in `node.ts`. */
export {
  checkAugmentation,
  drawAugmentation,
  standardAugmentation,
  type Augmentation,
  type AugmentationDraw,
} from './augment.js';
export * from './batches.js';
export * from './cifar.js';
export * from './classes.js';
export * from './dataset.js';
export * from './errors.js';
export * from './idx.js';
export { preprocessBlob, preprocessPixels } from './pixels.js';
export * from './preprocessing.js';
export * from './resize.js';
export * from './split.js';
export * from './text.js';
