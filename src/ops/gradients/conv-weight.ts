/**
 * @file The gradient of a convolution with respect to its weights. ONNX has no operator for it; of the formulations
 * that ordinary operators allow, the one that suits the shapes is emitted (measured: bench/conv-gradient).
 */
import type { VjpContext } from '../record.js';
import { all } from './conv-geometry.js';
import type { Convolution } from './conv-input.js';
import { columnPairsGradient, isPlainDepthwise } from './conv-weight-columns.js';
import { canFoldRows, canMoveOutput, foldedRowsGradient, movedOutputGradient } from './conv-weight-kernel.js';
import { isPlainPointwise, pointwiseWeightGradient } from './conv-weight-pointwise.js';
import { tapByTapGradient } from './conv-weight-taps.js';

interface Formulation {
  readonly applies: (conv: Convolution) => boolean;
  readonly emit: (c: VjpContext, conv: Convolution) => string;
}

const FORMULATIONS = {
  'moved-output': { applies: canMoveOutput, emit: movedOutputGradient },
  'folded-rows': { applies: canFoldRows, emit: foldedRowsGradient },
  'per-image': { applies: isPlainPointwise, emit: pointwiseWeightGradient },
  'column-pairs': { applies: isPlainDepthwise, emit: columnPairsGradient },
  taps: { applies: () => true, emit: tapByTapGradient },
} satisfies Readonly<Record<string, Formulation>>;

type Name = keyof typeof FORMULATIONS;

/** dW [M, C/group, kernel…] of any convolution whose spatial dims are known; the batch may be symbolic. */
export function convWeightGradient(c: VjpContext, conv: Convolution): string {
  const names = (Object.keys(FORMULATIONS) as Name[]).filter((name) => FORMULATIONS[name].applies(conv));
  return FORMULATIONS[c.choose('conv-weight', 1, names, preferred(conv))].emit(c, conv);
}

function preferred(conv: Convolution): Name {
  const { groups, channels, filters, window, xShape } = conv;
  if (all(window.kernel, 1)) {
    // The products per image are summed afterwards: cheap while they are small against the maps.
    const area = xShape.slice(2).reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : 1), 1);
    return isPlainPointwise(conv) && channels * filters <= 2 * (channels + filters) * area ? 'per-image' : 'taps';
  }
  if (isPlainDepthwise(conv)) return 'column-pairs';
  if (groups > 1 && groups === channels) return 'taps';
  if (canMoveOutput(conv)) return 'moved-output';
  return canFoldRows(conv) ? 'folded-rows' : 'taps';
}
