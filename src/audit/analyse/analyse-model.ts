/** @file All that analysis says of one model. */
import type { AuditModel } from '../read/model.js';
import { peakActivationBytes } from './activation-memory.js';
import type { ModelAnalysis } from './analysis.js';
import { architectureOf } from './architecture.js';
import { portableHasher, type HasherFactory } from './hasher.js';
import { modelIdentity } from './identity.js';
import type { KnownModel } from './known-model.js';
import { licencesIn } from './licences.js';
import { recogniseModel } from './recognise.js';
import { taskOf } from './task.js';
import { trainingEvidence } from './training.js';
import { weightStatistics } from './weight-statistics.js';

/** What is known beside the model itself. */
export interface AnalysisContext {
  /** Path of the file, with the folders that it lies in. */
  readonly path: string;
  /** Names of its classes, where a neighbouring file lists them. */
  readonly labels?: readonly string[];
  /** Texts of neighbouring files that may be licences. */
  readonly licenceTexts?: readonly string[];
  /** SHA-256 of the bytes that belong to it, hexadecimal. */
  readonly sha256?: string;
  /** Public models to recognise; `knownModels` where omitted. */
  readonly known?: readonly KnownModel[];
  /** A faster SHA-256 than the portable one; the result is the same. */
  readonly hasher?: HasherFactory;
}

/** Analyses one model: what it is for, how it is built, how it was optimised, what identifies it. Pure; reads every weight once or twice. */
export function analyseModel(model: AuditModel, context: AnalysisContext): ModelAnalysis {
  const families: Record<string, number> = {};
  const operators: Record<string, number> = {};
  for (const { family, op } of model.layers) {
    families[family] = (families[family] ?? 0) + 1;
    // An operator of a hostile file may have any name: own keys only.
    operators[safeKey(op)] = (operators[safeKey(op)] ?? 0) + 1;
  }
  const identity = modelIdentity(model, context.hasher ?? portableHasher);
  const known = recogniseModel(identity, context.sha256, context.known);
  return {
    task: taskOf(model, context),
    architecture: architectureOf(model),
    families,
    operators,
    peakActivationBytes: peakActivationBytes(model),
    weights: weightStatistics(model),
    identity,
    ...(known ? { known } : {}),
    training: trainingEvidence(model),
    licences: licencesIn(model.metadata, context.licenceTexts),
  };
}

const safeKey = (op: string): string => (op in Object.prototype ? `${op}_` : op);
