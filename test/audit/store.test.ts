/** @file The store: what goes in comes out, once, whatever the order and however often. */
import { rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/audit/store/database.js';
import { STORE_FILE, updateStore } from '../../src/audit/store/open-store.js';
import { queryStore } from '../../src/audit/store/query.js';
import { storeTables } from '../../src/audit/store/schema.js';
import { appRecord, digest, scratch, writeRun } from './store-records.js';

const records = [
  appRecord('org.one', {
    models: [
      { name: 'shared' },
      { name: 'net', format: 'ncnn', path: 'a.apk!/assets/net.param' },
      { name: 'netw', format: 'ncnn-weights', path: 'a.apk!/assets/net.bin', unread: 'weights alone' },
    ],
    evidence: [{}, { subject: 'google-vision', use: 'referenced' }],
  }),
  appRecord('org.two', {
    models: [{ name: 'shared' }, { name: 'own', quantisation: { scheme: 'full', weights: { int8: 5 } } }],
  }),
  appRecord('org.three', { category: null }),
  appRecord('org.four', {
    models: [
      { name: 'shared', unread: 'cut short' },
      {
        name: 'hidden',
        format: 'unknown',
        confidence: 'suspected',
        disguise: 'encrypted',
        unread: 'it seems to be encrypted',
      },
    ],
  }),
  appRecord('org.five', { failure: 'it is no archive' }),
];

/** Everything that the store holds, in an order of its own. */
async function dump(folder: string): Promise<unknown> {
  const { path } = await updateStore(folder);
  await using database = await openDatabase(path, 'read');
  const tables = await Promise.all(
    storeTables.map(async ({ name }) => [name, await database.rows(`SELECT * FROM ${name} ORDER BY ALL`)] as const),
  );
  return Object.fromEntries(tables);
}

const values = async (folder: string, sql: string): Promise<unknown> => (await queryStore(folder, sql)).rows;

describe('taking in', () => {
  test('apps, models, occurrences', async () => {
    const folder = writeRun(scratch(), records);
    const update = await updateStore(folder);
    expect(update).toMatchObject({ taken: 5, gone: 0, rejected: [] });
    expect(await values(folder, 'SELECT identifier, models, suspects, uses_ml, failure FROM apps ORDER BY 1')).toEqual([
      ['org.five', 0, 0, false, 'it is no archive'],
      ['org.four', 1, 1, true, null],
      ['org.one', 2, 0, true, null],
      ['org.three', 0, 0, false, null],
      ['org.two', 2, 0, true, null],
    ]);
    expect(
      await values(folder, 'SELECT name, is_read, int8_weights, macs FROM models WHERE name IS NOT NULL ORDER BY 1'),
    ).toEqual([
      ['net', true, false, 3e6],
      ['own', true, true, 3e6],
      ['shared', true, false, 6e6],
    ]);
    expect(await values(folder, `SELECT shape, dtype FROM tensors WHERE role = 'input' LIMIT 1`)).toEqual([
      [[1, null, 224, 3], 'float32'],
    ]);
    expect(await values(folder, 'SELECT count(*) FROM found')).toEqual([[5]]);
    // The network's weights lie in another file: the same network with other weights is another model.
    expect(
      await values(folder, `SELECT id = sha256 || '+' || weights_hash[1:16] FROM models WHERE format = 'ncnn'`),
    ).toEqual([[true]]);
  });

  test('what is there already is not taken again', async () => {
    const folder = writeRun(scratch(), records);
    const first = await dump(folder);
    expect(await updateStore(folder)).toMatchObject({ taken: 0, gone: 0 });
    for (const { origin } of records) utimesSync(join(folder, 'records', `${origin.sha256}.json`), 1, 1);
    expect(await updateStore(folder)).toMatchObject({ taken: 5, gone: 0 });
    expect(await dump(folder)).toEqual(first);
  });

  test('one by one in any order is the same as at once', async () => {
    const whole = await dump(writeRun(scratch(), records));
    const folder = scratch();
    for (const record of [...records].sort((a, b) => (a.origin.sha256 < b.origin.sha256 ? 1 : -1))) {
      writeRun(folder, [record]);
      await updateStore(folder);
    }
    expect(await dump(folder)).toEqual(whole);
  });

  test('what goes leaves, and shared models stay with the facts of those who still have them', async () => {
    const folder = writeRun(scratch(), records);
    await updateStore(folder);
    const left = [records[3]!, records[4]!];
    for (const { origin } of records.slice(0, 3)) rmSync(join(folder, 'records', `${origin.sha256}.json`));
    expect(await updateStore(folder)).toMatchObject({ taken: 0, gone: 3 });
    expect(await dump(folder)).toEqual(await dump(writeRun(scratch(), left)));
    expect(await values(folder, `SELECT is_read, reason FROM models WHERE sha256 = '${digest('shared')}'`)).toEqual([
      [false, 'cut short'],
    ]);
    // The one who reads it comes back.
    writeRun(folder, records);
    expect(await dump(folder)).toEqual(await dump(writeRun(scratch(), records)));
  });

  test('files that are no records are told, and the rest goes in', async () => {
    const folder = writeRun(scratch(), records.slice(0, 2));
    const at = (name: string): string => join(folder, 'records', `${name}.json`);
    writeFileSync(at('broken'), '{ "schema": 1, ');
    writeFileSync(at('other'), '[]');
    writeFileSync(at('moved'), JSON.stringify(records[2]));
    writeFileSync(at(records[2]!.origin.sha256), JSON.stringify({ ...records[2]!, models: [{ format: 'tflite' }] }));
    const { rejected } = await updateStore(folder);
    expect(rejected.map(({ file, reason }) => [file, reason.replace(/'.*'/, 'it')])).toEqual(
      [
        [`records/${records[2]!.origin.sha256}.json`, 'it is no whole record of an app'],
        ['records/broken.json', expect.stringMatching(/^it is not JSON/)],
        ['records/moved.json', 'it is the record of another app than its name says'],
        ['records/other.json', 'it is no record of an app'],
      ].sort((a, b) => (a[0]! < b[0]! ? -1 : 1)),
    );
    expect(await values(folder, 'SELECT count(*) FROM apps')).toEqual([[2]]);
  });

  test('text of any kind comes back', async () => {
    const strange = `a'b"c\u0000d\ud800e\u{1f991}`;
    const folder = writeRun(scratch(), [
      appRecord('org.odd', { models: [{ name: 'm', metadata: { [strange]: strange }, macs: 1e30 }] }),
    ]);
    expect(await values(folder, 'SELECT key = value, length(value) FROM metadata')).toEqual([[true, 10]]);
    expect(await values(folder, 'SELECT macs FROM models')).toEqual([[null]]);
  });

  test('measurements', async () => {
    const one = {
      schema: 1,
      model: digest('shared'),
      device: 'a phone',
      backend: 'cpu',
      threads: 4,
      batch: 1,
      latencyMs: { p50: 1.5, p90: 2, mean: 1.6 },
      cv: 0.1,
    } as const;
    const folder = writeRun(scratch(), records, {
      one,
      more: [{ ...one, backend: 'gpu', latencyMs: undefined, failure: 'no such delegate' }],
    });
    writeFileSync(join(folder, 'measurements', 'bad.json'), '{"schema":1}');
    expect((await updateStore(folder)).rejected).toEqual([
      { file: 'measurements/bad.json', reason: 'it is no measurement of a model' },
    ]);
    expect(await values(folder, 'SELECT backend, p50_ms, failure FROM measurements ORDER BY 1')).toEqual([
      ['cpu', 1.5, null],
      ['gpu', null, 'no such delegate'],
    ]);
  });
});

describe('questions', () => {
  const folder = writeRun(scratch(), records);

  test.each([
    ["SELECT * FROM read_text('/etc/passwd')", /file system operations are disabled/],
    ["SELECT * FROM glob('/*')", /file system operations are disabled/],
    ["FROM '/etc/passwd'", /does not exist/],
    ["COPY apps TO '/tmp/x.csv'", /disabled/],
    ["EXPORT DATABASE '/tmp/x'", /disabled/],
    ["ATTACH '/tmp/x.duckdb'", /only reads/],
    ['INSTALL httpfs', /only reads/],
    ['LOAD httpfs', /only reads/],
    ['SET enable_external_access = true', /only reads/],
    ['DELETE FROM apps', /only reads/],
    ['CREATE TABLE x (a INT)', /only reads/],
    ['CREATE TEMP TABLE x (a INT)', /only reads/],
    ['EXPLAIN ANALYZE DELETE FROM apps', /read-only/],
    ['CALL pragma_version()', /only reads/],
    ['SELECT 1; SELECT 2', /one statement, not 2/],
    ['', /one statement, not 0/],
    ['SELEC', /syntax error at or near "SELEC"/],
    ['SELECT nothing FROM apps', /nothing/],
    ["SELECT error('a\nb')", /^[^\n]+$/],
    ['SELECT * FROM duckdb_secrets()', /disabled/],
  ])('%s is refused', async (sql, message) => {
    await expect(queryStore(folder, sql)).rejects.toMatchObject({
      kind: 'usage',
      message: expect.stringMatching(message) as string,
    });
  });

  test('answers are plain and bounded', async () => {
    expect(
      await queryStore(
        folder,
        `SELECT 1 AS a, 9007199254740993 AS a, DATE '2024-02-03' AS d, {'x': [1.5, NULL]} AS s, 'NaN'::DOUBLE AS n, 1.25 AS p`,
      ),
    ).toEqual({
      columns: ['a', 'a:1', 'd', 's', 'n', 'p'],
      rows: [[1, '9007199254740993', '2024-02-03T00:00:00.000Z', { x: [1.5, null] }, null, 1.25]],
      isCut: false,
    });
    const many = await queryStore(folder, 'SELECT range FROM range(100000)', { limit: 10 });
    expect([many.rows.length, many.isCut]).toEqual([10, true]);
  });

  test('a signal stops a long one', async () => {
    await updateStore(folder);
    const signal = AbortSignal.timeout(300);
    await expect(
      queryStore(folder, 'SELECT count(*) FROM range(100000000000) WHERE hash(range) = 1', { signal }),
    ).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  test('of no run, no store, another file', async () => {
    await expect(queryStore(join(folder, 'records'), 'SELECT 1')).rejects.toMatchObject({
      kind: 'invalid',
      code: 'audit/store-no-run',
    });
    const file = join(scratch(), 'x.duckdb');
    writeFileSync(file, 'no store at all'.repeat(1000));
    await expect(queryStore(file, 'SELECT 1')).rejects.toMatchObject({ kind: 'invalid' });
    expect(await values(join(folder, STORE_FILE), 'SELECT count(*) FROM apps')).toEqual([[5]]);
  });
});
