/** @file All shape rules, joined from their families. */
import type { InferRule } from '../record.js';
import { elementwiseShapes } from './elementwise.js';

export const shapeRules: Readonly<Record<string, InferRule>> = { ...elementwiseShapes };
