/** @file Lineage of all models in the store: which share layers, and who likely came from whom. */
import { modelLineage, type LineageModel } from '../analyse/lineage.js';
import type { Cell, Database } from './database.js';

/** Rows of the table `lineage`, from the layers of all models. */
export async function lineageRows(database: Database): Promise<readonly (readonly Cell[])[]> {
  const layers = await database.rows('SELECT model, name, hash, bytes FROM layers ORDER BY model, position');
  const byModel = new Map<string, { readonly name: string; readonly hash: string; readonly bytes: number }[]>();
  for (const row of layers) {
    const layer = { name: row['name'] as string, hash: row['hash'] as string, bytes: Number(row['bytes'] ?? 0) };
    const list = byModel.get(row['model'] as string);
    if (list === undefined) byModel.set(row['model'] as string, [layer]);
    else list.push(layer);
  }
  const models = await database.rows(
    `SELECT id, weights_hash, signs_hash, graph_hash, skeleton_hash, count(DISTINCT app) AS apps, min(added) AS added
     FROM models JOIN occurrences ON model = id JOIN apps ON apps.sha256 = app WHERE is_read GROUP BY ALL ORDER BY id`,
  );
  const { relations } = modelLineage(
    models.map((row): LineageModel => {
      const id = row['id'] as string;
      const added = row['added'] as string | null;
      return {
        id,
        identity: {
          weights: row['weights_hash'] as string | null,
          signs: row['signs_hash'] as string | null,
          graph: row['graph_hash'] as string | null,
          skeleton: row['skeleton_hash'] as string | null,
          layers: byModel.get(id) ?? [],
        },
        apps: Number(row['apps']),
        ...(added !== null && { firstSeen: added }),
      };
    }),
  );
  return relations.map((relation) => [
    ...[relation.a, relation.b, relation.kind, relation.shareOfA, relation.shareOfB],
    ...[relation.commonLayers, relation.differingLayers, relation.direction, relation.because ?? null],
  ]);
}
