/** @file Two runs compared: last year's snapshot and this year's. */
import { CuttleError } from '../../ir/index.js';
import { joinPath, readJson } from '../../platform/node/files.js';
import { compareSnapshots, type SnapshotComparison } from '../analyse/compare-snapshots.js';
import type { AppRecord } from '../record.js';
import { recordIn, runFiles, type IngestOptions } from './ingest.js';
import { countedModels } from './record-rows.js';
import { StoreError } from './store-error.js';

/** What a comparison of two runs says, and how many files could not be read. */
export interface RunComparison extends SnapshotComparison {
  readonly rejected: number;
}

/** Compares the records of two runs' folders. Throws StoreError of kind 'invalid' where a folder holds none; FileError. */
export async function compareRuns(before: string, after: string, options: IngestOptions = {}): Promise<RunComparison> {
  const old = await slimRecords(before, options);
  const now = await slimRecords(after, options);
  return { ...compareSnapshots(old.records, now.records), rejected: old.rejected + now.rejected };
}

/** All records of a run with what a comparison looks at: of 16,000 apps the rest would fill the memory. */
async function slimRecords(
  folder: string,
  { signal, onProgress }: IngestOptions,
): Promise<{ readonly records: readonly AppRecord[]; readonly rejected: number }> {
  const files = (await runFiles(folder)).filter(({ file }) => file.startsWith('records/'));
  if (files.length === 0)
    throw new StoreError('invalid', 'no-run', `'${folder}' is not the folder of an audit: it holds no records`, {
      hint: 'Make one: cuttle audit APPS --out FOLDER',
    });
  const records: AppRecord[] = [];
  let rejected = 0;
  for (const [i, { file }] of files.entries()) {
    signal?.throwIfAborted();
    try {
      records.push(slim(recordIn(await readJson(joinPath(folder, file)), file)));
    } catch (cause) {
      if (!(cause instanceof CuttleError && cause.kind === 'invalid') && !(cause instanceof TypeError)) throw cause;
      rejected++;
    }
    onProgress?.(i + 1, files.length);
  }
  return { records, rejected };
}

function slim(record: AppRecord): AppRecord {
  const { app } = record;
  const seen = new Map((app?.evidence ?? []).map((evidence) => [evidence.subject, { ...evidence, examples: [] }]));
  return {
    ...record,
    app: app && { ...app, parts: [], libraries: [], problems: [], evidence: [...seen.values()] },
    models: countedModels(record),
  };
}
