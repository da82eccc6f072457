/** @file The store of a run: made from its records where it is missing, brought up to date where they changed, opened. */
import { exists, fileInfo, joinPath, removeFile } from '../../platform/node/files.js';
import { openDatabase, type Database } from './database.js';
import { findChanges, ingest, runFiles, type IngestOptions, type RejectedFile } from './ingest.js';
import { createStatement, FOUND_VIEW, ownTables, STORE_VERSION, storeTables } from './schema.js';
import { StoreError } from './store-error.js';

/** Name of the store in a run's folder. */
export const STORE_FILE = 'audit.duckdb';

/** What bringing a store up to date did. */
export interface StoreUpdate {
  /** The database file. */
  readonly path: string;
  /** Files that were taken in anew. */
  readonly taken: number;
  /** Files whose facts left because they are gone. */
  readonly gone: number;
  /** Files of the run that are no records or measurements. */
  readonly rejected: readonly RejectedFile[];
}

/**
 * Brings the store of a run up to date and says where it is. A path of a store itself is taken as it is. Throws StoreError of
 * kind 'invalid' where there is neither, FileError, and the signal's reason.
 */
export async function updateStore(path: string, options: IngestOptions = {}): Promise<StoreUpdate> {
  const info = await fileInfo(path);
  if (info?.kind === 'file') {
    await using database = await openDatabase(path, 'read');
    if ((await versionOf(database)) !== STORE_VERSION)
      throw new StoreError('invalid', 'version', `'${path}' is no store of this version of Cuttle`, {
        hint: 'Give the folder of the audit: its store is built again from the records.',
      });
    return { path, taken: 0, gone: 0, rejected: await rejectedIn(database) };
  }
  if (info === undefined || (await fileInfo(joinPath(path, 'records')))?.kind !== 'folder')
    throw new StoreError('invalid', 'no-run', `'${path}' is not the folder of an audit: it holds no records`, {
      hint: 'Make one: cuttle audit APPS --out FOLDER',
    });
  const store = joinPath(path, STORE_FILE);
  const files = await runFiles(path);
  if (await exists(store)) {
    // Most calls find it up to date, and then several processes may read it at once.
    await using database = await openDatabase(store, 'read');
    if ((await versionOf(database)) === STORE_VERSION) {
      const { changed, gone, isUnfinished } = await findChanges(database, files);
      if (changed.length + gone.length === 0 && !isUnfinished)
        return { path: store, taken: 0, gone: 0, rejected: await rejectedIn(database) };
    } else {
      database.close();
      await removeFile(store);
      await removeFile(`${store}.wal`);
    }
  }
  await using database = await openDatabase(store, 'write');
  if ((await versionOf(database)) === undefined) await create(database);
  const changes = await findChanges(database, files);
  await ingest(database, path, files, changes, options);
  return {
    path: store,
    taken: changes.changed.length,
    gone: changes.gone.length,
    rejected: await rejectedIn(database),
  };
}

async function create(database: Database): Promise<void> {
  await database.run(
    [
      'BEGIN',
      ...[...storeTables, ...ownTables].map(createStatement),
      FOUND_VIEW,
      `INSERT INTO store_state VALUES ('version', '${STORE_VERSION}')`,
      'COMMIT',
    ].join(';\n'),
  );
}

/** The version of a store's tables; `undefined` where it has none. */
async function versionOf(database: Database): Promise<number | undefined> {
  const tables = await database.rows(`SELECT 1 FROM duckdb_tables() WHERE table_name = 'store_state'`);
  if (tables.length === 0) return undefined;
  const rows = await database.rows(`SELECT value FROM store_state WHERE key = 'version'`);
  return Number(rows[0]?.['value']);
}

async function rejectedIn(database: Database): Promise<readonly RejectedFile[]> {
  const rows = await database.rows('SELECT file, error FROM store_files WHERE error IS NOT NULL ORDER BY file');
  return rows.map((row) => ({ file: row['file'] as string, reason: row['error'] as string }));
}
