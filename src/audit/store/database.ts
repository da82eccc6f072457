/** @file The database under the store: DuckDB, loaded when it is first needed. Nothing else knows its library. */
import type { DuckDBAppender, DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { loadDuckDB, type DuckDB } from '../../platform/node/duckdb.js';
import { databaseMessage, StoreError } from './store-error.js';
import type { ColumnType, StoreTable } from './schema.js';

/** A value of a row that goes in: text, number, flag, list, or nothing. */
export type Cell = string | number | boolean | null | readonly (string | number | null)[];

/** A row that comes out. Whole numbers are numbers where exact, else text. */
export type PlainRow = Readonly<Record<string, PlainValue>>;
export type PlainValue =
  string | number | boolean | null | readonly PlainValue[] | { readonly [key: string]: PlainValue };

/** Rows with the names of their columns, in order. */
export interface QueryResult {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly PlainValue[])[];
  /** There were more rows than were asked for. */
  readonly isCut: boolean;
}

export interface Database extends AsyncDisposable {
  /** Runs statements of this project's own. `values` fill `$1`, `$2` … Throws StoreError. */
  run(sql: string, values?: readonly Cell[]): Promise<void>;
  /** All rows of a statement of this project's own. */
  rows(sql: string, values?: readonly Cell[]): Promise<readonly PlainRow[]>;
  /** Adds rows, each with one cell a column. Throws StoreError where a cell is not of its column's type. */
  append(table: StoreTable, rows: readonly (readonly Cell[])[]): Promise<void>;
  /** One question of a user's. Only what reads is run. Throws StoreError of kind 'usage' where it is refused or wrong. */
  ask(sql: string, limit: number, signal?: AbortSignal): Promise<QueryResult>;
  close(): void;
}

/** Memory that the database may use, besides what JavaScript does. */
const MEMORY = '1GB';

/**
 * Opens a database file. `write` makes it where there is none. `read` is for this project's own statements; `ask` also shuts out
 * files, networks and extensions, and locks that, so that foreign statements can run in it.
 */
export async function openDatabase(path: string, mode: 'write' | 'read' | 'ask'): Promise<Database> {
  const duckdb = await duckDBOfStore();
  let instance: DuckDBInstance;
  let connection: DuckDBConnection;
  try {
    instance = await duckdb.DuckDBInstance.create(path, {
      access_mode: mode === 'write' ? 'READ_WRITE' : 'READ_ONLY',
      memory_limit: MEMORY,
      autoload_known_extensions: 'false',
      autoinstall_known_extensions: 'false',
      allow_community_extensions: 'false',
    });
    connection = await instance.connect();
    if (mode === 'ask')
      for (const setting of [`temp_directory = ''`, 'enable_external_access = false', 'lock_configuration = true'])
        await connection.run(`SET ${setting}`);
  } catch (cause) {
    throw openError(path, cause);
  }
  return new DuckDatabase(duckdb, instance, connection);
}

class DuckDatabase implements Database {
  readonly #duckdb: DuckDB;
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  #isClosed = false;

  constructor(duckdb: DuckDB, instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#duckdb = duckdb;
    this.#instance = instance;
    this.#connection = connection;
  }

  async run(sql: string, values: readonly Cell[] = []): Promise<void> {
    try {
      await this.#connection.run(sql, values.map(bound));
    } catch (cause) {
      throw new StoreError('failed', 'failed', databaseMessage(cause), { cause });
    }
  }

  async rows(sql: string, values: readonly Cell[] = []): Promise<readonly PlainRow[]> {
    try {
      const reader = await this.#connection.runAndReadAll(sql, values.map(bound));
      return reader.getRowObjectsJS().map((row) => plain(row) as PlainRow);
    } catch (cause) {
      throw new StoreError('failed', 'failed', databaseMessage(cause), { cause });
    }
  }

  async append(table: StoreTable, rows: readonly (readonly Cell[])[]): Promise<void> {
    if (rows.length === 0) return;
    const lists = {
      'text[]': this.#duckdb.LIST(this.#duckdb.VARCHAR),
      'count[]': this.#duckdb.LIST(this.#duckdb.BIGINT),
    };
    const appender = await this.#connection.createAppender(table.name);
    try {
      for (const row of rows) {
        table.columns.forEach((column, i) => appendCell(appender, column.type, row[i]!, lists));
        appender.endRow();
      }
    } finally {
      appender.closeSync();
    }
  }

  async ask(sql: string, limit: number, signal?: AbortSignal): Promise<QueryResult> {
    const stop = (): void => this.#connection.interrupt();
    signal?.addEventListener('abort', stop);
    try {
      if (sql.replace(/--.*$|\/\*[\s\S]*?\*\/|[;\s]/gm, '') === '')
        throw new StoreError('usage', 'query', 'a query is one statement, not 0');
      const statements = await this.#connection.extractStatements(sql);
      if (statements.count !== 1)
        throw new StoreError('usage', 'query', `a query is one statement, not ${statements.count}`);
      const statement = await statements.prepare(0);
      const { SELECT, EXPLAIN } = this.#duckdb.StatementType;
      if (statement.statementType !== SELECT && statement.statementType !== EXPLAIN)
        throw new StoreError(
          'usage',
          'query',
          'a query only reads: it begins with SELECT, FROM, WITH, DESCRIBE or EXPLAIN',
        );
      const reader = await statement.streamAndReadUntil(limit + 1);
      const rows = reader.getRowsJS();
      return {
        columns: reader.deduplicatedColumnNames(),
        rows: rows.slice(0, limit).map((row) => row.map(plain)),
        isCut: rows.length > limit,
      };
    } catch (cause) {
      if (cause instanceof StoreError || signal?.aborted) throw signal?.aborted ? signal.reason : cause;
      throw new StoreError('usage', 'query', databaseMessage(cause), {
        hint: 'DESCRIBE names the tables; DESCRIBE apps the columns of one.',
        cause,
      });
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.closeSync();
    this.#instance.closeSync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

type ListTypes = Readonly<Record<'text[]' | 'count[]', ReturnType<DuckDB['LIST']>>>;

function appendCell(appender: DuckDBAppender, type: ColumnType, cell: Cell, lists: ListTypes): void {
  if (cell === null) return appender.appendNull();
  switch (type) {
    case 'text':
      if (typeof cell === 'string') return appender.appendVarchar(storable(cell));
      break;
    case 'flag':
      if (typeof cell === 'boolean') return appender.appendBoolean(cell);
      break;
    case 'number':
      if (typeof cell === 'number') return Number.isFinite(cell) ? appender.appendDouble(cell) : appender.appendNull();
      break;
    case 'count':
      // Sizes that hostile files state may be beyond all bounds: these are not known.
      if (typeof cell === 'number')
        return Number.isSafeInteger(cell) ? appender.appendBigInt(BigInt(cell)) : appender.appendNull();
      break;
    case 'text[]':
      if (Array.isArray(cell) && cell.every((item) => typeof item === 'string'))
        return appender.appendList(cell.map(storable), lists[type]);
      break;
    case 'count[]':
      if (Array.isArray(cell) && cell.every((item) => item === null || typeof item === 'number'))
        return appender.appendList(
          cell.map((item) => (Number.isSafeInteger(item) ? BigInt(item as number) : null)),
          lists[type],
        );
  }
  throw new StoreError('invalid', 'cell', `a record holds ${typeof cell} where ${type} is expected`);
}

/** Text without the characters that end or break it in C and in UTF-8. */
const storable = (text: string): string => text.replace(/\0|\p{Cs}/gu, '\ufffd');

const bound = (cell: Cell): string | number | boolean | null => {
  if (typeof cell === 'object' && cell !== null) throw new Error('lists cannot be bound');
  return cell;
};

/** A database value as plain JSON. */
function plain(value: unknown): PlainValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return [...value].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return [...value].map(([key, held]) => [plain(key), plain(held)]);
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype)
    return Object.fromEntries(Object.entries(value).map(([key, held]) => [key, plain(held)]));
  return (value as { toString(): string }).toString();
}

async function duckDBOfStore(): Promise<DuckDB> {
  try {
    return await loadDuckDB();
  } catch (cause) {
    throw new StoreError('failed', 'no-duckdb', 'the store of the audit needs the package @duckdb/node-api', {
      hint: 'Install it: npm install @duckdb/node-api',
      cause,
    });
  }
}

function openError(path: string, cause: unknown): StoreError {
  const message = databaseMessage(cause);
  if (/lock/i.test(message))
    return new StoreError('failed', 'busy', `another process is writing '${path}'`, {
      hint: 'Run the same command again when it is done.',
      cause,
    });
  if (/not a valid DuckDB|version|serializ/i.test(message))
    return new StoreError('invalid', 'no-store', `'${path}' is not a store of an audit: ${message}`, {
      hint: 'Give the folder of an audit, or the store in it.',
      cause,
    });
  return new StoreError('failed', 'open', `'${path}' cannot be opened: ${message}`, { cause });
}
