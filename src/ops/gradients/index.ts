/** @file All gradient rules, joined from their families. */
import type { VjpRule } from '../record.js';
import { activationGradients } from './activations.js';
import { arithmeticGradients } from './arithmetic.js';
import { batchNormalizationGradients } from './batch-normalization.js';
import { controlFlowGradients } from './control-flow.js';
import { convolutionGradients } from './convolution.js';
import { cumulativeGradients } from './cumulative.js';
import { dropoutGradients } from './dropout.js';
import { einsumGradients } from './einsum.js';
import { indexingGradients } from './indexing.js';
import { linearAlgebraGradients } from './linear-algebra.js';
import { lossGradients } from './losses.js';
import { matrixGradients } from './matrix.js';
import { movementGradients } from './movement.js';
import { normalizationGradients } from './normalization.js';
import { paddingGradients } from './padding.js';
import { poolingGradients } from './pooling.js';
import { quantisationGradients } from './quantisation.js';
import { recurrentGradients } from './recurrent.js';
import { reductionGradients } from './reductions.js';
import { resizeGradients } from './resize.js';
import { signalGradients } from './signal.js';
import { sliceGradients } from './slice.js';
import { softmaxGradients } from './softmax.js';
import { unaryGradients } from './unary.js';
import { windowGradients } from './windows.js';

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
  ...controlFlowGradients,
  ...recurrentGradients,
  ...cumulativeGradients,
  ...linearAlgebraGradients,
  ...quantisationGradients,
  ...signalGradients,
  ...sliceGradients,
  ...windowGradients,
};
