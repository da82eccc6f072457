/** @file The store of an audit: one DuckDB file, questions to it, exports, the study's figures. Node only. */
export { compareRuns, type RunComparison } from './compare.js';
export { queryStore, type QueryOptions } from './query.js';
export type { PlainRow, PlainValue, QueryResult } from './database.js';
export { exportFormats, exportStore, type ExportFormat, type ExportOptions } from './export.js';
export { STORE_FILE, updateStore, type StoreUpdate } from './open-store.js';
export type { IngestOptions, RejectedFile } from './ingest.js';
export { storeTables, STORE_VERSION, type ColumnType, type StoreColumn, type StoreTable } from './schema.js';
export { StoreError } from './store-error.js';
export { cycloneDx, type BomApp, type BomData, type BomModel, type BomOccurrence, type BomUse } from './cyclonedx.js';
export {
  defaultStudyLimits,
  sharesOf,
  type AppEntry,
  type AppFinding,
  type AuditStudy,
  type CategoryCount,
  type Counted,
  type LineageEdge,
  type LineageSummary,
  type MeasuredModel,
  type ModelEntry,
  type Optimisations,
  type PublicModel,
  type Share,
  type SizeBin,
  type StudyLimits,
  type SubjectUse,
  type TaskCount,
  type Uniqueness,
} from './study.js';
export { studyOf } from './study-of.js';
