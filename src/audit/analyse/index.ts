/** @file `audit/analyse`: what models are for, how they are built and optimised, which are the same or descend from another. */
export { analyseModel, type AnalysisContext } from './analyse-model.js';
export type {
  Judgement,
  KnownMatch,
  LayerIdentity,
  Modality,
  ModelAnalysis,
  ModelIdentity,
  TaskGuess,
  WeightStatistics,
} from './analysis.js';
export { portableHasher, type Hasher, type HasherFactory } from './hasher.js';
export {
  modelLineage,
  relationOf,
  type Direction,
  type Lineage,
  type LineageClass,
  type LineageModel,
  type LineageOptions,
  type Relation,
  type RelationKind,
} from './lineage.js';
export {
  compareSnapshots,
  type ChangeCounts,
  type ModelChange,
  type ModelStep,
  type SnapshotComparison,
  type SubjectGrowth,
} from './compare-snapshots.js';
export type { KnownModel } from './known-model.js';
export { knownModels } from './known-models.js';
export { knownModelOf, parseKnownModels, recogniseModel } from './recognise.js';
