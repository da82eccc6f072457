/** @file The verbs, in the order in which help lists them. */
import type { Verb } from '../verb.js';
import { adapt } from './adapt.js';
import { audit } from './audit.js';
import { bench } from './bench.js';
import { convert } from './convert.js';
import { demo } from './demo.js';
import { evaluate } from './eval.js';
import { exportModel } from './export.js';
import { inspect } from './inspect.js';
import { lab } from './lab.js';
import { merge } from './merge.js';
import { offload } from './offload.js';
import { profile } from './profile.js';
import { run } from './run.js';
import { serve } from './serve.js';
import { split } from './split.js';
import { studio } from './studio.js';
import { train } from './train.js';

export const verbs: readonly Verb[] = [
  inspect,
  profile,
  lab,
  bench,
  train,
  adapt,
  evaluate,
  run,
  merge,
  exportModel,
  convert,
  serve,
  split,
  offload,
  audit,
  studio,
  demo,
];
