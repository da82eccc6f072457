/** @file Everything of `cuttle/audit`, with native zlib and temporary files. Node only. */
export * from './index.js';
export { nodeHost } from './node-host.js';
export { openSha256 as nativeHasher } from '../platform/node/hash.js';
export { auditToRecord, type Analyser, type ToRecordOptions } from './run/to-record.js';
export {
  DEFAULT_WORKER_BYTES,
  localExecutor,
  modelBytesWithin,
  type Executor,
  type WorkerOptions,
} from './run/executor.js';
export { readRecords, recordedItems, RunFolder, type JournalEntry, type Plan, type RunFile } from './run/folder.js';
export type { AuditJob, JobOutcome } from './run/outcome.js';
export { queueExecutor, serveQueue, type QueueOptions, type ServeOptions } from './run/queue.js';
export {
  runAudit,
  type Fetch,
  type FetchedItem,
  type RunOptions,
  type RunProgress,
  type RunSummary,
  type Unaudited,
} from './run/run.js';
export { fdroidItems, type FdroidOptions } from './sources/fdroid.js';
export { FetchError, Fetcher, type FetcherOptions, type FileWanted } from './sources/fetcher.js';
export { findFiles, type FilesFound } from './sources/files.js';
export { ANDROZOO_URL, androzooItems, urlItems } from './sources/lists.js';
export { remoteFetch, type RemoteOptions } from './sources/remote.js';
export type { Manners } from './sources/hosts.js';
export type { PlanItem } from './sources/item.js';
export { extractModels, type ExtractedModel, type ExtractOptions, type Extraction } from './run/extract.js';
export type { Measurement } from './measurement.js';
