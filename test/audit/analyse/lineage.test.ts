/** @file Families of models told apart exactly (G4), and a market of them in bounded time. */
import { describe, expect, test } from 'vitest';
import {
  modelLineage,
  relationOf,
  type LineageModel,
  type ModelIdentity,
  type Relation,
} from '../../../src/audit/index.js';
import { createRandom } from '../../../src/platform/index.js';
import { analyse, network, renamed, retrained, withWeights } from './networks.js';

const base = network();
const names = [...base.graph.initializers.keys()];
const last = names.filter((name) => base.graph.initializers.get(name)!.dims.length === 2).at(-1)!;
const lastLayer = new Set(names.slice(names.indexOf(last)));
const isLast = (name: string): boolean => lastLayer.has(name);

const family: Readonly<Record<string, ModelIdentity>> = Object.fromEntries(
  Object.entries({
    base,
    renamed: renamed(base, 'other_'),
    head: withWeights(base, (name, values) => (isLast(name) ? retrained(values, 7) : undefined)),
    all: withWeights(base, (_, values) => retrained(values, 8)),
    noisy: withWeights(base, (_, values) => values.map((value) => value * (1 + 1e-7))),
    stranger: network('digits-cnn', 3),
  }).map(([name, model]) => [name, analyse(model).identity]),
);
const model = (id: string, more: Partial<LineageModel> = {}): LineageModel => ({ id, identity: family[id]!, ...more });
const kind = (a: string, b: string): Relation['kind'] => relationOf(model(a), model(b)).kind;

describe('a family', () => {
  test.each([
    ['base', 'base', 'same-file'],
    ['base', 'renamed', 'same-weights'],
    ['base', 'head', 'fine-tuned'],
    ['renamed', 'head', 'fine-tuned'],
    ['base', 'all', 'same-architecture'],
    ['head', 'all', 'same-architecture'],
    ['base', 'noisy', 'same-network'],
    ['base', 'stranger', 'unrelated'],
  ] as const)('%s and %s: %s', (a, b, expected) => {
    expect(kind(a, b)).toBe(expected);
    expect(kind(b, a)).toBe(expected);
  });

  test('the share is bytes in common by bytes of the one', () => {
    const { shareOfA, shareOfB, differingLayers, commonLayers } = relationOf(model('base'), model('head'));
    const bytes = names.reduce((sum, name) => sum + base.graph.initializers.get(name)!.bytes.length, 0);
    const differing = [...lastLayer].reduce((sum, name) => sum + base.graph.initializers.get(name)!.bytes.length, 0);
    expect(shareOfA).toBeCloseTo((bytes - differing) / bytes, 3);
    expect(shareOfB).toBeCloseTo(shareOfA, 3);
    expect(differingLayers).toBe(1);
    expect(commonLayers).toBe(family['base']!.layers.length - 1);
  });

  test('names an origin only where something says so', () => {
    const direction = (a: Partial<LineageModel>, b: Partial<LineageModel>): string => {
      const relation = relationOf(model('base', a), model('head', b));
      return `${relation.direction} ${relation.because ?? ''}`.trim();
    };
    expect(direction({}, {})).toBe('undirected');
    expect(direction({ known: 'LeNet' }, { apps: 9 })).toBe('from-a known');
    expect(direction({ apps: 3 }, { apps: 9 })).toBe('from-b more apps');
    expect(direction({ firstSeen: '2024-01-02' }, { firstSeen: '2023-12-31' })).toBe('from-b earlier');
    expect(direction({ firstSeen: '2024-01-02' }, {})).toBe('undirected');
  });

  test('over all of them, in any order', () => {
    const models = Object.keys(family).map((id) => model(id, id === 'base' ? { apps: 5 } : {}));
    const lineage = modelLineage(models);
    expect(lineage.classes).toEqual([
      { kind: 'same-weights', hash: family['base']!.weights, models: ['base', 'renamed'] },
      { kind: 'same-network', hash: family['base']!.signs, models: ['base', 'noisy', 'renamed'] },
      { kind: 'same-architecture', hash: family['base']!.graph, models: ['base', 'all', 'head', 'noisy', 'renamed'] },
    ]);
    expect(lineage.relations).toMatchObject([
      { a: 'base', b: 'head', kind: 'fine-tuned', direction: 'from-a', because: 'more apps', differingLayers: 1 },
    ]);
    expect(modelLineage([...models].reverse())).toEqual(lineage);
  });
});

/** A market: originals with 20 to 60 layers, copies, fine-tuned ones, strangers; and one layer that all hold. */
function market(count: number): {
  readonly models: readonly LineageModel[];
  readonly tuned: ReadonlyMap<string, string>;
} {
  const random = createRandom(5);
  const tuned = new Map<string, string>();
  const models: LineageModel[] = [];
  const originals: LineageModel[] = [];
  const identity = (weights: string, layers: ModelIdentity['layers']): ModelIdentity => ({
    weights,
    signs: weights,
    graph: `graph ${layers.length}`,
    skeleton: null,
    layers,
  });
  for (let i = 0; i < count; i++) {
    const id = `m${String(i).padStart(6, '0')}`;
    const chance = random.next();
    const origin =
      originals.length > 0 && chance > 0.3 ? originals[Math.floor(originals.length * random.next() ** 4)] : undefined;
    if (origin === undefined) {
      const layers = Array.from({ length: 20 + random.int(41) }, (_, k) => ({
        name: `l${k}`,
        hash: `${id} ${k}`,
        bytes: 100 + random.int(9000),
      }));
      const made = { id, identity: identity(id, [...layers, { name: 'shared', hash: 'of all', bytes: 8 }]), known: id };
      originals.push(made);
      models.push(made);
    } else if (chance > 0.6) models.push({ id, identity: origin.identity });
    else {
      const layers = origin.identity.layers.map((layer, k) => (k === 3 ? { ...layer, hash: `${id} ${k}` } : layer));
      models.push({ id, identity: identity(id, layers) });
      tuned.set(id, origin.id);
    }
  }
  return { models, tuned };
}

test('20,000 models: every fine-tuned one finds its origin, without comparing all pairs', () => {
  const { models, tuned } = market(20_000);
  expect(tuned.size).toBeGreaterThan(5_000);
  const lineage = modelLineage(models);
  const found = new Map<string, string>();
  const kinds = new Set<string>();
  for (const { a, b, kind, direction, because } of lineage.relations)
    if (because === 'known') {
      kinds.add(kind);
      found.set(direction === 'from-a' ? b : a, direction === 'from-a' ? a : b);
    }
  expect([...kinds]).toEqual(['fine-tuned']);
  expect(found).toEqual(tuned);
  // The most popular original has thousands of descendants: pairs of these are not all listed.
  expect(lineage.relations.length).toBeLessThan(models.length * 64);
  expect(lineage.cappedLayers).toBeGreaterThan(0);
}, 60_000);
