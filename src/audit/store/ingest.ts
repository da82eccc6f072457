/** @file Takes the files of a run into the store: only what changed, the same result in whatever order and however often. */
import { CuttleError } from '../../ir/index.js';
import { joinPath, listFolder, fileInfo, readJson } from '../../platform/node/files.js';
import type { AppRecord } from '../record.js';
import type { Cell, Database } from './database.js';
import { lineageRows } from './lineage-rows.js';
import { measurementRow, parseMeasurements } from './measurement-rows.js';
import { appRows, modelRows, type AppRows, type ModelRows } from './record-rows.js';
import { appTables, modelTables, ownTables, tableNamed, type AppTable, type ModelTable } from './schema.js';
import { StoreError } from './store-error.js';

/** A file of a run, as the folder lists it. */
export interface RunFile {
  /** Relative to the run's folder: `records/….json`. */
  readonly file: string;
  readonly bytes: number;
  readonly modified: number;
}

/** A file that could not be taken in. */
export interface RejectedFile {
  readonly file: string;
  readonly reason: string;
}

export interface IngestOptions {
  readonly signal?: AbortSignal;
  /** Hears how many of the changed files are done. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Files of one transaction: what a kill can cost. */
const BATCH = 200;

const appTableNames = Object.keys(appTables) as readonly AppTable[];
const modelTableNames = Object.keys(modelTables) as readonly ModelTable[];
const ownTable = (name: string) => ownTables.find((table) => table.name === name)!;

/** All records and measurements of a run. Throws FileError where the folder cannot be read. */
export async function runFiles(folder: string): Promise<readonly RunFile[]> {
  const found: RunFile[] = [];
  for (const part of ['records', 'measurements']) {
    const path = joinPath(folder, part);
    if ((await fileInfo(path))?.kind !== 'folder') continue;
    const entries = (await listFolder(path)).filter(({ name, kind }) => kind === 'file' && name.endsWith('.json'));
    for (const { name, path: full } of entries) {
      const info = await fileInfo(full);
      if (info !== undefined) found.push({ file: `${part}/${name}`, bytes: info.size, modified: info.modifiedMs });
    }
  }
  return found;
}

/** Which files are new, changed or gone since they were last taken in, and whether the last time was cut short. */
export interface Changes {
  readonly changed: readonly RunFile[];
  readonly gone: readonly string[];
  readonly isUnfinished: boolean;
}

/** Compares the store with the folder. */
export async function findChanges(database: Database, files: readonly RunFile[]): Promise<Changes> {
  const rows = await database.rows('SELECT file, bytes, modified FROM store_files');
  const known = new Map(rows.map((row) => [row['file'] as string, row]));
  const present = new Set(files.map(({ file }) => file));
  const state = await database.rows(`SELECT value FROM store_state WHERE key = 'complete'`);
  return {
    changed: files.filter(({ file, bytes, modified }) => {
      const row = known.get(file);
      return row === undefined || row['bytes'] !== bytes || row['modified'] !== modified;
    }),
    gone: [...known.keys()].filter((file) => !present.has(file)),
    isUnfinished: state[0]?.['value'] !== 'yes',
  };
}

/** Brings the store up to date. A kill at any moment leaves a store that the next call completes. Throws FileError, StoreError. */
export async function ingest(
  database: Database,
  folder: string,
  files: readonly RunFile[],
  changes: Changes,
  options: IngestOptions = {},
): Promise<void> {
  const byName = new Map(files.map((file) => [file.file, file]));
  const again = await forget(database, [...changes.changed.map(({ file }) => file), ...changes.gone]);
  const wanted = new Map(changes.changed.map((file) => [file.file, file]));
  for (const name of again) {
    const file = byName.get(name);
    if (file !== undefined) wanted.set(name, file);
  }
  const models = new KnownModels(await database.rows('SELECT id, is_read, source_app FROM models'));
  const list = [...wanted.values()];
  for (let at = 0; at < list.length; at += BATCH) {
    options.signal?.throwIfAborted();
    await takeBatch(database, folder, list.slice(at, at + BATCH), models);
    options.onProgress?.(Math.min(list.length, at + BATCH), list.length);
  }
  await inTransaction(database, async () => {
    await database.run('DELETE FROM lineage');
    await database.append(tableNamed('lineage'), await lineageRows(database));
    await database.run(`DELETE FROM store_state WHERE key = 'complete'`);
    await database.run(`INSERT INTO store_state VALUES ('complete', 'yes')`);
  });
  await database.run('CHECKPOINT');
}

/**
 * Removes all that came from some files, and models whose facts did. Gives the records that hold these models, too: their facts
 * must come from there.
 */
async function forget(database: Database, files: readonly string[]): Promise<readonly string[]> {
  const list = (names: readonly string[]): Promise<void> =>
    database.append(
      { name: 'gone', what: '', columns: [{ name: 'file', type: 'text', what: '' }] },
      names.map((name) => [name]),
    );
  return inTransaction(database, async () => {
    await database.run(`DELETE FROM store_state WHERE key = 'complete'`);
    await database.run('CREATE OR REPLACE TEMP TABLE gone (file VARCHAR)');
    await list(files);
    const appsGone = `SELECT file[9:-6] FROM gone WHERE starts_with(file, 'records/')`;
    const orphans = `SELECT id FROM models WHERE source_app IN (${appsGone})`;
    const rows = await database.rows(
      `SELECT DISTINCT 'records/' || app || '.json' AS file FROM occurrences
       WHERE model IN (${orphans}) AND app NOT IN (${appsGone}) ORDER BY 1`,
    );
    const others = rows.map((row) => row['file'] as string);
    await database.run(`CREATE OR REPLACE TEMP TABLE orphans AS ${orphans}`);
    await list(others);
    for (const table of appTableNames)
      await database.run(`DELETE FROM ${table} WHERE ${table === 'apps' ? 'sha256' : 'app'} IN (${appsGone})`);
    for (const table of modelTableNames)
      await database.run(
        `DELETE FROM ${table} WHERE ${table === 'models' ? 'id' : 'model'} IN (SELECT id FROM orphans)`,
      );
    await database.run('DELETE FROM measurements WHERE file IN (SELECT file FROM gone)');
    await database.run('DELETE FROM store_files WHERE file IN (SELECT file FROM gone)');
    return others;
  });
}

/** Which models the store holds, and from whose record. */
class KnownModels {
  readonly #best = new Map<string, { readonly isRead: boolean; readonly app: string }>();

  constructor(rows: readonly Readonly<Record<string, unknown>>[]) {
    for (const row of rows)
      this.#best.set(row['id'] as string, { isRead: row['is_read'] === true, app: row['source_app'] as string });
  }

  /** Takes a model in where it tells more than what is known, or the same for an app that comes first. */
  offer(id: string, isRead: boolean, app: string): 'new' | 'better' | 'known' {
    const known = this.#best.get(id);
    if (known !== undefined && (known.isRead !== isRead ? known.isRead : known.app <= app)) return 'known';
    this.#best.set(id, { isRead, app });
    return known === undefined ? 'new' : 'better';
  }
}

async function takeBatch(
  database: Database,
  folder: string,
  files: readonly RunFile[],
  models: KnownModels,
): Promise<void> {
  const apps: AppRows[] = [];
  const found = new Map<string, ModelRows>();
  const replaced: string[] = [];
  const measured: (readonly Cell[])[] = [];
  const taken: (readonly Cell[])[] = [];
  for (const { file, bytes, modified } of files) {
    let error: string | null = null;
    try {
      const json = await readJson(joinPath(folder, file));
      if (file.startsWith('measurements/'))
        measured.push(...parseMeasurements(json).map((measurement) => measurementRow(measurement, file)));
      else {
        const record = recordIn(json, file);
        const inside = record.models.map((model) => modelRows(model, record.origin.sha256));
        apps.push(appRows(record));
        for (const rows of inside) {
          const verdict = models.offer(rows.id, rows.isRead, record.origin.sha256);
          if (verdict === 'known') continue;
          if (verdict === 'better') replaced.push(rows.id);
          found.set(rows.id, rows);
        }
      }
    } catch (cause) {
      error = reasonOf(cause);
    }
    taken.push([file, bytes, modified, error]);
  }
  await inTransaction(database, async () => {
    if (replaced.length > 0) {
      await database.run('CREATE OR REPLACE TEMP TABLE replaced (id VARCHAR)');
      await database.append(
        { name: 'replaced', what: '', columns: [{ name: 'id', type: 'text', what: '' }] },
        replaced.map((id) => [id]),
      );
      for (const table of modelTableNames)
        await database.run(
          `DELETE FROM ${table} WHERE ${table === 'models' ? 'id' : 'model'} IN (SELECT id FROM replaced)`,
        );
    }
    for (const table of appTableNames)
      await database.append(
        tableNamed(table),
        apps.flatMap((rows) => rows[table]),
      );
    for (const table of modelTableNames)
      await database.append(
        tableNamed(table),
        [...found.values()].flatMap(({ rows }) => rows[table]),
      );
    await database.append(tableNamed('measurements'), measured);
    await database.append(ownTable('store_files'), taken);
  });
}

/** A file's JSON as the record that its name says. Throws StoreError of kind 'invalid'. */
export function recordIn(json: unknown, file: string): AppRecord {
  const record = json as Partial<AppRecord> | null;
  if (record?.schema !== 1 || record.origin === undefined || !Array.isArray(record.models))
    throw new StoreError('invalid', 'record', 'it is no record of an app');
  if (file !== `records/${record.origin.sha256}.json`)
    throw new StoreError('invalid', 'record', 'it is the record of another app than its name says');
  return record as AppRecord;
}

/** Why a file is not taken in. Anything but a broken file is thrown on. */
function reasonOf(cause: unknown): string {
  if (cause instanceof CuttleError && cause.kind === 'invalid') return cause.message;
  // A field that is missing or of another type shows when it is used.
  if (cause instanceof TypeError) return 'it is no whole record of an app';
  throw cause;
}

async function inTransaction<Result>(database: Database, body: () => Promise<Result>): Promise<Result> {
  await database.run('BEGIN');
  try {
    const result = await body();
    await database.run('COMMIT');
    return result;
  } catch (cause) {
    await database.run('ROLLBACK');
    throw cause;
  }
}
