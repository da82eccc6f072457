/** @file Two snapshots of a small market: what came, went, changed and stayed. */
import { describe, expect, test } from 'vitest';
import {
  compareSnapshots,
  type App,
  type AppRecord,
  type ModelAnalysis,
  type ModelRecord,
} from '../../../src/audit/index.js';
import { analyse, network, retrained, withWeights } from './networks.js';

const base = network();
const first = analyse(base);
const tuned = analyse(withWeights(base, (_, values) => (values.length === 840 ? retrained(values, 2) : undefined)));

function modelRecord(
  sha256: string,
  path: string,
  analysis?: ModelAnalysis,
  more: Partial<ModelRecord> = {},
): ModelRecord {
  return {
    format: 'onnx',
    path,
    sha256,
    offset: 0,
    length: 1,
    confidence: 'observed',
    evidence: [],
    content: analysis
      ? ({ status: 'read', analysis } as unknown as ModelRecord['content'])
      : { status: 'unread', reason: 'not needed' },
    ...more,
  };
}

function app(
  identifier: string,
  models: readonly ModelRecord[],
  more: Partial<AppRecord> & { subjects?: readonly string[] } = {},
): AppRecord {
  const { subjects = [], ...rest } = more;
  const evidence = subjects.map((subject: string) => ({ subject }));
  return {
    schema: 1,
    origin: { kind: 'file', locator: identifier, sha256: `${identifier} 1`, bytes: 1 },
    app: { evidence } as unknown as App,
    identifier,
    category: 'tools',
    models,
    ...rest,
  };
}
const origin = (sha256: string): AppRecord['origin'] => ({ kind: 'file', locator: 'x', sha256, bytes: 1 });

const before = [
  app('stays', [modelRecord('a', 'a.onnx', first)], { subjects: ['google-vision'] }),
  app('goes', [modelRecord('b', 'b.onnx')]),
  app('changes', [
    modelRecord('c', 'c.onnx', first),
    modelRecord('d', 'd.onnx'),
    modelRecord('e', 'e.onnx'),
    modelRecord('f', 'f.onnx'),
  ]),
];
const after = [
  app('stays', [modelRecord('a', 'a.onnx', first)], { subjects: ['google-vision'] }),
  app(
    'changes',
    [
      modelRecord('c2', 'better.onnx', tuned),
      modelRecord('d2', 'd.onnx'),
      modelRecord('e', 'moved/e.onnx'),
      modelRecord('g', 'g.tflite', undefined, { format: 'tflite' }),
      modelRecord('?', 'h.bin', undefined, { confidence: 'suspected' }),
    ],
    { origin: origin('changes 2'), versionCode: 2, subjects: ['google-vision', 'openai', 'tflite'] },
  ),
  // An older version in the same snapshot does not count.
  app('changes', [modelRecord('z', 'z.onnx')], { versionCode: 1 }),
  app('comes', [modelRecord('a', 'a.onnx', first)], { category: 'games' }),
];

describe('two snapshots', () => {
  const comparison = compareSnapshots(before, after);

  test('apps', () => {
    expect(comparison.apps).toEqual({
      before: 3,
      after: 3,
      added: ['comes'],
      removed: ['goes'],
      updated: ['changes'],
      same: ['stays'],
    });
    expect(comparison.appsWithModels).toEqual({ before: 3, after: 3 });
  });

  test('models', () => {
    expect(comparison.models).toEqual({ before: 6, after: 6, added: 2, removed: 2, updated: 2, same: 2 });
    const of = (sha256: string) => comparison.steps.find((step) => step.after?.sha256 === sha256);
    expect(of('c2')).toMatchObject({ change: 'updated', because: 'shared layers', before: { sha256: 'c' } });
    expect(of('d2')).toMatchObject({ change: 'updated', because: 'same path', before: { sha256: 'd' } });
    expect(of('e')).toMatchObject({ change: 'same', before: { path: 'e.onnx' }, after: { path: 'moved/e.onnx' } });
    expect(of('g')).toMatchObject({ change: 'added' });
    expect(of('?')).toBeUndefined();
    expect(comparison.uniqueModels).toEqual({ before: 6, after: 5 });
  });

  test('by category and framework', () => {
    expect(comparison.byCategory).toEqual({
      games: { before: 0, after: 1, added: 1, removed: 0, updated: 0, same: 0 },
      tools: { before: 6, after: 5, added: 1, removed: 2, updated: 2, same: 2 },
    });
    expect(comparison.byFramework['TensorFlow Lite']).toMatchObject({ before: 0, after: 1 });
    expect(comparison.byFramework['ONNX']).toMatchObject({ before: 6, after: 5 });
  });

  test('services', () => {
    expect(comparison.appsWithCloud).toEqual({ before: 1, after: 2 });
    expect(comparison.subjects.filter(({ kind }) => kind === 'cloud')).toEqual([
      { subject: 'google-vision', kind: 'cloud', before: 1, after: 2 },
      { subject: 'openai', kind: 'cloud', before: 0, after: 1 },
    ]);
  });

  test('the order of records does not matter, and nothing changes against itself', () => {
    expect(compareSnapshots([...before].reverse(), [...after].reverse())).toEqual(comparison);
    const { models } = compareSnapshots(before, before);
    expect(models).toEqual({ before: 6, after: 6, added: 0, removed: 0, updated: 0, same: 6 });
  });
});
