/** @file Whether a model is a public one, or was made from one: by its file, its numbers, its signs, its layers. */
import { AuditError } from '../errors.js';
import type { KnownMatch, ModelIdentity } from './analysis.js';
import type { KnownModel } from './known-model.js';
import { knownModels } from './known-models.js';

/** Least share of a public model's layers that says that a model was made from it. */
const MIN_SHARE = 0.2;

interface Index {
  readonly bySha: ReadonlyMap<string, KnownModel>;
  readonly byWeights: ReadonlyMap<string, KnownModel>;
  readonly bySigns: ReadonlyMap<string, KnownModel>;
  readonly byLayer: ReadonlyMap<string, readonly KnownModel[]>;
  readonly bytes: ReadonlyMap<KnownModel, number>;
}

const indexes = new WeakMap<readonly KnownModel[], Index>();

/**
 * The public model that a model is or was made from; `undefined` where none fits. `sha256` is that of its file, where known.
 * Of several that share layers, the one with the largest share.
 */
export function recogniseModel(
  identity: ModelIdentity,
  sha256: string | undefined,
  table: readonly KnownModel[] = knownModels,
): KnownMatch | undefined {
  const index = indexOf(table);
  const exact =
    match(sha256 === undefined ? undefined : index.bySha.get(sha256), 'file') ??
    match(identity.weights === null ? undefined : index.byWeights.get(identity.weights), 'weights') ??
    match(identity.signs === null ? undefined : index.bySigns.get(identity.signs), 'signs');
  if (exact) return exact;
  const common = new Map<KnownModel, number>();
  const seen = new Set<string>();
  for (const { hash, bytes } of identity.layers) {
    const short = hash.slice(0, SHORT);
    if (seen.has(short)) continue;
    seen.add(short);
    for (const known of index.byLayer.get(short) ?? []) common.set(known, (common.get(known) ?? 0) + bytes);
  }
  let best: KnownMatch | undefined;
  for (const [known, bytes] of common) {
    const share = Math.min(1, bytes / Math.max(1, index.bytes.get(known)!));
    if (share >= MIN_SHARE && share > (best?.share ?? 0)) best = match(known, 'layers', share);
  }
  return best;
}

const SHORT = 12;

function match(known: KnownModel | undefined, by: KnownMatch['by'], share = 1): KnownMatch | undefined {
  if (known === undefined) return undefined;
  const { name, source, licence } = known;
  return { name, source, ...(licence === undefined ? {} : { licence }), by, share };
}

function indexOf(table: readonly KnownModel[]): Index {
  const made = indexes.get(table);
  if (made) return made;
  const by = (key: 'sha256' | 'weights' | 'signs'): ReadonlyMap<string, KnownModel> =>
    // The first of several stays.
    new Map([...table].reverse().flatMap((known) => (known[key] === undefined ? [] : [[known[key], known] as const])));
  const byLayer = new Map<string, KnownModel[]>();
  const bytes = new Map<KnownModel, number>();
  for (const known of table) {
    let sum = 0;
    for (const entry of new Set(known.layers?.split(' '))) {
      const [hash = '', size = '0'] = entry.split(':');
      sum += Number(size);
      const list = byLayer.get(hash);
      if (list) list.push(known);
      else byLayer.set(hash, [known]);
    }
    bytes.set(known, sum);
  }
  const index: Index = { bySha: by('sha256'), byWeights: by('weights'), bySigns: by('signs'), byLayer, bytes };
  indexes.set(table, index);
  return index;
}

/** What a table of public models keeps of one: as `KnownModel`. Layers below 1 KiB are left out. */
export function knownModelOf(
  about: Pick<KnownModel, 'name' | 'source' | 'licence' | 'sha256'>,
  identity: ModelIdentity,
): KnownModel {
  const layers = identity.layers
    .filter(({ bytes }) => bytes >= 1024)
    .map(({ hash, bytes }) => `${hash.slice(0, SHORT)}:${bytes}`)
    .join(' ');
  return {
    ...about,
    ...(identity.weights === null ? {} : { weights: identity.weights }),
    ...(identity.signs === null ? {} : { signs: identity.signs }),
    ...(layers === '' ? {} : { layers }),
  };
}

/** Reads a table of a user's own: `{ "models": [{ "name", "source", "licence", "sha256", "weights", "signs", "layers" }] }`. Throws AuditError where it is none. */
export function parseKnownModels(json: string): readonly KnownModel[] {
  const wrong = (message: string, cause?: unknown): AuditError =>
    new AuditError('known-models', `no table of known models: ${message}`, {
      hint: 'Expected { "models": [{ "name": …, "source": …, "sha256": … }] }.',
      ...(cause === undefined ? {} : { cause }),
    });
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (cause) {
    throw wrong('it is no JSON', cause);
  }
  const models = isRecord(parsed) ? parsed['models'] : undefined;
  if (!Array.isArray(models)) throw wrong('it has no list "models"');
  return models.map((each: unknown, i): KnownModel => {
    if (!isRecord(each)) throw wrong(`model ${i} is no object`);
    const text = (key: keyof KnownModel): string | undefined => {
      const value = each[key];
      if (value !== undefined && typeof value !== 'string') throw wrong(`"${key}" of model ${i} is no text`);
      return value;
    };
    const [name, source] = [text('name'), text('source')];
    if (!name || !source) throw wrong(`model ${i} has no name or no source`);
    for (const key of ['sha256', 'weights', 'signs'] as const)
      if (text(key) !== undefined && !/^[0-9a-f]{64}$/.test(text(key)!))
        throw wrong(`"${key}" of model ${i} is no SHA-256`);
    const layers = text('layers');
    if (layers !== undefined && !/^[0-9a-f]{12}:\d+( [0-9a-f]{12}:\d+)*$/.test(layers))
      throw wrong(`"layers" of model ${i} are none`);
    const optional = Object.fromEntries(
      (['licence', 'sha256', 'weights', 'signs', 'layers'] as const).flatMap((key) => {
        const value = text(key);
        return value === undefined ? [] : [[key, value]];
      }),
    );
    return { name, source, ...optional };
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
