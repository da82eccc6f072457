/** @file The verbs, in the order in which help lists them. */
import type { Verb } from '../verb.js';

export const verbs: readonly Verb[] = [];
