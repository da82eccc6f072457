/** @file All shape rules, joined from their families. */
import type { InferRule } from '../record.js';
import { convolutionShapes } from './convolution.js';
import { elementwiseShapes } from './elementwise.js';
import { generatingShapes } from './generating.js';
import { imagingShapes } from './imaging.js';
import { indexingShapes } from './indexing.js';
import { linalgShapes } from './linalg.js';
import { normalisationShapes } from './normalisation.js';
import { poolingShapes } from './pooling.js';
import { reductionShapes } from './reduction.js';
import { reshapingShapes } from './reshaping.js';
import { slicingShapes } from './slicing.js';

export const shapeRules: Readonly<Record<string, InferRule>> = {
  ...convolutionShapes,
  ...elementwiseShapes,
  ...generatingShapes,
  ...imagingShapes,
  ...indexingShapes,
  ...linalgShapes,
  ...normalisationShapes,
  ...poolingShapes,
  ...reductionShapes,
  ...reshapingShapes,
  ...slicingShapes,
};
