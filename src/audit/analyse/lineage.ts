/** @file Which models are the same, share layers or descend from another, over many models at once. */
import type { ModelIdentity } from './analysis.js';

/** What lineage needs of one model. */
export interface LineageModel {
  /** SHA-256 of its bytes, or any other name of its own. */
  readonly id: string;
  readonly identity: ModelIdentity;
  /** In how many apps it was found; 1 where omitted. */
  readonly apps?: number;
  /** When it was first seen: any text that sorts by time (ISO dates do). */
  readonly firstSeen?: string;
  /** Name of the public model that it is. */
  readonly known?: string;
}

/** How two models are related, the closest first. */
export type RelationKind =
  /** The same bytes. */
  | 'same-file'
  /** Other bytes, the same learned numbers: renamed, other metadata, or another format. */
  | 'same-weights'
  /** The same signs of all kernels: converted, with other rounding, folding or half precision. */
  | 'same-network'
  /** At least `minShare` of the bytes in common, and at most `mostDiffering` layers differ: retrained in part. */
  | 'fine-tuned'
  /** At least `minShare` of the bytes in common. */
  | 'shares-layers'
  /** The same operators and shapes, other numbers: retrained whole. */
  | 'same-architecture'
  | 'unrelated';

/** Who came from whom: `from-a` means that b was made from a. */
export type Direction = 'from-a' | 'from-b' | 'undirected';

export interface Relation {
  readonly a: string;
  readonly b: string;
  readonly kind: RelationKind;
  /** Bytes in common by bytes of a, and by bytes of b; 0 to 1 (gaugeNN's measure). */
  readonly shareOfA: number;
  readonly shareOfB: number;
  readonly commonLayers: number;
  /** Layers of the one with more that the other lacks. */
  readonly differingLayers: number;
  readonly direction: Direction;
  /** Why it has that direction. */
  readonly because?: 'known' | 'more apps' | 'earlier';
}

/** Models that are the same in one respect: their ids, the likeliest origin first. */
export interface LineageClass {
  readonly kind: 'same-file' | 'same-weights' | 'same-network' | 'same-architecture';
  readonly hash: string;
  readonly models: readonly string[];
}

export interface LineageOptions {
  /** Least share of bytes in common for a relation; 0.2 as in gaugeNN. */
  readonly minShare?: number;
  /** Most layers that may differ for fine-tuning; 3 as in gaugeNN. */
  readonly mostDiffering?: number;
  /**
   * Of models that hold one layer, how many are compared with the next: the likeliest origins. A layer in ten thousand models
   * links each of them to these, not to all others, and as many relatives are kept of one model. 64 where omitted.
   */
  readonly mostHolders?: number;
}

export interface Lineage {
  readonly classes: readonly LineageClass[];
  /** Pairs that share layers without being the same; one model stands for all with its learned numbers. */
  readonly relations: readonly Relation[];
  /** Layers that more models hold than were compared. */
  readonly cappedLayers: number;
}

interface Prepared {
  readonly model: LineageModel;
  readonly order: number;
  readonly bytes: number;
  /** Layers by hash, with how often and how large. */
  readonly layers: ReadonlyMap<string, { count: number; readonly bytes: number }>;
  readonly layerCount: number;
}

/**
 * Relates many models: classes of the same, and pairs that share layers. Time grows with the number of layers, not of pairs:
 * an index over layers' hashes finds who shares any. Same input in any order gives the same result.
 */
export function modelLineage(models: readonly LineageModel[], options: LineageOptions = {}): Lineage {
  const { mostHolders = 64, minShare = 0.2 } = options;
  const sorted = [...models].sort(byOrigin);
  const classes = [
    ...classesBy(sorted, 'same-file', ({ id }) => id),
    ...classesBy(sorted, 'same-weights', ({ identity }) => identity.weights),
    ...classesBy(sorted, 'same-network', ({ identity }) => identity.signs),
    ...classesBy(sorted, 'same-architecture', ({ identity }) => identity.graph),
  ];
  const relations: Relation[] = [];
  const holders = new Map<string, Prepared[]>();
  const capped = new Set<string>();
  const seenWeights = new Set<string>();
  sorted.forEach((model, order) => {
    const same = model.identity.weights ?? `file ${model.id}`;
    if (seenWeights.has(same) || model.identity.layers.length === 0) return;
    seenWeights.add(same);
    const prepared = prepare(model, order);
    const candidates = new Map<Prepared, number>();
    let unsure = 0;
    for (const [hash, { bytes, count }] of prepared.layers) {
      const list = holders.get(hash);
      for (const other of list ?? []) {
        const common = Math.min(count, other.layers.get(hash)!.count) * bytes;
        candidates.set(other, (candidates.get(other) ?? 0) + common);
      }
      if (list === undefined) holders.set(hash, [prepared]);
      else if (list.length < mostHolders) list.push(prepared);
      else {
        capped.add(hash);
        unsure += bytes * count;
      }
    }
    // The index keeps some holders of a layer only: what is found is a lower bound, by at most what those layers weigh.
    const likely = [...candidates]
      .filter(([other, common]) => common + unsure >= minShare * Math.min(prepared.bytes, other.bytes))
      .sort(([p, x], [q, y]) => y - x || p.order - q.order)
      .slice(0, mostHolders);
    for (const [other] of likely) {
      const relation = related(other, prepared, options);
      if (relation.kind === 'fine-tuned' || relation.kind === 'shares-layers') relations.push(relation);
    }
  });
  relations.sort((p, q) => compare(p.a, q.a) || compare(p.b, q.b));
  return { classes, relations, cappedLayers: capped.size };
}

/** How two models are related. */
export function relationOf(a: LineageModel, b: LineageModel, options: LineageOptions = {}): Relation {
  const [p, q] = [prepare(a, 0), prepare(b, 1)];
  return related(p, q, options);
}

function prepare(model: LineageModel, order: number): Prepared {
  const layers = new Map<string, { count: number; readonly bytes: number }>();
  let bytes = 0;
  for (const layer of model.identity.layers) {
    bytes += layer.bytes;
    const known = layers.get(layer.hash);
    if (known) known.count++;
    else layers.set(layer.hash, { count: 1, bytes: layer.bytes });
  }
  return { model, order, bytes, layers, layerCount: model.identity.layers.length };
}

function related(p: Prepared, q: Prepared, options: LineageOptions): Relation {
  const { minShare = 0.2, mostDiffering = 3 } = options;
  const [a, b] = [p.model, q.model];
  let commonLayers = 0;
  let commonBytes = 0;
  for (const [hash, { bytes, count }] of p.layers) {
    const common = Math.min(count, q.layers.get(hash)?.count ?? 0);
    commonLayers += common;
    commonBytes += common * bytes;
  }
  const differingLayers = Math.max(p.layerCount, q.layerCount) - commonLayers;
  const shareOfA = p.bytes === 0 ? 0 : commonBytes / p.bytes;
  const shareOfB = q.bytes === 0 ? 0 : commonBytes / q.bytes;
  const equal = (hash: keyof Omit<ModelIdentity, 'layers'>): boolean =>
    a.identity[hash] !== null && a.identity[hash] === b.identity[hash];
  const isShared = Math.max(shareOfA, shareOfB) >= minShare;
  const kind: RelationKind =
    a.id === b.id
      ? 'same-file'
      : equal('weights')
        ? 'same-weights'
        : equal('signs')
          ? 'same-network'
          : isShared && differingLayers <= mostDiffering
            ? 'fine-tuned'
            : isShared
              ? 'shares-layers'
              : equal('graph') || equal('skeleton')
                ? 'same-architecture'
                : 'unrelated';
  return {
    a: a.id,
    b: b.id,
    kind,
    shareOfA,
    shareOfB,
    commonLayers,
    differingLayers,
    ...(kind === 'same-file' || kind === 'unrelated' ? { direction: 'undirected' } : directionOf(a, b)),
  };
}

function directionOf(a: LineageModel, b: LineageModel): Pick<Relation, 'direction' | 'because'> {
  const between = (isA: boolean, because: Relation['because'] & string): Pick<Relation, 'direction' | 'because'> => ({
    direction: isA ? 'from-a' : 'from-b',
    because,
  });
  if ((a.known === undefined) !== (b.known === undefined)) return between(a.known !== undefined, 'known');
  const [appsOfA, appsOfB] = [a.apps ?? 1, b.apps ?? 1];
  if (appsOfA !== appsOfB) return between(appsOfA > appsOfB, 'more apps');
  if (a.firstSeen !== undefined && b.firstSeen !== undefined && a.firstSeen !== b.firstSeen)
    return between(a.firstSeen < b.firstSeen, 'earlier');
  return { direction: 'undirected' };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Likeliest origin first. */
function byOrigin(a: LineageModel, b: LineageModel): number {
  return (
    Number(b.known !== undefined) - Number(a.known !== undefined) ||
    (b.apps ?? 1) - (a.apps ?? 1) ||
    // A model without a date comes after those with one.
    compare(a.firstSeen ?? '~', b.firstSeen ?? '~') ||
    compare(a.id, b.id)
  );
}

function classesBy(
  models: readonly LineageModel[],
  kind: LineageClass['kind'],
  hashOf: (model: LineageModel) => string | null,
): readonly LineageClass[] {
  const byHash = new Map<string, string[]>();
  for (const model of models) {
    const hash = hashOf(model);
    if (hash === null) continue;
    const list = byHash.get(hash);
    if (list) list.push(model.id);
    else byHash.set(hash, [model.id]);
  }
  return [...byHash].flatMap(([hash, ids]) => (ids.length > 1 ? [{ kind, hash, models: ids }] : []));
}
