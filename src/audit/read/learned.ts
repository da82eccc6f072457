/** @file Which constants of a tensor graph were learned: kernels, biases, tables and scales, not shapes, axes or anchors. */
import type { LayerFamily } from './model.js';
import { elementsOf } from './shape-rules.js';

const NEVER = /^(int64|uint64|bool|string|resource|variant|complex)/;
const FRACTION = /^(b?float|u?int(2|4|8|16)$)/;

const WEIGHTED: ReadonlySet<LayerFamily> = new Set([
  'convolution',
  'depthwise-convolution',
  'transposed-convolution',
  'dense',
  'recurrent',
  'attention',
]);

/**
 * Whether a constant input of a layer is a parameter. Layers with weights: all but shapes. Normalisation, activation and
 * elementwise layers: vectors along one axis, as biases, scales and slopes are; a constant over several axes (anchors, masks)
 * is none. Matrix products and look-ups: their matrix or table.
 */
export function isLearned(family: LayerFamily, dtype: string, shape: readonly number[], inputIndex: number): boolean {
  if (NEVER.test(dtype)) return false;
  const size = elementsOf(shape);
  if (WEIGHTED.has(family)) {
    // The shape that a transposed convolution is told to make stands first; biases of quantised layers are int32.
    if (family === 'transposed-convolution' && dtype === 'int32') return inputIndex > 2;
    return size > 0 && inputIndex > 0;
  }
  if (!FRACTION.test(dtype)) return false;
  const axes = shape.filter((dim) => dim !== 1).length;
  switch (family) {
    case 'matmul':
      return axes >= 2 || size > 16;
    case 'embedding':
      return axes >= 1;
    case 'movement':
      // A look-up by Gather: a table of vectors as its first input.
      return inputIndex === 0 && axes >= 2 && size >= 64;
    case 'normalisation':
    case 'activation':
      return inputIndex > 0 && axes <= 1 && (size > 1 || family === 'activation');
    case 'elementwise':
      return axes === 1;
    default:
      return false;
  }
}
