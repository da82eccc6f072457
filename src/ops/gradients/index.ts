/** @file All gradient rules, joined from their families. */
import type { VjpRule } from '../record.js';
import { activationGradients } from './activations.js';
import { arithmeticGradients } from './arithmetic.js';
import { batchNormalizationGradients } from './batch-normalization.js';
import { convolutionGradients } from './convolution.js';
import { lossGradients } from './losses.js';
import { matrixGradients } from './matrix.js';
import { movementGradients } from './movement.js';
import { poolingGradients } from './pooling.js';
import { reductionGradients } from './reductions.js';
import { softmaxGradients } from './softmax.js';
import { unaryGradients } from './unary.js';

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
};
