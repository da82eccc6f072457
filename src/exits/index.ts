/** @file `cuttle/exits`: early exits — candidates, heads, training, policies, memo, search, progressive and baked models. Runs in Node and browsers. */
// The network and where exits can hang.
export { NotAClassifierError, readClassifier, type Classifier, type ClassifierOptions } from './classifier.js';
export { layoutOf, type Layout, type LayoutKind } from './layout.js';
export { findCandidates, type Candidate, type Candidates } from './candidates.js';
export { CandidateFilterError, filterCandidates, type CandidateFilter } from './candidates-filter.js';
export * from './heads/index.js';
export { attachExits, withWeights, type Attached } from './attach.js';
export { attachFittingExits } from './fit-heads.js';
// The progressive model.
export * from './progressive-schema.js';
export * from './progressive.js';
export * from './train-exits.js';
// Policies, designs and their files.
export * from './policies/index.js';
export type { Evidence, EvidenceName, ExitPolicy, Fallback, PolicyConfig, PolicyKind } from './policies/policy.js';
export { gateLogOdds, gateScore, type Gate, type GateFeatures } from './policies/gate.js';
export { fitGates, withGates, type FitGatesOptions } from './policies/fit-gates.js';
export { ExitProgress, type Answer } from './policies/progress.js';
export * from './design.js';
export * from './design-file.js';
// What every design is scored by, and the scores.
export * from './memo.js';
export { collectMemo, type CollectOptions, type LabelledBatch } from './collect.js';
export {
  evidenceColumn,
  exitAccuracy,
  nextStreak,
  rowEvidence,
  ScoreCollector,
  scoreTableBytes,
  scoreTables,
  type RowEvidence,
  type ScoreTables,
} from './scores.js';
export * from './calibrate.js';
export * from './thresholds.js';
export * from './evaluate.js';
export { DesignEvaluator, type QuickEvaluation } from './evaluate-bits.js';
// Costs and latency.
export * from './costs.js';
export * from './costs-file.js';
export * from './latency.js';
export * from './measure-costs.js';
export { measureDesign, type FormLatency, type MeasuredDesign, type MeasureDesignOptions } from './measure-design.js';
export * from './modes.js';
export * from './evaluate-modes.js';
export * from './batch-budget.js';
export * from './rates.js';
export * from './sdf.js';
// Search and the designs it is compared with.
export * from './search/index.js';
export * from './baselines.js';
// Running: really stopping sessions, stages, one baked file.
export {
  openProgressive,
  ProgressiveRunError,
  type ProgressiveResult,
  type ProgressiveRunOptions,
  type ProgressiveSession,
} from './session.js';
export { openAnytime, type AnytimeAnswer, type AnytimeResult, type AnytimeSession } from './anytime.js';
export { subnetOf } from './subnet.js';
export { stagesOf, type Crossing, type Stage } from './stages.js';
export { bakeDesign } from './bake.js';
export * from './bake-metadata.js';
export { allExits, exitNamesOf, openClassifier, type Classified, type OpenedClassifier } from './open-classifier.js';
export {
  evaluateClassifier,
  type ClassifierEvaluation,
  type EvaluateClassifierOptions,
} from './evaluate-classifier.js';
// The main job.
export * from './adapt/adapt.js';
export * from './adapt/budget.js';
export { type MeasuredOnTest } from './adapt/measure-found.js';
export * from './adapt/search-designs.js';
export { memoryWorkspace, type Workspace } from './adapt/workspace.js';
