/** @file What a bill of materials needs, out of the store. */
import { packageVersion } from '../../platform/node/package.js';
import { sha256 } from '../../platform/node/hash.js';
import { cycloneDx, type BomApp, type BomData, type BomModel, type BomOccurrence, type BomUse } from './cyclonedx.js';
import type { Database } from './database.js';
import { StoreError } from './store-error.js';

/**
 * The CycloneDX 1.6 document of all apps, or of those with an identifier or a SHA-256, as JSON text. Throws StoreError of kind
 * 'invalid' where no app is called so.
 */
export async function bomText(database: Database, app?: string): Promise<string> {
  const apps = (await database.rows(
    `SELECT sha256, identifier, label, version, licence, category FROM apps
     WHERE $1 IS NULL OR identifier = $1 OR sha256 = $1 ORDER BY identifier, version_code, sha256`,
    [app ?? null],
  )) as unknown as readonly BomApp[];
  if (apps.length === 0 && app !== undefined)
    throw new StoreError('invalid', 'no-app', `the audit holds no app '${app}'`, {
      hint: 'Name it by identifier or SHA-256: cuttle audit query DIR "FROM apps SELECT identifier, sha256"',
    });
  const wanted = '(SELECT sha256 FROM apps WHERE $1 IS NULL OR identifier = $1 OR sha256 = $1)';
  const rows = async <Row>(sql: string): Promise<readonly Row[]> =>
    (await database.rows(sql, [app ?? null])) as unknown as readonly Row[];
  const occurrences = await rows<BomOccurrence>(
    `SELECT app, model, path, start, confidence FROM occurrences
     WHERE app IN ${wanted} AND NOT half ORDER BY model, app, path, start`,
  );
  const models = await rows<Omit<BomModel, 'measurements'>>(
    `SELECT id, sha256, format, framework, bytes, name, producer, task, modality, architecture, params, macs, quantisation,
       coalesce(licences, []) AS licences, reason,
       coalesce((SELECT list(${tensorText} ORDER BY position) FROM tensors WHERE model = id AND role = 'input'), []) AS inputs,
       coalesce((SELECT list(${tensorText} ORDER BY position) FROM tensors WHERE model = id AND role = 'output'), []) AS outputs
     FROM models WHERE id IN (SELECT model FROM occurrences WHERE app IN ${wanted} AND NOT half) ORDER BY id`,
  );
  const measured = await rows<MeasuredRow>(
    `SELECT sha256, device, backend, threads, batch, p50_ms, energy_mj FROM measurements
     WHERE p50_ms IS NOT NULL AND ($1 IS NULL OR TRUE) ORDER BY sha256, device, backend, threads, batch, file`,
  );
  const uses = await rows<BomUse>(
    `SELECT app, kind, subject, any_value(title) AS title,
       arg_min(usage, list_position(['called', 'called-by-library', 'referenced', 'present'], usage)) AS usage
     FROM evidence WHERE kind IN ('framework', 'cloud') AND app IN ${wanted}
     GROUP BY app, kind, subject ORDER BY kind, subject, app`,
  );
  const data: BomData = {
    tool: await packageVersion(),
    serial: uuidOf(apps.map((one) => one.sha256).join('\n')),
    apps,
    models: models.map((row) => ({ ...row, measurements: metricsOf(measured, row.sha256) })),
    occurrences,
    uses,
  };
  return `${JSON.stringify(cycloneDx(data), null, 2)}\n`;
}

/** `float32[1, ?, 224, 3]`. */
const tensorText = `concat(coalesce(dtype, '?'), CASE WHEN shape IS NULL THEN '' ELSE
  '[' || array_to_string(list_transform(shape, lambda size: coalesce(size::VARCHAR, '?')), ', ') || ']' END)`;

interface MeasuredRow {
  readonly sha256: string;
  readonly device: string;
  readonly backend: string;
  readonly threads: number | null;
  readonly batch: number;
  readonly p50_ms: number;
  readonly energy_mj: number | null;
}

function metricsOf(rows: readonly MeasuredRow[], model: string): BomModel['measurements'] {
  return rows
    .filter(({ sha256 }) => sha256 === model)
    .flatMap(({ device, backend, threads, batch, p50_ms, energy_mj }) => {
      const where = `${device}, ${backend}${threads === null ? '' : `, ${threads} threads`}, batch ${batch}`;
      return [
        { what: 'median latency (ms)', value: String(p50_ms), where },
        ...(energy_mj === null ? [] : [{ what: 'energy per inference (mJ)', value: String(energy_mj), where }]),
      ];
    });
}

/** A UUID (version 8, RFC 9562) from a hash: the same for the same apps. */
function uuidOf(text: string): string {
  const hex = sha256(text);
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join('-');
}
