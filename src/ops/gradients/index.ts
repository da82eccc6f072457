/** @file All gradient rules, joined from their families. */
import type { VjpRule } from '../record.js';
import { activationGradients } from './activations.js';
import { arithmeticGradients } from './arithmetic.js';
import { batchNormalizationGradients } from './batch-normalization.js';
import { convolutionGradients } from './convolution.js';
import { dropoutGradients } from './dropout.js';
import { einsumGradients } from './einsum.js';
import { indexingGradients } from './indexing.js';
import { lossGradients } from './losses.js';
import { matrixGradients } from './matrix.js';
import { movementGradients } from './movement.js';
import { normalizationGradients } from './normalization.js';
import { paddingGradients } from './padding.js';
import { poolingGradients } from './pooling.js';
import { reductionGradients } from './reductions.js';
import { resizeGradients } from './resize.js';
import { softmaxGradients } from './softmax.js';
import { unaryGradients } from './unary.js';

export { gradientNotes } from './notes.js';

export const gradientRules: Readonly<Record<string, VjpRule>> = {
  ...arithmeticGradients,
  ...unaryGradients,
  ...activationGradients,
  ...convolutionGradients,
  ...batchNormalizationGradients,
  ...poolingGradients,
  ...matrixGradients,
  ...reductionGradients,
  ...movementGradients,
  ...softmaxGradients,
  ...lossGradients,
  ...normalizationGradients,
  ...dropoutGradients,
  ...indexingGradients,
  ...paddingGradients,
  ...resizeGradients,
  ...einsumGradients,
};
