/** @file Random changes to training images: crop with padding, horizontal flip, cutout. */
import { DataError } from './errors.js';

/** Which changes to make. Values are drawn per sample and epoch, so they do not depend on batch size or order. */
export interface Augmentation {
  /** Shift by up to `padding` pixels each way; what comes in from outside is black, as torchvision's RandomCrop does. */
  readonly crop?: { readonly padding: number };
  /** Mirror left to right with probability ½. */
  readonly flip?: boolean;
  /**
   * Blank a square of `size` pixels around a random centre, clipped at the borders, to the mean
   * (DeVries & Taylor 2017, "Improved Regularization of CNNs with Cutout").
   */
  readonly cutout?: { readonly size: number };
}

/** The usual recipe for 32×32 photographs: crop with padding 4 and flip (He et al. 2016, §4.2). */
export const standardAugmentation: Augmentation = { crop: { padding: 4 }, flip: true };

/** One sample's draw. `top` and `left` say which source pixel lands in the corner: −padding … +padding. */
export interface AugmentationDraw {
  top: number;
  left: number;
  flip: boolean;
  /** First row and column of the blanked square, and those after its last; empty where equal. */
  cutTop: number;
  cutBottom: number;
  cutLeft: number;
  cutRight: number;
}

/** A draw that changes nothing, to be filled by `drawAugmentation`. */
export function identityDraw(): AugmentationDraw {
  return { top: 0, left: 0, flip: false, cutTop: 0, cutBottom: 0, cutLeft: 0, cutRight: 0 };
}

/** Throws DataError (usage) where the numbers make no sense for images of this size. */
export function checkAugmentation(augmentation: Augmentation, height: number, width: number): void {
  const { crop, cutout } = augmentation;
  const limit = Math.min(height, width);
  const wrong = (value: number, from: number): boolean => !Number.isInteger(value) || value < from || value > limit;
  if (crop && wrong(crop.padding, 0))
    throw new DataError('augment', `crop padding ${crop.padding} does not fit ${height}×${width} images`, {
      kind: 'usage',
    });
  if (cutout && wrong(cutout.size, 1))
    throw new DataError('augment', `cutout size ${cutout.size} does not fit ${height}×${width} images`, {
      kind: 'usage',
    });
}

/**
 * Draws for the sample at position `index` in this epoch, into `draw`. The five random words come from a counter-based
 * hash of (seed, epoch, index), so any sample's draw can be found without the others': resuming needs no replay.
 */
export function drawAugmentation(
  augmentation: Augmentation,
  size: { readonly height: number; readonly width: number },
  seed: number,
  epoch: number,
  index: number,
  draw: AugmentationDraw,
): void {
  const { height, width } = size;
  let state = mix(mix(mix(seed | 0) ^ (epoch | 0)) ^ (index | 0));
  const below = (n: number): number => {
    state = (state + 0x9e3779b9) | 0;
    return Math.floor(((mix(state) >>> 0) / 4294967296) * n);
  };
  const padding = augmentation.crop?.padding ?? 0;
  draw.top = below(2 * padding + 1) - padding;
  draw.left = below(2 * padding + 1) - padding;
  draw.flip = augmentation.flip === true && below(2) === 1;
  const cut = augmentation.cutout?.size ?? 0;
  const row = below(height) - (cut >> 1);
  const column = below(width) - (cut >> 1);
  draw.cutTop = Math.max(0, row);
  draw.cutBottom = cut === 0 ? draw.cutTop : Math.min(height, row + cut);
  draw.cutLeft = Math.max(0, column);
  draw.cutRight = cut === 0 ? draw.cutLeft : Math.min(width, column + cut);
}

/** The finaliser of splitmix32: every input bit changes every output bit with probability near ½. */
export function mix(value: number): number {
  let z = (value + 0x9e3779b9) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return z ^ (z >>> 15);
}
