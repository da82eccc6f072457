/** @file From a record to rows: what the store keeps of one app, and of each model in it. Pure. */
import type { LayerIdentity } from '../analyse/analysis.js';
import { subjects } from '../evidence/index.js';
import { modelFormats, type ModelFormat } from '../formats.js';
import { problemKinds } from '../problem.js';
import type { AppRecord, ModelRecord } from '../record.js';
import type { AuditTensor } from '../read/model.js';
import type { Cell } from './database.js';
import { appTables, modelTables, type AppTable, type ModelTable } from './schema.js';

type Rows<Table extends string> = Readonly<Record<Table, readonly (readonly Cell[])[]>>;

/** Rows of one app, by table. */
export type AppRows = Rows<AppTable>;

/** Rows of one model, by table, and how much they tell: of two records of one model the better is kept. */
export interface ModelRows {
  readonly id: string;
  readonly isRead: boolean;
  readonly rows: Rows<ModelTable>;
}

/** Weights or networks that are half a model, and the formats of the other half. */
const halves: Readonly<Partial<Record<ModelFormat, readonly ModelFormat[]>>> = {
  'ncnn-weights': ['ncnn', 'ncnn-binary'],
  'caffe-prototxt': ['caffe'],
};

/** Networks whose learned numbers stand in another file: one network may come with many weights. */
const networksAlone: ReadonlySet<ModelFormat> = new Set(['ncnn', 'ncnn-binary', 'caffe-prototxt']);

/** What makes a model one of its own: its bytes, and its weights where these lie beside it. */
export function modelId({ format, sha256, content }: ModelRecord): string {
  const weights = content.status === 'read' ? content.analysis.identity.weights : null;
  return networksAlone.has(format) && weights !== null ? `${sha256}+${weights.slice(0, 16)}` : sha256;
}

/** The models of an app that count as such: more than suspected, and no half of another. */
export function countedModels({ models }: AppRecord): readonly ModelRecord[] {
  const isHalf = halvesAmong(models);
  return models.filter((model) => model.confidence !== 'suspected' && !isHalf(model));
}

/** Rows of an app. Throws TypeError where the record is not one. */
export function appRows(record: AppRecord): AppRows {
  const { app, origin, models } = record;
  const id = origin.sha256;
  const isHalf = halvesAmong(models);
  const counting = new Set(countedModels(record));
  const counted = counting.size;
  const manifest = app?.parts[0]?.manifest;
  const evidence = app?.evidence ?? [];
  const usesCode = evidence.some(
    ({ subject, use }) => use !== 'present' && ['framework', 'cloud'].includes(subjects[subject]?.kind ?? ''),
  );
  const permissions = new Set([
    ...(app?.parts ?? []).flatMap((part) => part.manifest.permissions),
    ...(app?.ios?.permissions ?? []),
  ]);
  return {
    apps: [
      inOrder('apps', appTables, {
        sha256: id,
        identifier: record.identifier,
        label: record.label,
        version: record.version,
        version_code: record.versionCode,
        category: record.category,
        platform: app?.platform,
        container: app?.container,
        origin: origin.kind,
        locator: origin.locator,
        market: origin.listing?.market,
        licence: origin.listing?.licence,
        added: origin.listing?.added,
        listed_categories: origin.listing?.categories,
        bytes: origin.bytes,
        files: app?.files,
        unpacked_bytes: app?.bytes,
        classes: app?.code.classes,
        methods: app?.code.methods,
        min_sdk: manifest?.minSdk,
        target_sdk: manifest?.targetSdk,
        certificate: app?.parts[0]?.signatures.at(-1)?.certificates[0]?.sha256,
        abis: app?.abis,
        condition: app?.condition,
        failure: record.failure,
        models: counted,
        suspects: models.filter(({ confidence }) => confidence === 'suspected').length,
        uses_ml: counted > 0 || usesCode,
      }),
    ],
    permissions: [...permissions].map((permission) => [id, permission]),
    libraries: (app?.libraries ?? []).map(({ path, abi, size, soname }) => [id, path, abi, size, soname ?? null]),
    problems: (app?.problems ?? []).map(({ code, path, message }) => [
      id,
      code,
      problemKinds[code] ?? null,
      path,
      message,
    ]),
    evidence: evidence.map(({ subject, use, confidence, clue, path, count, examples }) => [
      id,
      subjects[subject]?.kind ?? null,
      subject,
      subjects[subject]?.title ?? subject,
      use,
      confidence,
      clue,
      path,
      count,
      examples,
    ]),
    occurrences: models.map((model) =>
      inOrder('occurrences', appTables, {
        app: id,
        model: modelId(model),
        path: model.path,
        start: model.offset,
        bytes: model.length,
        format: model.format,
        framework: frameworkOf(model.format),
        confidence: model.confidence,
        disguise: model.disguise,
        evidence: model.evidence,
        half: isHalf(model),
        counted: counting.has(model),
      }),
    ),
  };
}

/** Rows of a model found in an app. Throws TypeError where the record is not one. */
export function modelRows(model: ModelRecord, app: string): ModelRows {
  const { content, sha256 } = model;
  const id = modelId(model);
  const common = {
    id,
    sha256,
    format: model.format,
    framework: frameworkOf(model.format),
    bytes: model.length,
    is_read: content.status === 'read',
    source_app: app,
  };
  if (content.status !== 'read')
    return {
      id,
      isRead: false,
      rows: {
        models: [inOrder('models', modelTables, { ...common, reason: content.reason })],
        ...{ tensors: [], operators: [], families: [], dtypes: [], metadata: [], layers: [] },
      },
    };
  const { totals, quantisation, analysis } = content;
  const { weights, identity, task, architecture } = analysis;
  const facts: Readonly<Record<string, Cell | undefined>> = {
    ...common,
    name: content.name,
    producer: content.producer,
    version: content.version,
    layers: totals.layers,
    macs: totals.macs,
    uncounted_layers: totals.uncountedLayers,
    params: totals.params,
    stored_params: totals.storedParams,
    param_bytes: totals.paramBytes,
    peak_activation_bytes: analysis.peakActivationBytes,
    quantisation: quantisation.scheme,
    per_channel_layers: quantisation.perChannelLayers,
    convert_layers: quantisation.convertLayers,
    int8_weights: hasBytes(quantisation.weights),
    int8_activations: hasBytes(quantisation.activations),
    modality: task.value.modality,
    task: task.value.task,
    task_confidence: task.confidence,
    task_evidence: task.evidence,
    architecture: architecture?.value,
    architecture_confidence: architecture?.confidence,
    numbers: weights.numbers,
    zeros: weights.zeros,
    near_zeros: weights.nearZeros,
    sparse_layers: weights.sparseLayers,
    zero_channels: weights.zeroChannels,
    clustered_layers: weights.clusteredLayers,
    marked_layers: weights.markedLayers,
    weights_hash: identity.weights,
    signs_hash: identity.signs,
    graph_hash: identity.graph,
    skeleton_hash: identity.skeleton,
    known: analysis.known?.name,
    known_source: analysis.known?.source,
    known_licence: analysis.known?.licence,
    known_by: analysis.known?.by,
    known_share: analysis.known?.share,
    training: analysis.training,
    licences: analysis.licences,
    notes: content.notes,
  };
  const counts = (entries: Readonly<Record<string, number>>): readonly (readonly Cell[])[] =>
    Object.entries(entries).map(([name, count]) => [id, name, count]);
  return {
    id,
    isRead: true,
    rows: {
      models: [inOrder('models', modelTables, facts)],
      tensors: [...tensorRows(id, 'input', content.inputs), ...tensorRows(id, 'output', content.outputs)],
      operators: counts(analysis.operators),
      families: counts(analysis.families),
      dtypes: (['weights', 'activations'] as const).flatMap((role) =>
        Object.entries(quantisation[role]).map(([dtype, seen]) => [id, role, dtype, seen]),
      ),
      metadata: Object.entries(content.metadata).map(([key, value]) => [id, key, value]),
      layers: identity.layers.map(({ name, hash, bytes }: LayerIdentity, i) => [id, i, name, hash, bytes]),
    },
  };
}

/** Says of findings whether they are halves of others in the same folder of the same app. */
function halvesAmong(models: readonly ModelRecord[]): (model: ModelRecord) => boolean {
  const present = new Set(models.map(({ path, format }) => `${format} ${folderOf(path)}`));
  return ({ path, format }) => (halves[format] ?? []).some((other) => present.has(`${other} ${folderOf(path)}`));
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);

const frameworkOf = (format: ModelFormat): string => modelFormats[format]?.framework ?? 'unknown';

const hasBytes = (types: Readonly<Record<string, number>>): boolean =>
  Object.entries(types).some(([dtype, seen]) => /^u?int8$/.test(dtype) && seen > 0);

const tensorRows = (model: string, role: string, tensors: readonly AuditTensor[]): readonly (readonly Cell[])[] =>
  tensors.map(({ name, dtype, shape }, i) => [model, role, i, name, dtype, shape]);

/** Cells in the order of a table's columns. What is not given is empty; a name that is no column is a defect. */
function inOrder<Tables extends Readonly<Record<string, { readonly columns: readonly { readonly name: string }[] }>>>(
  table: keyof Tables & string,
  tables: Tables,
  facts: Readonly<Record<string, Cell | undefined>>,
): readonly Cell[] {
  const columns = tables[table]!.columns.map(({ name }) => name);
  const strange = Object.keys(facts).filter((name) => !columns.includes(name));
  if (strange.length > 0) throw new Error(`'${table}' has no columns ${strange.join(', ')}`);
  return columns.map((name) => facts[name] ?? null);
}
