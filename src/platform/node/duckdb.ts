/** @file DuckDB, loaded when it is first needed: a database file, or one in memory. */
import type * as DuckDBModule from '@duckdb/node-api';
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { CuttleError } from '../../ir/error.js';

/** DuckDB is not installed, or refuses. Exit code 1. */
export class DuckDBError extends CuttleError {
  constructor(code: 'absent' | 'open' | 'statement', message: string, hint: string, cause: unknown) {
    super('failed', `platform/duckdb-${code}`, message, { hint, cause });
  }
}

/** What goes into a row. */
export type SqlValue = string | number | boolean | null;

export interface SqlDatabase extends AsyncDisposable {
  /** Runs one statement; `values` fill `$1`, `$2` … Throws DuckDBError. */
  run(sql: string, values?: readonly SqlValue[]): Promise<void>;
  /** All rows of a statement, as JSON has them; whole numbers are numbers where exact, else text. Throws DuckDBError. */
  rows(sql: string, values?: readonly SqlValue[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  close(): void;
}

export type DuckDB = typeof DuckDBModule;

/** The library itself, for what needs more of it than statements. Throws DuckDBError 'absent'. */
export async function loadDuckDB(): Promise<DuckDB> {
  try {
    const loaded = (await import('@duckdb/node-api')) as DuckDB & { readonly default?: DuckDB };
    return loaded.DuckDBInstance === undefined && loaded.default !== undefined ? loaded.default : loaded;
  } catch (cause) {
    throw new DuckDBError(
      'absent',
      'tables need the package @duckdb/node-api',
      'Install it: npm install @duckdb/node-api',
      cause,
    );
  }
}

/** Opens a database; `:memory:` for one without a file. Throws DuckDBError. */
export async function openDuckDB(path: string): Promise<SqlDatabase> {
  const duckdb = await loadDuckDB();
  let instance: DuckDBInstance;
  let connection: DuckDBConnection;
  try {
    instance = await duckdb.DuckDBInstance.create(path);
    connection = await instance.connect();
  } catch (cause) {
    throw new DuckDBError(
      'open',
      `'${path}' cannot be opened: ${messageOf(cause)}`,
      'Close other programs that use it.',
      cause,
    );
  }
  const guarded = async <T>(job: () => Promise<T>): Promise<T> => {
    try {
      return await job();
    } catch (cause) {
      throw new DuckDBError(
        'statement',
        `DuckDB refuses: ${messageOf(cause)}`,
        'See the statement in the message.',
        cause,
      );
    }
  };
  const close = (): void => {
    connection.closeSync();
    instance.closeSync();
  };
  return {
    run: (sql, values = []) => guarded(async () => void (await connection.run(sql, [...values]))),
    rows: (sql, values = []) =>
      guarded(async () => {
        const reader = await connection.runAndReadAll(sql, [...values]);
        const { BIGINT, UBIGINT, HUGEINT, UHUGEINT } = duckdb.DuckDBTypeId;
        const types = reader.columnTypes().map(({ typeId }) => typeId);
        const whole = reader.columnNames().filter((_, i) => [BIGINT, UBIGINT, HUGEINT, UHUGEINT].includes(types[i]!));
        return reader.getRowObjectsJson().map((row) => ({
          ...row,
          ...Object.fromEntries(whole.map((name) => [name, numberOf(row[name])])),
        }));
      }),
    close,
    [Symbol.asyncDispose]: () => Promise.resolve(close()),
  };
}

/** DuckDB's JSON has 64-bit numbers as text. */
function numberOf(value: unknown): unknown {
  const number = typeof value === 'string' ? Number(value) : NaN;
  return Number.isSafeInteger(number) ? number : value;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
