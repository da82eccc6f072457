/** @file Everything of `cuttle/audit`, with native zlib and temporary files. Node only. */
export * from './index.js';
export { nodeHost } from './node-host.js';
export { auditToRecord, type Analyser, type ToRecordOptions } from './run/to-record.js';
export {
  DEFAULT_WORKER_BYTES,
  localExecutor,
  modelBytesWithin,
  type Executor,
  type WorkerOptions,
} from './run/executor.js';
export { readRecords, RunFolder, type JournalEntry, type Plan, type RunFile } from './run/folder.js';
export type { AuditJob, JobOutcome } from './run/outcome.js';
export {
  runAudit,
  type Fetch,
  type FetchedItem,
  type RunOptions,
  type RunProgress,
  type RunSummary,
  type Unaudited,
} from './run/run.js';
export { findFiles, type FilesFound } from './sources/files.js';
export type { PlanItem } from './sources/item.js';
