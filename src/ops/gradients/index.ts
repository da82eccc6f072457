/** @file All gradient rules, joined from their families. */
import type { VjpRule } from '../record.js';

export const gradientRules: Readonly<Record<string, VjpRule>> = {};
