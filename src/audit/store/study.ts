/** @file The study's figures: what all apps and models of a run say together, as plain data for reports. */
import type { Database } from './database.js';

/** A name and how often it was counted. */
export interface Counted {
  readonly name: string;
  readonly count: number;
}

/** A name, how often it was counted, and its share of all. */
export interface Share extends Counted {
  /** 0 to 1; of all counts together. */
  readonly share: number;
}

/** Shares of counts, in their order. Where all are 0, so are the shares. */
export function sharesOf(counts: readonly Counted[]): readonly Share[] {
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  return counts.map(({ name, count }) => ({ name, count, share: total === 0 ? 0 : count / total }));
}

/** Models of one task. */
export interface TaskCount extends Counted {
  readonly modality: string;
  readonly unique: number;
}

export interface CategoryCount {
  readonly category: string;
  readonly apps: number;
  readonly appsWithModels: number;
  readonly models: number;
}

/** Different models between two bounds. */
export interface SizeBin {
  readonly from: number;
  readonly count: number;
}

/** Apps in which a subject was seen, each in its strongest use. */
export interface SubjectUse {
  readonly kind: 'framework' | 'cloud' | 'accelerator';
  readonly subject: string;
  readonly title: string;
  readonly called: number;
  readonly byLibrary: number;
  readonly referenced: number;
  readonly present: number;
}

export interface Uniqueness {
  /** Counted models, each app's own. */
  readonly models: number;
  readonly files: number;
  readonly weights: number;
  readonly architectures: number;
  /** Models whose file is in more than one place, as a share of all. */
  readonly reused: number;
}

/** A public model among those found. */
export interface PublicModel {
  readonly name: string;
  readonly source: string;
  readonly licence: string | null;
  /** Different models that are it as published, and different models that were made from it. */
  readonly asPublished: number;
  readonly madeFrom: number;
  readonly apps: number;
}

export interface Optimisations {
  /** Different models whose layers were read; the counts below are of these. */
  readonly read: number;
  readonly int8Weights: number;
  readonly int8Activations: number;
  readonly float16: number;
  readonly converting: number;
  readonly perChannel: number;
  readonly sparse: number;
  readonly clustered: number;
  readonly marked: number;
  readonly trainable: number;
  /** Of all learned numbers, 0 to 1; `null` where none were looked at. */
  readonly nearZeroShare: number | null;
}

export interface LineageSummary {
  /** Different models with weights. */
  readonly models: number;
  /** Of these, with at least a fifth of their weights in another. */
  readonly related: number;
  /** Of these, with at most three layers that differ. */
  readonly fineTuned: number;
  readonly pairs: number;
  /** The pairs that share most, at most as many as asked for. */
  readonly edges: readonly LineageEdge[];
}

export interface LineageEdge {
  readonly a: string;
  readonly b: string;
  readonly kind: string;
  readonly share: number;
  readonly differingLayers: number;
  readonly direction: string;
}

export interface MeasuredModel {
  readonly sha256: string;
  readonly name: string;
  readonly device: string;
  readonly backend: string;
  readonly threads: number | null;
  readonly batch: number;
  readonly p50Ms: number | null;
  readonly p90Ms: number | null;
  readonly energyMj: number | null;
  readonly macs: number | null;
  readonly failure: string | null;
}

export interface AppEntry {
  readonly sha256: string;
  readonly identifier: string;
  readonly label: string | null;
  readonly version: string | null;
  readonly category: string | null;
  readonly container: string | null;
  readonly origin: string;
  readonly locator: string;
  readonly bytes: number;
  readonly condition: string | null;
  readonly failure: string | null;
  readonly models: number;
  readonly suspects: number;
  readonly found: readonly AppFinding[];
  readonly uses: readonly {
    readonly kind: string;
    readonly title: string;
    readonly usage: string;
    readonly example: string | null;
  }[];
}

/** A model in an app, as its section lists it. */
export interface AppFinding {
  readonly model: string;
  readonly path: string;
  readonly format: string;
  readonly confidence: string;
  readonly disguise: string | null;
  readonly counted: boolean;
}

export interface ModelEntry {
  readonly id: string;
  readonly sha256: string;
  readonly title: string;
  readonly format: string;
  readonly framework: string;
  readonly bytes: number | null;
  readonly reason: string | null;
  readonly producer: string | null;
  readonly layers: number | null;
  readonly macs: number | null;
  readonly params: number | null;
  readonly peakActivationBytes: number | null;
  readonly quantisation: string | null;
  readonly modality: string | null;
  readonly task: string | null;
  readonly taskConfidence: string | null;
  readonly taskEvidence: readonly string[];
  readonly architecture: string | null;
  /** Public model that it is or was made from. */
  readonly known: string | null;
  readonly knownBy: string | null;
  readonly nearZeros: number | null;
  readonly licences: readonly string[];
  readonly training: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly operators: readonly string[];
  readonly apps: number;
  /** SHA-256 of the first apps that hold it. */
  readonly holders: readonly string[];
}

/** Everything that a report of a run shows. */
export interface AuditStudy {
  readonly totals: {
    readonly apps: number;
    readonly appsWithModels: number;
    readonly mlApps: number;
    readonly cloudApps: number;
    readonly damaged: number;
    readonly failed: number;
    readonly bytes: number;
    readonly models: number;
    readonly uniqueModels: number;
    readonly suspects: number;
  };
  readonly frameworks: readonly Counted[];
  readonly formats: readonly Counted[];
  readonly disguises: readonly Counted[];
  readonly tasks: readonly TaskCount[];
  readonly architectures: readonly Counted[];
  readonly categories: readonly CategoryCount[];
  readonly sizes: {
    readonly bytes: readonly SizeBin[];
    readonly params: readonly SizeBin[];
    readonly macs: readonly SizeBin[];
  };
  readonly operators: readonly Counted[];
  readonly families: readonly Counted[];
  readonly uniqueness: Uniqueness;
  readonly mostReused: readonly {
    readonly id: string;
    readonly title: string;
    readonly apps: number;
    readonly models: number;
  }[];
  readonly publicModels: readonly PublicModel[];
  readonly optimisations: Optimisations;
  readonly subjects: readonly SubjectUse[];
  readonly lineage: LineageSummary;
  readonly measurements: readonly MeasuredModel[];
  readonly problems: readonly Counted[];
  readonly apps: readonly AppEntry[];
  readonly models: readonly ModelEntry[];
}

/** How much of a large run a study lists one by one. Figures and plots are always of the whole. */
export interface StudyLimits {
  readonly apps: number;
  readonly models: number;
  readonly edges: number;
  readonly measurements: number;
}

export const defaultStudyLimits: StudyLimits = { apps: 500, models: 500, edges: 120, measurements: 500 };

/** Bins of a quantity over different models: three to a power of ten, by their lower ends. */
const bins = (column: string): string =>
  `SELECT power(10, floor(log10(${column}) * 3) / 3) AS "from", count(*) AS count FROM
   (SELECT DISTINCT ON (sha256) * FROM found) WHERE ${column} > 0 GROUP BY 1 ORDER BY 1`;

/** What a model is called: its file. The name that it gives itself is mostly that of the tool's default, such as `main_graph`. */
const title = `coalesce(nullif(regexp_extract(o.path, '[^/]*$'), ''), nullif(m.name, ''), left(m.id, 12))`;

/** Models with where they were found. */
const placed = (where: string): string =>
  `(SELECT model, count(DISTINCT app) AS apps, count(*) AS places, bool_or(counted) AS counted, min(path) AS path,
    list(DISTINCT app ORDER BY app)[:20] AS holders FROM occurrences WHERE ${where} GROUP BY model) o JOIN models m ON m.id = o.model`;

const tensors = (role: string): string =>
  `coalesce((SELECT list(name || ': ' || coalesce(dtype, '?') || CASE WHEN shape IS NULL THEN '' ELSE
    '[' || array_to_string(list_transform(shape, lambda size: coalesce(size::VARCHAR, '?')), ', ') || ']' END ORDER BY position)
    FROM tensors WHERE model = m.id AND role = '${role}'), [])`;

/** Reads the figures of a store. Everything is in a stable order: the same store gives the same study. */
export async function readStudy(database: Database, limits: StudyLimits = defaultStudyLimits): Promise<AuditStudy> {
  const all = async <Row>(sql: string): Promise<readonly Row[]> =>
    (await database.rows(sql)) as unknown as readonly Row[];
  const one = async <Row>(sql: string): Promise<Row> => (await all<Row>(sql))[0]!;
  const counted = (name: string, from: string, more = ''): Promise<readonly Counted[]> =>
    all(`SELECT ${name} AS name, count(*) AS count FROM ${from} GROUP BY 1 ORDER BY count DESC, name ${more}`);
  return {
    totals: await one(`SELECT count(*) AS apps, count(*) FILTER (models > 0) AS "appsWithModels",
      count(*) FILTER (uses_ml) AS "mlApps",
      (SELECT count(DISTINCT app) FROM evidence WHERE kind = 'cloud' AND usage <> 'present') AS "cloudApps",
      count(*) FILTER (condition = 'damaged') AS damaged, count(*) FILTER (failure IS NOT NULL) AS failed,
      coalesce(sum(bytes), 0) AS bytes, (SELECT count(*) FROM found) AS models,
      (SELECT count(DISTINCT model) FROM found) AS "uniqueModels", coalesce(sum(suspects), 0) AS suspects FROM apps`),
    frameworks: await counted('framework', 'found'),
    formats: await counted('format', 'found'),
    disguises: await counted('disguise', 'occurrences WHERE disguise IS NOT NULL'),
    tasks: await all(`SELECT task AS name, modality, count(*) AS count, count(DISTINCT model) AS unique
      FROM found WHERE is_read GROUP BY ALL ORDER BY count DESC, name, modality`),
    architectures: await counted(
      'architecture',
      '(SELECT DISTINCT model, architecture FROM found) WHERE architecture IS NOT NULL',
      'LIMIT 30',
    ),
    categories: await all(`SELECT coalesce(category, 'unknown') AS category, count(*) AS apps,
      count(*) FILTER (models > 0) AS "appsWithModels", coalesce(sum(models), 0) AS models
      FROM apps GROUP BY 1 ORDER BY models DESC, apps DESC, category`),
    sizes: { bytes: await all(bins('bytes')), params: await all(bins('params')), macs: await all(bins('macs')) },
    operators: await all(`SELECT operator AS name, sum(layers)::BIGINT AS count FROM operators
      WHERE model IN (SELECT model FROM found) GROUP BY 1 ORDER BY count DESC, name LIMIT 25`),
    families: await all(`SELECT family AS name, sum(layers)::BIGINT AS count FROM families
      WHERE model IN (SELECT model FROM found) GROUP BY 1 ORDER BY count DESC, name`),
    uniqueness: await one(`SELECT count(*) AS models, count(DISTINCT model) AS files,
      count(DISTINCT coalesce(weights_hash, model)) AS weights, count(DISTINCT coalesce(graph_hash, model)) AS architectures,
      coalesce(avg((copies > 1)::INT), 0) AS reused
      FROM (SELECT *, count(*) OVER (PARTITION BY model) AS copies FROM found)`),
    mostReused: await all(`SELECT m.id, ${title} AS title, o.apps, o.places AS models FROM ${placed('counted')}
      WHERE o.places > 1 ORDER BY models DESC, id LIMIT 20`),
    publicModels:
      await all(`SELECT known AS name, any_value(known_source) AS source, any_value(known_licence) AS licence,
      count(DISTINCT model) FILTER (known_by <> 'layers') AS "asPublished",
      count(DISTINCT model) FILTER (known_by = 'layers') AS "madeFrom", count(DISTINCT app) AS apps
      FROM found WHERE known IS NOT NULL GROUP BY known ORDER BY apps DESC, name`),
    optimisations: await one(`SELECT count(*) AS read, count(*) FILTER (int8_weights) AS "int8Weights",
      count(*) FILTER (int8_activations) AS "int8Activations", count(*) FILTER (quantisation = 'float16') AS float16,
      count(*) FILTER (convert_layers > 0) AS converting, count(*) FILTER (per_channel_layers > 0) AS "perChannel",
      count(*) FILTER (sparse_layers > 0) AS sparse, count(*) FILTER (clustered_layers > 0) AS clustered,
      count(*) FILTER (marked_layers > 0) AS marked, count(*) FILTER (len(training) > 0) AS trainable,
      sum(near_zeros) / nullif(sum(numbers), 0) AS "nearZeroShare"
      FROM models WHERE is_read AND id IN (SELECT model FROM found)`),
    subjects: await all(`SELECT kind, subject, any_value(title) AS title, count(*) FILTER (rank = 1) AS called,
      count(*) FILTER (rank = 2) AS "byLibrary", count(*) FILTER (rank = 3) AS referenced, count(*) FILTER (rank = 4) AS present
      FROM (SELECT app, kind, subject, any_value(title) AS title, min(${usageRank}) AS rank FROM evidence
        WHERE kind IS NOT NULL GROUP BY app, kind, subject)
      GROUP BY kind, subject ORDER BY kind, called DESC, "byLibrary" DESC, referenced DESC, present DESC, subject`),
    lineage: {
      ...(await one<Omit<LineageSummary, 'edges'>>(`SELECT (SELECT count(DISTINCT model) FROM layers) AS models,
        (SELECT count(DISTINCT id) FROM (SELECT a AS id FROM lineage UNION ALL SELECT b FROM lineage)) AS related,
        (SELECT count(DISTINCT id) FROM (SELECT a AS id FROM lineage WHERE kind = 'fine-tuned' UNION ALL
          SELECT b FROM lineage WHERE kind = 'fine-tuned')) AS "fineTuned",
        (SELECT count(*) FROM lineage) AS pairs`)),
      edges:
        await all(`SELECT a, b, kind, greatest(share_of_a, share_of_b) AS share, differing_layers AS "differingLayers",
        direction FROM lineage ORDER BY share DESC, a, b LIMIT ${limits.edges}`),
    },
    measurements:
      await all(`SELECT r.sha256, coalesce(m.name, left(r.sha256, 12)) AS name, device, backend, threads, batch,
      p50_ms AS "p50Ms", p90_ms AS "p90Ms", energy_mj AS "energyMj", m.macs, r.failure
      FROM measurements r LEFT JOIN (SELECT m.sha256, min(${title}) AS name, max(macs) AS macs FROM models m JOIN occurrences o ON o.model = m.id
          GROUP BY m.sha256) m
        ON m.sha256 = r.sha256
      ORDER BY name, r.sha256, device, backend, threads, batch, file LIMIT ${limits.measurements}`),
    problems: await counted('code', 'problems'),
    apps: await readApps(all, limits.apps),
    models: await readModels(all, limits.models),
  };
}

const usageRank = `list_position(['called', 'called-by-library', 'referenced', 'present'], usage)`;

type ReadAll = <Row>(sql: string) => Promise<readonly Row[]>;

/** Apps with most to tell first: models, suspects, use of services, failures. */
async function readApps(all: ReadAll, limit: number): Promise<readonly AppEntry[]> {
  const chosen = `(SELECT sha256 FROM apps ORDER BY models DESC, suspects DESC, uses_ml DESC, failure IS NULL, identifier, sha256 LIMIT ${limit})`;
  const apps = await all<Omit<AppEntry, 'found' | 'uses'>>(
    `SELECT sha256, identifier, label, version, category, container, origin, locator, bytes, condition, failure, models, suspects
     FROM apps WHERE sha256 IN ${chosen} ORDER BY models DESC, suspects DESC, uses_ml DESC, failure IS NULL, identifier, sha256`,
  );
  const found = await all<AppFinding & { readonly app: string }>(
    `SELECT app, model, path, format, confidence, disguise, counted FROM occurrences WHERE app IN ${chosen}
     QUALIFY row_number() OVER (PARTITION BY app ORDER BY counted DESC, path, start) <= 50 ORDER BY app, counted DESC, path, start`,
  );
  const uses = await all<AppEntry['uses'][number] & { readonly app: string }>(
    `SELECT app, kind, any_value(title) AS title, arg_min(usage, ${usageRank}) AS usage,
       arg_min(examples[1], ${usageRank}) AS example
     FROM evidence WHERE kind IS NOT NULL AND app IN ${chosen} GROUP BY app, kind, subject ORDER BY app, kind, min(${usageRank}), subject`,
  );
  const of = <Item extends { readonly app: string }>(items: readonly Item[]): ReadonlyMap<string, Item[]> => {
    const groups = new Map<string, Item[]>();
    for (const item of items) groups.set(item.app, [...(groups.get(item.app) ?? []), item]);
    return groups;
  };
  const [foundOf, usesOf] = [of(found), of(uses)];
  return apps.map((app) => ({ ...app, found: foundOf.get(app.sha256) ?? [], uses: usesOf.get(app.sha256) ?? [] }));
}

/** Models in most apps first. */
function readModels(all: ReadAll, limit: number): Promise<readonly ModelEntry[]> {
  return all(`SELECT m.id, m.sha256, ${title} AS title, m.format, m.framework, m.bytes, m.reason, m.producer, m.layers, m.macs, m.params,
      m.peak_activation_bytes AS "peakActivationBytes", m.quantisation, m.modality, m.task, m.task_confidence AS "taskConfidence",
      coalesce(m.task_evidence, []) AS "taskEvidence", m.architecture, m.known, m.known_by AS "knownBy", m.near_zeros / nullif(m.numbers, 0) AS "nearZeros",
      coalesce(m.licences, []) AS licences, coalesce(m.training, []) AS training,
      ${tensors('input')} AS inputs, ${tensors('output')} AS outputs,
      coalesce((SELECT list(operator || ' ' || layers ORDER BY layers DESC, operator)[:12] FROM operators WHERE model = m.id), []) AS operators,
      o.apps, o.holders
    FROM ${placed('NOT half')} ORDER BY o.apps DESC, o.counted DESC, m.id LIMIT ${limit}`);
}
