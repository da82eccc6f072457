/** @file Lineage of all models in the store. */
import type { Cell, Database } from './database.js';

/** Rows of the table `lineage`, from the layers of all models. */
export async function lineageRows(database: Database): Promise<readonly (readonly Cell[])[]> {
  await database.rows('SELECT model, hash, bytes FROM layers');
  return [];
}
