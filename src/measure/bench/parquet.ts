/** @file A result as a Parquet file, written by DuckDB. Node only. */
import { CuttleError } from '../../ir/index.js';
import { openDuckDB } from '../../platform/node/duckdb.js';
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
  return await withTemporaryFolder(async (folder) => {
    const [from, to] = [joinPath(folder, 'rows.csv'), joinPath(folder, 'rows.parquet')];
    await writeFileAtomic(from, benchCsv(results));
    const columns = benchColumns.map(({ name, type }) => `'${name}': '${type}'`).join(', ');
    const quoted = (path: string): string => `'${path.replaceAll("'", "''")}'`;
    try {
      await using database = await openDuckDB(':memory:');
      await database.run(
        `COPY (SELECT * FROM read_csv(${quoted(from)}, header = true, columns = {${columns}})) TO ${quoted(to)} (FORMAT parquet, COMPRESSION zstd)`,
      );
    } catch (cause) {
      throw new ParquetError(
        `Parquet cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`,
        cause,
      );
    }
    return await readBytes(to);
  });
}
