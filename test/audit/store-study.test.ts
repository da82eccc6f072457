/** @file The study's figures: the published ones from a corpus with their counts, and small ones by hand. */
import { describe, expect, test } from 'vitest';
import type { ModelFormat } from '../../src/audit/index.js';
import { sharesOf, studyOf as readRun, type AuditStudy } from '../../src/audit/store/index.js';
import { percent } from '../../src/report/index.js';
import { appRecord, digest, scratch, writeRun, type ModelGiven } from './store-records.js';

/** Models by framework, as the study of 2021 counted them. */
const published: readonly (readonly [ModelFormat, string, number])[] = [
  ['tflite', 'TensorFlow Lite', 1436],
  ['caffe', 'Caffe', 176],
  ['ncnn', 'ncnn', 46],
  ['graphdef', 'TensorFlow', 5],
  ['dlc', 'SNPE', 3],
];
const shown = ['86.19 %', '10.56 %', '2.76 %', '0.30 %', '0.18 %'];
const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

const studyOf = async (folder: string): Promise<AuditStudy> => (await readRun(folder)).study;

test('shares of counts', () => {
  const shares = sharesOf(published.map(([, name, count]) => ({ name, count })));
  expect(shares.map(({ share }) => plain(percent(share, 2)))).toEqual(shown);
  expect(sharesOf([{ name: 'none', count: 0 }])).toEqual([{ name: 'none', count: 0, share: 0 }]);
  expect(sharesOf([])).toEqual([]);
});

test('a corpus of 1,666 models, 318 of them different', async () => {
  // 377 apps; every model beyond the first 318 is one of these again.
  const kinds = published.flatMap(([format, , count]) => Array.from({ length: count }, () => format));
  const unique: Readonly<Record<string, number>> = { tflite: 270, caffe: 30, ncnn: 12, graphdef: 4, dlc: 2 };
  const seen: Record<string, number> = {};
  const apps: ModelGiven[][] = Array.from({ length: 377 }, () => []);
  kinds.forEach((format, i) => {
    const n = seen[format] ?? 0;
    seen[format] = n + 1;
    const which = n % unique[format]!;
    const int8 = format === 'tflite' && which < 64;
    apps[i % 377]!.push({
      format,
      name: `${format}-${which}`,
      path: `a.apk!/m${i}`,
      layers: [`${format}-${which}`],
      ...(int8 && {
        quantisation: {
          scheme: 'full',
          weights: { int8: 9 },
          activations: { int8: 3 },
          convertLayers: which < 33 ? 2 : 0,
        },
      }),
    });
  });
  const folder = writeRun(
    scratch(),
    apps.map((models, i) => appRecord(`org.app${i}`, { models })),
  );
  const study = await studyOf(folder);
  expect(study.totals).toMatchObject({ apps: 377, appsWithModels: 377, models: 1666, uniqueModels: 318 });
  expect(sharesOf(study.frameworks).map(({ name, count, share }) => [name, count, plain(percent(share, 2))])).toEqual(
    published.map(([, name, count], i) => [name, count, shown[i]]),
  );
  expect(study.uniqueness).toMatchObject({ models: 1666, files: 318, weights: 318 });
  expect(plain(percent(study.uniqueness.files / study.uniqueness.models, 1))).toBe('19.1 %');
  expect(study.optimisations).toMatchObject({ read: 318, int8Weights: 64, int8Activations: 64, converting: 33 });
  expect(plain(percent(study.optimisations.nearZeroShare!, 2))).toBe('3.15 %');
});

describe('a small corpus', () => {
  const layers = ['l1', 'l2', 'l3', 'l4'];
  const known = { name: 'MobileNet 1', source: 'somewhere', by: 'layers', share: 0.75 } as const;
  const folder = writeRun(
    scratch(),
    [
      appRecord('org.one', {
        category: 'finance',
        models: [
          { name: 'base', layers },
          { name: 'hidden', confidence: 'suspected', disguise: 'encrypted', unread: 'encrypted', format: 'unknown' },
        ],
        evidence: [{ use: 'present' }, {}, { subject: 'google-vision', use: 'present' }],
      }),
      appRecord('org.two', {
        category: null,
        models: [{ name: 'base', layers }],
        evidence: [{ subject: 'google-vision', use: 'referenced' }],
      }),
      appRecord('org.three', {
        models: [
          {
            known,
            name: 'tuned',
            layers: ['l1', 'l2', 'l3', 'own'],
            task: { modality: 'audio', task: 'sound-recognition' },
          },
        ],
      }),
      appRecord('org.four'),
      appRecord('org.five', { failure: 'no archive' }),
    ],
    {
      a: {
        schema: 1,
        model: digest('base'),
        device: 'p',
        backend: 'cpu',
        batch: 1,
        latencyMs: { p50: 2, p90: 3, mean: 2 },
      },
    },
  );

  test('by hand', async () => {
    const study = await studyOf(folder);
    expect(study.totals).toEqual({
      ...{ apps: 5, appsWithModels: 3, mlApps: 3, cloudApps: 1, damaged: 0, failed: 1, bytes: 25_000_000 },
      ...{ models: 3, uniqueModels: 2, suspects: 1 },
    });
    expect(study.tasks).toEqual([
      { name: 'image-classification', modality: 'vision', count: 2, unique: 1 },
      { name: 'sound-recognition', modality: 'audio', count: 1, unique: 1 },
    ]);
    expect(study.categories.map(({ category, models }) => [category, models])).toEqual([
      ['productivity', 1],
      ['finance', 1],
      ['unknown', 1],
    ]);
    expect(study.disguises).toEqual([{ name: 'encrypted', count: 1 }]);
    expect(study.uniqueness).toEqual({ models: 3, files: 2, weights: 2, architectures: 1, reused: 2 / 3 });
    expect(study.mostReused).toEqual([{ id: digest('base'), title: 'base.bin', apps: 2, models: 2 }]);
    expect(study.publicModels).toEqual([
      { name: 'MobileNet 1', source: 'somewhere', licence: null, asPublished: 0, madeFrom: 1, apps: 1 },
    ]);
    expect(study.subjects).toEqual([
      expect.objectContaining({ subject: 'google-vision', called: 0, referenced: 1, present: 1 }),
      expect.objectContaining({ subject: 'tflite', called: 1, present: 0 }),
    ]);
    expect(study.lineage).toMatchObject({ models: 2, related: 2, fineTuned: 2, pairs: 1 });
    expect(study.lineage.edges[0]).toMatchObject({ kind: 'fine-tuned', share: 0.75, differingLayers: 1 });
    expect(study.measurements).toEqual([expect.objectContaining({ name: 'base.bin', p50Ms: 2, macs: 4e6 })]);
    expect(study.sizes.macs).toEqual([
      { from: expect.closeTo(2154434.69) as number, count: 1 },
      { from: expect.closeTo(4641588.83) as number, count: 1 },
    ]);
    expect(study.apps.map(({ identifier, found }) => [identifier, found.length])).toEqual([
      ['org.one', 2],
      ['org.three', 1],
      ['org.two', 1],
      ['org.five', 0],
      ['org.four', 0],
    ]);
    expect(study.models.map(({ title: name, apps, inputs }) => [name, apps, inputs])).toEqual([
      ['base.bin', 2, ['image: float32[1, ?, 224, 3]']],
      ['tuned.bin', 1, ['image: float32[1, ?, 224, 3]']],
      ['hidden.bin', 1, []],
    ]);
  });

  test('of nothing', async () => {
    const study = await studyOf(writeRun(scratch(), []));
    expect(study.totals).toMatchObject({ apps: 0, models: 0, bytes: 0 });
    expect(study.uniqueness.reused).toBe(0);
  });
});
