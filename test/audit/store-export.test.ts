/** @file What leaves the store: Parquet, CSV, JSON, and bills of materials that CycloneDX's own validator accepts. */
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/audit/store/database.js';
import { exportStore } from '../../src/audit/store/export.js';
import { STORE_FILE, updateStore } from '../../src/audit/store/open-store.js';
import { appTables, modelTables, storeTables } from '../../src/audit/store/schema.js';
import { appRecord, digest, scratch, writeRun } from './store-records.js';

const shared = { name: 'shared', licences: ['Apache-2.0', 'a licence of our own'] };
const records = [
  appRecord('org.one', {
    models: [shared, { name: 'closed', unread: 'too large', format: 'dlc' }],
    evidence: [
      {},
      { use: 'present', clue: 'library' },
      { subject: 'google-vision', use: 'referenced' },
      { subject: 'nnapi' },
    ],
  }),
  appRecord('org.two', { models: [shared], evidence: [{ subject: 'google-vision', use: 'called' }] }),
  appRecord('org.three', { failure: 'it is no archive' }),
];
const measured = {
  schema: 1,
  model: digest('shared'),
  device: 'a phone',
  backend: 'cpu',
  threads: 4,
  batch: 1,
  latencyMs: { p50: 1.5, p90: 2, mean: 1.6 },
  energyMj: 3,
} as const;
const folder = writeRun(scratch(), records, { one: measured });

const read = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));

describe('tables', () => {
  test.each(['parquet', 'csv'] as const)('as %s, and back', async (format) => {
    const out = join(scratch(), 'tables');
    const files = await exportStore(folder, format, out);
    expect(files).toEqual(storeTables.map(({ name }) => join(out, `${name}.${format}`)));
    await using database = await openDatabase(join(folder, STORE_FILE), 'read');
    for (const { name, columns } of storeTables) {
      const back = await database.rows(`SELECT * FROM read_${format}('${join(out, `${name}.${format}`)}')`);
      const own = await database.rows(`SELECT * FROM ${name} ORDER BY ALL`);
      expect(back.length, name).toBe(own.length);
      if (format === 'parquet') expect(back, name).toEqual(own);
      if (back[0]) expect(Object.keys(back[0])).toEqual(columns.map((column) => column.name));
    }
    await expect(exportStore(folder, format, out)).rejects.toMatchObject({ code: 'platform/file-exists' });
    await exportStore(folder, format, out, { force: true });
  });

  test('a folder with a quote in its name', async () => {
    const out = join(scratch(), "it's");
    await exportStore(folder, 'csv', out);
    expect(readFileSync(join(out, 'permissions.csv'), 'utf8')).toContain('android.permission.CAMERA');
  });
});

describe('Parquet of two machines', () => {
  // An app that both audited, and a model that both found, in different apps.
  const [one, two, three] = records as [(typeof records)[0], (typeof records)[0], (typeof records)[0]];
  const folders = [writeRun(scratch(), [one, three]), writeRun(scratch(), [two, three])];
  const all = writeRun(scratch(), records);
  const keys = new Map([
    ...Object.keys(appTables).map((name) => [name, name === 'apps' ? 'sha256' : 'app'] as const),
    ...Object.keys(modelTables).map((name) => [name, name === 'models' ? 'id' : 'model'] as const),
  ]);

  test('is the store of one that audited all', async () => {
    const outs = folders.map(() => scratch());
    for (const [i, run] of folders.entries()) await exportStore(run, 'parquet', outs[i]!);
    await updateStore(all);
    await using database = await openDatabase(join(all, STORE_FILE), 'read');
    let seen = 0;
    for (const [name, key] of keys) {
      const files = outs.map((out) => `'${join(out, `${name}.parquet`)}'`).join(', ');
      // Whichever app a model's facts were taken from: they are the same facts.
      const but = name === 'models' ? 'EXCLUDE (source_app)' : '';
      const together = await database.rows(
        `SELECT * ${but} FROM (SELECT * EXCLUDE (filename) FROM read_parquet([${files}], filename = true)
         QUALIFY filename = min(filename) OVER (PARTITION BY ${key})) ORDER BY ALL`,
      );
      expect(together, name).toEqual(await database.rows(`SELECT * ${but} FROM ${name} ORDER BY ALL`));
      seen += together.length;
    }
    expect(seen).toBe(28);
  });
});

test('JSON holds the records and measurements as they are', async () => {
  const out = join(scratch(), 'all.json');
  await exportStore(folder, 'json', out);
  const sorted = [...records].sort((a, b) => (a.origin.sha256 < b.origin.sha256 ? -1 : 1));
  expect(read(out)).toEqual(JSON.parse(JSON.stringify({ schema: 1, records: sorted, measurements: [measured] })));
  const { path } = await updateStore(folder);
  await expect(exportStore(path, 'json', join(scratch(), 'x.json'))).rejects.toMatchObject({ kind: 'usage' });
});

interface Bom {
  readonly serialNumber: string;
  readonly metadata: { readonly component?: { readonly name: string } };
  readonly components: readonly Readonly<Record<string, unknown>>[];
  readonly services: readonly unknown[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

describe('CycloneDX', () => {
  const valid = async (file: string): Promise<Bom> => {
    expect(
      await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(readFileSync(file, 'utf8')),
    ).toBeNull();
    return read(file) as Bom;
  };

  test('of all apps', async () => {
    const out = join(scratch(), 'bom.json');
    await exportStore(folder, 'cyclonedx', out);
    const bom = await valid(out);
    const models = bom.components.filter(({ type }) => type === 'machine-learning-model');
    expect(models.map(({ name, hashes }) => [name, hashes]).sort()).toEqual([
      ['closed.bin', [{ alg: 'SHA-256', content: digest('closed') }]],
      ['shared', [{ alg: 'SHA-256', content: digest('shared') }]],
    ]);
    expect(models.find(({ name }) => name === 'shared')).toMatchObject({
      licenses: [{ license: { id: 'Apache-2.0' } }, { license: { name: 'a licence of our own' } }],
      modelCard: {
        modelParameters: {
          task: 'image-classification',
          architectureFamily: 'MobileNet',
          inputs: [{ format: 'float32[1, ?, 224, 3]' }],
        },
        quantitativeAnalysis: {
          performanceMetrics: [
            { type: 'median latency (ms)', value: '1.5', slice: 'a phone, cpu, 4 threads, batch 1' },
            { type: 'energy per inference (mJ)', value: '3' },
          ],
        },
      },
    });
    expect(bom.services).toEqual([
      {
        'bom-ref': 'cloud:google-vision',
        name: expect.any(String) as string,
        properties: [{ name: 'cuttle:usage', value: 'called' }],
      },
    ]);
    expect(Object.fromEntries(bom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn.length]))).toEqual({
      [`app:${digest('app org.one')}`]: 4,
      [`app:${digest('app org.two')}`]: 2,
      [`app:${digest('app org.three')}`]: 0,
    });
  });

  test('of one app: it stands in the head', async () => {
    const out = join(scratch(), 'bom.json');
    await exportStore(folder, 'cyclonedx', out, { app: 'org.two' });
    const bom = await valid(out);
    expect(bom.metadata.component?.name).toBe('The app org.two');
    expect(bom.components.map(({ type }) => type)).toEqual(['machine-learning-model']);
    const again = join(scratch(), 'bom.json');
    await exportStore(folder, 'cyclonedx', again, { app: digest('app org.two') });
    expect(readFileSync(again, 'utf8')).toBe(readFileSync(out, 'utf8'));
    await expect(exportStore(folder, 'cyclonedx', join(scratch(), 'x'), { app: 'org.none' })).rejects.toMatchObject({
      kind: 'invalid',
    });
  });

  test('an audit without apps gives a valid one, too', async () => {
    const out = join(scratch(), 'bom.json');
    await exportStore(writeRun(scratch(), []), 'cyclonedx', out);
    expect((await valid(out)).components).toEqual([]);
    expect(existsSync(`${out}.partial`)).toBe(false);
  });
});
