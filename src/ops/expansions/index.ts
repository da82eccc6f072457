/** @file Operators that are differentiated by their parts: each spelled out in plainer ones. */
import type { ExpandRule } from '../record.js';
import { attentionExpansions } from './attention.js';
import { deformConvExpansions } from './deform-conv.js';
import { fusedExpansions } from './fused.js';
import { gridSampleExpansions } from './grid-sample.js';
import { microsoftAttentionExpansions } from './microsoft-attention.js';
import { regionExpansions } from './regions.js';
import { rotaryExpansions } from './rotary.js';
import { signalExpansions } from './signal.js';

export const expandRules: Readonly<Record<string, ExpandRule>> = {
  ...attentionExpansions,
  ...microsoftAttentionExpansions,
  ...rotaryExpansions,
  ...fusedExpansions,
  ...gridSampleExpansions,
  ...regionExpansions,
  ...deformConvExpansions,
  ...signalExpansions,
};
