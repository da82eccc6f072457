/** @file Foreign JSON, whose values may be anything. */
import type { ReadBudget } from './limits.js';

export type Json = unknown;

/** Parses JSON. Throws AuditError where it is none. */
export function jsonOf(bytes: Uint8Array, budget: ReadBudget): Json {
  if (bytes.length > Math.min(budget.limits.maxFileBytes, 2 ** 29))
    throw budget.invalid('limit', `it has ${bytes.length} bytes`);
  budget.spend(bytes.length >>> 6);
  return parsedJson(new TextDecoder().decode(bytes), budget);
}

/** Parses JSON from text. Throws AuditError where it is none. */
export function parsedJson(json: string, budget: ReadBudget): Json {
  try {
    return JSON.parse(json) as Json;
  } catch (cause) {
    throw budget.invalid('json', cause instanceof Error ? cause.message : 'no JSON');
  }
}

/** The value as an object; an empty one where it is none. */
export function record(value: Json): Readonly<Record<string, Json>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, Json>) : {};
}

/** The value as a list; an empty one where it is none. */
export function list(value: Json): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

/** The value as text; empty where it is none. */
export function text(value: Json): string {
  return typeof value === 'string' ? value.slice(0, 4096) : '';
}
