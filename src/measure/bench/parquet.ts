/** @file A result as a Parquet file, written by DuckDB. Node only. */
import type * as DuckDb from '@duckdb/node-api';
import { CuttleError } from '../../ir/index.js';
import { joinPath, readBytes, withTemporaryFolder, writeFileAtomic } from '../../platform/node/files.js';
import { benchColumns, benchCsv } from './rows.js';
import type { BenchResult } from './schema.js';

/** DuckDB is not installed, or could not write. Exit code 1. */
export class ParquetError extends CuttleError {
  constructor(message: string, cause: unknown) {
    super('failed', 'measure/parquet', message, {
      hint: 'Install it with: npm install @duckdb/node-api (or write CSV instead).',
      cause,
    });
  }
}

/** The rows of some results as Parquet with typed columns. Throws ParquetError where the optional package is absent. */
export async function benchParquet(results: readonly BenchResult[]): Promise<Uint8Array> {
  let duckdb: typeof DuckDb;
  try {
    duckdb = await import('@duckdb/node-api');
  } catch (cause) {
    throw new ParquetError('Parquet needs the package @duckdb/node-api', cause);
  }
  return await withTemporaryFolder(async (folder) => {
    const [from, to] = [joinPath(folder, 'rows.csv'), joinPath(folder, 'rows.parquet')];
    await writeFileAtomic(from, benchCsv(results));
    const columns = benchColumns.map(({ name, type }) => `'${name}': '${type}'`).join(', ');
    const quoted = (path: string): string => `'${path.replaceAll("'", "''")}'`;
    const instance = await duckdb.DuckDBInstance.create(':memory:');
    try {
      const connection = await instance.connect();
      await connection.run(
        `COPY (SELECT * FROM read_csv(${quoted(from)}, header = true, columns = {${columns}})) TO ${quoted(to)} (FORMAT parquet, COMPRESSION zstd)`,
      );
      connection.closeSync();
    } catch (cause) {
      throw new ParquetError(
        `DuckDB could not write Parquet: ${cause instanceof Error ? cause.message : String(cause)}`,
        cause,
      );
    } finally {
      instance.closeSync();
    }
    return await readBytes(to);
  });
}
