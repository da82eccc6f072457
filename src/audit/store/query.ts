/** @file Questions of users to the store: read-only, without files, networks or extensions. */
import { openDatabase, type QueryResult } from './database.js';
import { updateStore } from './open-store.js';

export interface QueryOptions {
  /** Rows that are given at most. 1000 where omitted. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs one SQL statement that reads on the store of a run (brought up to date first) or on a store's file. The statement cannot
 * change anything, reach other files or the network, or load extensions. Throws StoreError: kind 'usage' for SQL that is wrong or
 * refused; FileError; the signal's reason.
 */
export async function queryStore(path: string, sql: string, options: QueryOptions = {}): Promise<QueryResult> {
  const { limit = 1000, signal } = options;
  const { path: store } = await updateStore(path, signal ? { signal } : {});
  await using database = await openDatabase(store, 'ask');
  return await database.ask(sql, limit, signal);
}
