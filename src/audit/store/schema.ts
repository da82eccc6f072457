/** @file The tables of the store, as data: created from here, documented from here, exported by these names. */

/** Types of columns. `text[]` and `count[]` are lists. */
export type ColumnType = 'text' | 'count' | 'number' | 'flag' | 'text[]' | 'count[]';

export interface StoreColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly what: string;
}

export interface StoreTable {
  readonly name: string;
  readonly what: string;
  readonly columns: readonly StoreColumn[];
}

/** Raised with every change of the tables: a store of another number is built again from the records. */
export const STORE_VERSION = 2;

const text = (name: string, what: string): StoreColumn => ({ name, type: 'text', what });
const count = (name: string, what: string): StoreColumn => ({ name, type: 'count', what });
const flag = (name: string, what: string): StoreColumn => ({ name, type: 'flag', what });
const number = (name: string, what: string): StoreColumn => ({ name, type: 'number', what });
const texts = (name: string, what: string): StoreColumn => ({ name, type: 'text[]', what });

const app = text('app', '`apps.sha256`');
const model = text('model', '`models.id`');

/** Facts of apps: each row belongs to the app in its column `app` (in `apps`: `sha256`). */
export const appTables = {
  apps: {
    what: 'one row an app',
    columns: [
      text('sha256', 'of the file'),
      text('identifier', "package or bundle; the file's name where there is none"),
      text('label', 'as users see it'),
      text('version', 'as users see it'),
      count('version_code', 'as the system compares it'),
      text('category', "the manifest's own, else the source's"),
      text('platform', '`android` or `ios`'),
      text('container', '`apk`, `apks`, `aab`, `ipa` …'),
      text('origin', '`file`, `fdroid`, `androzoo` or `url`'),
      text('locator', 'path in the audited folder, or address'),
      text('market', 'where the source got it'),
      text('licence', 'of the app, as its source says'),
      text('added', 'when the source added it, as it writes it'),
      texts('listed_categories', 'all that the source names'),
      count('bytes', 'of the file'),
      count('files', 'inside, nested ones counted'),
      count('unpacked_bytes', 'that these unpack to'),
      count('classes', 'in its code'),
      count('methods', 'in its code'),
      count('min_sdk', 'lowest Android API level'),
      count('target_sdk', 'Android API level that it was built for'),
      text('certificate', "SHA-256 of the first signer's certificate"),
      texts('abis', 'of its native libraries'),
      text('condition', '`intact`, `odd` or `damaged`; empty where it could not be opened'),
      text('failure', 'why it could not be opened'),
      count('models', 'counted models in it, see `occurrences.counted`'),
      count('suspects', 'findings that are suspected only'),
      flag('uses_ml', 'a counted model, or code that calls or names a framework or a cloud service'),
    ],
  },
  permissions: { what: 'permissions that apps ask for', columns: [app, text('permission', 'its name')] },
  libraries: {
    what: 'native libraries',
    columns: [
      app,
      text('path', 'in the app'),
      text('abi', '`arm64-v8a` …'),
      count('bytes', 'of the file'),
      text('soname', 'its own name'),
    ],
  },
  problems: {
    what: 'what is odd or broken in apps',
    columns: [
      app,
      text('code', '`archive/overlap` …'),
      text('severity', '`odd` or `damaged`'),
      text('path', 'in the app'),
      text('message', 'one sentence'),
    ],
  },
  evidence: {
    what: 'what shows that an app uses a framework, a cloud service or an accelerator',
    columns: [
      app,
      text('kind', '`framework`, `cloud` or `accelerator`'),
      text('subject', '`tflite`, `google-vision` … (see [reading apps](audit-apps.md))'),
      text('title', 'its name for people'),
      text('usage', '`called`, `called-by-library`, `referenced` or `present`'),
      text('confidence', '`observed`, `derived` or `suspected`'),
      text('clue', '`call`, `class`, `library`, `symbol`, `string`, `host` or `metadata`'),
      text('path', 'in the app'),
      count('seen', 'how often'),
      texts('examples', 'the first few'),
    ],
  },
  occurrences: {
    what: 'one row a model found in an app',
    columns: [
      app,
      model,
      text('path', 'in the app'),
      count('start', 'first byte in the file'),
      count('bytes', 'that are known to belong to it'),
      text('format', 'name of the format'),
      text('framework', 'to which the format belongs'),
      text('confidence', '`observed`, `derived` or `suspected`'),
      text('disguise', '`embedded`, `renamed`, `xor`, `zlib`, `deflate`, `base64` or `encrypted`'),
      texts('evidence', 'why it is one'),
      flag('half', 'weights or network alone, whose other half lies beside it'),
      flag('counted', 'counts as a model: more than suspected, and no half'),
    ],
  },
} as const satisfies TableTexts;

/** Facts of models, each model once whatever the number of apps that hold it. */
export const modelTables = {
  models: {
    what: 'one row a model',
    columns: [
      text('id', 'its `sha256`; with `+` and a part of `weights_hash` where its weights stand in another file'),
      text('sha256', 'of the bytes that belong to it'),
      text('format', 'name of the format'),
      text('framework', 'to which the format belongs'),
      count('bytes', 'of the model'),
      flag('is_read', 'its layers were read; where not, the columns below are empty'),
      text('reason', 'why it was not read'),
      text('name', 'that it gives itself'),
      text('producer', 'tool that wrote it'),
      text('version', 'of the format or schema'),
      count('layers', 'in all'),
      count('macs', 'multiply–accumulates of one run; empty where shapes are not known'),
      count('uncounted_layers', 'layers whose MACs are not known'),
      count('params', 'parameters with normalisations folded'),
      count('stored_params', 'parameters as stored'),
      count('param_bytes', 'of stored parameters'),
      count('peak_activation_bytes', 'most bytes of activations that live at once'),
      text('quantisation', '`none`, `float16`, `weights` or `full`'),
      count('per_channel_layers', 'layers with one scale a channel'),
      count('convert_layers', 'layers that convert between float and integer'),
      flag('int8_weights', 'some weights have 8-bit integers'),
      flag('int8_activations', 'some activations have 8-bit integers'),
      text('modality', '`vision`, `audio`, `text`, `sensor` or `other`'),
      text('task', '`object-detection` …'),
      text('task_confidence', '`observed`, `derived` or `suspected`'),
      texts('task_evidence', 'why'),
      text('architecture', '`MobileNet` …'),
      text('architecture_confidence', '`observed`, `derived` or `suspected`'),
      count('numbers', 'learned numbers that were looked at'),
      count('zeros', 'of these, zero'),
      count('near_zeros', 'of these, below 1e-9'),
      count('sparse_layers', 'layers with at least half zeros'),
      count('zero_channels', 'output channels that are all zero'),
      count('clustered_layers', 'layers with few different values'),
      count('marked_layers', 'layers that tools marked as pruned, clustered or quantised'),
      text('weights_hash', 'the same for the same learned numbers'),
      text('signs_hash', 'the same for these in half precision, too'),
      text('graph_hash', 'the same for the same architecture in one format'),
      text('skeleton_hash', 'the same for the same architecture in any format'),
      text('known', 'public model that it is, or was made from'),
      text('known_source', 'where that one is published'),
      text('known_licence', 'its licence'),
      text('known_by', '`file`, `weights` or `signs`: it is that model; `layers`: it was made from it'),
      number('known_share', 'bytes in common by bytes of the public model, 0 to 1'),
      texts('training', 'ways to train it on the device'),
      texts('licences', 'that it names'),
      texts('notes', 'what could not be derived, and why'),
      text('source_app', 'app whose record these facts are from'),
    ],
  },
  tensors: {
    what: 'inputs and outputs of models',
    columns: [
      model,
      text('role', '`input` or `output`'),
      count('position', 'from 0'),
      text('name', 'of the value'),
      text('dtype', '`float32` …'),
      { name: 'shape', type: 'count[]', what: 'sizes; empty entries where open' },
    ],
  },
  operators: {
    what: 'layers by operator',
    columns: [model, text('operator', "in the format's words"), count('layers', 'how many')],
  },
  families: {
    what: 'layers by family',
    columns: [model, text('family', '`convolution` …'), count('layers', 'how many')],
  },
  dtypes: {
    what: 'element types',
    columns: [
      model,
      text('role', '`weights` or `activations`'),
      text('dtype', '`float32` …'),
      count('seen', 'stored parameters, or values between layers'),
    ],
  },
  metadata: { what: 'what models say of themselves', columns: [model, text('key', 'name'), text('value', 'text')] },
  layers: {
    what: 'layers with weights: what lineage compares',
    columns: [
      model,
      count('position', 'from 0'),
      text('name', 'of the layer'),
      text('hash', 'of its learned numbers'),
      count('bytes', 'of learned numbers'),
    ],
  },
} as const satisfies TableTexts;

/** What is derived from several records, or comes from benchmarks. */
export const otherTables = {
  lineage: {
    what: 'pairs of models that share layers without being the same',
    columns: [
      text('a', '`models.id`'),
      text('b', '`models.id`'),
      text('kind', '`fine-tuned` (at most three layers differ) or `shares-layers`'),
      number('share_of_a', 'bytes in common by bytes of a, 0 to 1'),
      number('share_of_b', 'bytes in common by bytes of b, 0 to 1'),
      count('common_layers', 'layers in both'),
      count('differing_layers', 'layers of the one with more that the other lacks'),
      text('direction', '`from-a`: b was made from a; `from-b`; `undirected`'),
      text('because', 'what speaks for the direction: `known`, `more apps`, `earlier`'),
    ],
  },
  measurements: {
    what: 'benchmarks of models on devices',
    columns: [
      text('sha256', '`models.sha256`'),
      text('device', 'name'),
      text('backend', '`cpu`, `nnapi`, `gpu` …'),
      count('threads', 'of the run'),
      text('affinity', 'processors that it was bound to'),
      count('batch', 'samples at once'),
      number('p50_ms', 'median latency of a batch'),
      number('p90_ms', '90th percentile'),
      number('mean_ms', 'mean'),
      number('cv', 'coefficient of variation'),
      number('energy_mj', 'per inference'),
      count('peak_memory_bytes', 'of the process'),
      text('failure', 'why it was not measured'),
      text('file', 'the measurement is from'),
    ],
  },
} as const satisfies TableTexts;

type TableTexts = Readonly<Record<string, { readonly what: string; readonly columns: readonly StoreColumn[] }>>;

const named = (tables: TableTexts): readonly StoreTable[] =>
  Object.entries(tables).map(([name, table]) => ({ name, ...table }));

export type AppTable = keyof typeof appTables;
export type ModelTable = keyof typeof modelTables;

/** All tables that users see, in the order in which docs and exports list them. */
export const storeTables: readonly StoreTable[] = [...named(appTables), ...named(modelTables), ...named(otherTables)];

/** The table with a name. Throws where there is none: a defect of the caller. */
export function tableNamed(name: string): StoreTable {
  const table = storeTables.find((candidate) => candidate.name === name);
  if (table === undefined) throw new Error(`the store has no table '${name}'`);
  return table;
}

/** Tables that the store keeps for itself. */
export const ownTables: readonly StoreTable[] = [
  { name: 'store_state', what: 'settings', columns: [text('key', ''), text('value', '')] },
  {
    name: 'store_files',
    what: 'files that were taken in',
    columns: [text('file', ''), count('bytes', ''), number('modified', ''), text('error', '')],
  },
];

const sqlTypes: Readonly<Record<ColumnType, string>> = {
  text: 'VARCHAR',
  count: 'BIGINT',
  number: 'DOUBLE',
  flag: 'BOOLEAN',
  'text[]': 'VARCHAR[]',
  'count[]': 'BIGINT[]',
};

/** SQL that makes an empty table. */
export function createStatement({ name, columns }: StoreTable): string {
  return `CREATE TABLE ${name} (${columns.map((column) => `${column.name} ${sqlTypes[column.type]}`).join(', ')})`;
}

/** A row an occurrence that counts, joined with its app and its model: what most questions are about. */
export const FOUND_VIEW = `CREATE VIEW found AS SELECT
  o.app, o.model, o.path, o.confidence, o.disguise, a.identifier, a.label AS app_label, a.category, a.version AS app_version,
  m.* EXCLUDE (id, source_app)
FROM occurrences o JOIN apps a ON a.sha256 = o.app JOIN models m ON m.id = o.model WHERE o.counted`;
