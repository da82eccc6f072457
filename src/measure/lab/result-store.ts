/** @file Results in DuckDB: a database beside the journal, made from it, for questions in SQL; and the same as a Parquet file. */
import { openDuckDB, type SqlDatabase } from '../../platform/node/duckdb.js';
import type { ResultView } from './protocol.js';
import { resultColumns, resultRow } from './result-rows.js';

const TABLE = `CREATE TABLE IF NOT EXISTS results (${resultColumns
  .map(({ name, type }) => `${name} ${type}${name === 'job' ? ' PRIMARY KEY' : ''}`)
  .join(', ')})`;
const INSERT = `INSERT OR REPLACE INTO results VALUES (${resultColumns.map((_, i) => `$${i + 1}`).join(', ')})`;

export interface ResultStore {
  /** Adds a result, or replaces it. Calls may overlap. Throws DuckDBError. */
  put(result: ResultView): Promise<void>;
  /** After what was put. */
  close(): Promise<void>;
}

/**
 * Opens the database at `path` and brings it up to date with the journal's results; one of another version is made anew, since
 * nothing stands in it alone. Throws DuckDBError where DuckDB is not installed or the file is in use.
 */
export async function openResultStore(path: string, results: readonly ResultView[]): Promise<ResultStore> {
  const database = await openDuckDB(path);
  try {
    const found = await database.rows(`SELECT column_name AS name FROM duckdb_columns() WHERE table_name = 'results'`);
    const known = found.map(({ name }) => name).join();
    if (known !== resultColumns.map(({ name }) => name).join()) await database.run('DROP TABLE IF EXISTS results');
    await database.run(TABLE);
    const held = new Set((await database.rows('SELECT job FROM results')).map(({ job }) => job));
    await insert(
      database,
      results.filter(({ id }) => !held.has(id)),
    );
  } catch (error) {
    database.close();
    throw error;
  }
  let last: Promise<void> = Promise.resolve();
  return {
    put(result) {
      const turn = last.catch(() => undefined).then(() => insert(database, [result]));
      last = turn;
      return turn;
    },
    async close() {
      await last.catch(() => undefined);
      database.close();
    },
  };
}

/** Writes results as a Parquet file. Throws DuckDBError. */
export async function writeResultsParquet(path: string, results: readonly ResultView[]): Promise<void> {
  await using database = await openDuckDB(':memory:');
  await database.run(TABLE);
  await insert(database, results);
  await database.run(`COPY results TO '${path.replaceAll("'", "''")}' (FORMAT parquet, COMPRESSION zstd)`);
}

/**
 * Answers one question in SQL on a table `results`, made for it in memory: a running server holds its own database. The statement
 * reaches no file and no network. Throws DuckDBError.
 */
export async function queryResults(
  results: readonly ResultView[],
  sql: string,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  await using database = await openDuckDB(':memory:');
  await database.run(TABLE);
  await insert(database, results);
  for (const setting of ['enable_external_access = false', 'lock_configuration = true'])
    await database.run(`SET ${setting}`);
  return await database.rows(sql);
}

async function insert(database: SqlDatabase, results: readonly ResultView[]): Promise<void> {
  if (results.length === 0) return;
  await database.run('BEGIN');
  try {
    for (const result of results) await database.run(INSERT, resultRow(result));
    await database.run('COMMIT');
  } catch (error) {
    await database.run('ROLLBACK');
    throw error;
  }
}
