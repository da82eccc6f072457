/** @file The figures of a run, from its folder or its store. */
import { openDatabase } from './database.js';
import type { IngestOptions } from './ingest.js';
import { updateStore, type StoreUpdate } from './open-store.js';
import { readStudy, type AuditStudy, type StudyLimits } from './study.js';

/** Brings the store of a run up to date and reads its figures. Throws StoreError, FileError, and the signal's reason. */
export async function studyOf(
  path: string,
  limits?: StudyLimits,
  options: IngestOptions = {},
): Promise<{ readonly study: AuditStudy; readonly update: StoreUpdate }> {
  const update = await updateStore(path, options);
  await using database = await openDatabase(update.path, 'read');
  return { study: await readStudy(database, limits), update };
}
