/** @file All shape rules, joined from their families. */
import type { InferRule } from '../record.js';
import { attentionShapes } from './attention.js';
import { classicalShapes } from './classical.js';
import { controlFlowShapes } from './control-flow.js';
import { convolutionShapes } from './convolution.js';
import { elementwiseShapes } from './elementwise.js';
import { generatingShapes } from './generating.js';
import { imagingShapes } from './imaging.js';
import { indexingShapes } from './indexing.js';
import { linalgShapes } from './linalg.js';
import { lossShapes } from './losses.js';
import { normalisationShapes } from './normalisation.js';
import { poolingShapes } from './pooling.js';
import { quantisationShapes } from './quantisation.js';
import { recurrentShapes } from './recurrent.js';
import { reductionShapes } from './reduction.js';
import { reshapingShapes } from './reshaping.js';
import { sequenceShapes } from './sequences.js';
import { signalShapes } from './signal.js';
import { slicingShapes } from './slicing.js';
import { textShapes } from './text.js';

export const shapeRules: Readonly<Record<string, InferRule>> = {
  ...attentionShapes,
  ...classicalShapes,
  ...controlFlowShapes,
  ...convolutionShapes,
  ...elementwiseShapes,
  ...generatingShapes,
  ...imagingShapes,
  ...indexingShapes,
  ...linalgShapes,
  ...lossShapes,
  ...normalisationShapes,
  ...poolingShapes,
  ...quantisationShapes,
  ...recurrentShapes,
  ...reductionShapes,
  ...reshapingShapes,
  ...sequenceShapes,
  ...signalShapes,
  ...slicingShapes,
  ...textShapes,
};
