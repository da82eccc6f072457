/** @file What sources list: F-Droid's index, AndroZoo's table, addresses, files; and objects inside large JSON documents. */
import fc from 'fast-check';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { androzooItems, fdroidItems, Fetcher, findFiles, urlItems, type PlanItem } from '../../src/audit/node.js';
import { jsonMembers } from '../../src/audit/sources/json-members.js';
import { cuttle, expectRefusal } from '../cli/cli.js';
import { apk, put, recordsOf, scratch, workersBuilt } from './corpus.js';
import { moodyServer } from './moody-server.js';

const recorded = resolve(import.meta.dirname, '../fixtures/audit/fdroid');
const fetcher = (): Fetcher => new Fetcher({ userAgent: 'cuttle/test', requestsPerSecond: 1000, backoffMs: 5 });

async function listed(items: AsyncIterable<PlanItem>): Promise<readonly PlanItem[]> {
  const all: PlanItem[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function* pieces(text: string, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

describe('members of an object in a large document', () => {
  test('are those of JSON.parse, however the document is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        fc.boolean(),
        async (inner, beside, sizes, indented) => {
          const document = { ...beside, a: { before: [{ b: 1 }], b: inner, after: {} } };
          const text = JSON.stringify(document, null, indented ? 2 : 0);
          const found: (readonly [string, unknown])[] = [];
          for await (const member of jsonMembers(pieces(text, sizes), ['a', 'b'], 1 << 20)) found.push(member);
          const expected = (JSON.parse(text) as { a: { b: Record<string, unknown> } }).a.b;
          expect(found).toEqual(Object.entries(expected).map((entry) => entry));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('are refused where they are too large, broken, nested too deep or cut off', async () => {
    const read = async (text: string): Promise<void> => {
      for await (const member of jsonMembers(pieces(text, [7]), ['p'], 100)) void member;
    };
    await expect(read(`{"p":{"a":"${'x'.repeat(200)}"}}`)).rejects.toThrow(/more than 100 bytes/);
    await expect(read(`{"p":{"${'x'.repeat(5000)}":1}}`)).rejects.toThrow(/a key of more than/);
    await expect(read('{"p":{"a":tru}}')).rejects.toThrow(/no JSON/);
    await expect(read('{"p":{"a":1')).rejects.toThrow(/ends early/);
    await expect(read(`{"p":${'['.repeat(100)}`)).rejects.toThrow(/nested/);
  });
});

/** The items of a repository that lies in a folder. */
async function itemsOf(
  folder: string,
  versions: 'newest' | 'all',
): Promise<{ readonly url: string; readonly items: readonly PlanItem[] }> {
  await using server = await moodyServer(folder);
  const items = await listed(fdroidItems(`${server.url}/?fingerprint=00`, fetcher(), { versions, folder: scratch() }));
  return { url: server.url, items };
}

describe('an F-Droid repository, as fdroidserver made it', () => {
  test('lists the newest version of each app, or all, with what it says of them', async () => {
    const { url, items } = await itemsOf(recorded, 'newest');
    const apkOf = (name: string): Uint8Array => new Uint8Array(readFileSync(join(recorded, name)));
    const of = (name: string): object => ({
      kind: 'fdroid',
      locator: `${url}/${name}`,
      url: `${url}/${name}`,
      sha256: createHash('sha256').update(apkOf(name)).digest('hex'),
      bytes: apkOf(name).length,
    });
    expect(items).toMatchObject([
      {
        ...of('org.example.alpha_2.apk'),
        listing: { name: 'Alpha', categories: ['Multimedia', 'Science & Education'], licence: 'Apache-2.0' },
      },
      { ...of('org.example.beta_7.apk'), listing: { name: 'Beta', categories: ['Games'], licence: 'GPL-3.0-only' } },
    ]);
    expect(items[0]!.listing!.added).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect((await itemsOf(recorded, 'all')).items.map(({ locator }) => /[^/]+$/.exec(locator)![0])).toEqual([
      'org.example.alpha_2.apk',
      'org.example.alpha_1.apk',
      'org.example.beta_7.apk',
    ]);
  });

  test('an index of another checksum, a broken one and none at all are refused', async () => {
    const folder = scratch();
    for (const name of ['entry.json', 'index-v2.json']) put(folder, name, readFileSync(join(recorded, name)));
    const index = readFileSync(join(folder, 'index-v2.json'), 'utf8');
    put(folder, 'index-v2.json', index.replace('Games', 'Gamez'));
    await expect(itemsOf(folder, 'all')).rejects.toThrow(/SHA-256 .* was published/);
    const entry = (text: string): string =>
      JSON.stringify({
        index: {
          name: '/index-v2.json',
          sha256: createHash('sha256').update(text).digest('hex'),
          size: Buffer.byteLength(text),
        },
      });
    for (const [broken, why] of [
      [index.replace('/org.example.beta_7.apk', '/../secret.apk'), /app 'org.example.beta'/],
      [index.replace(/"sha256": "[0-9a-f]{64}",\s+"size": 8530/, '"sha256": "x", "size": 1'), /app 'org.example/],
      [index.slice(0, 2000), /ends early/],
    ] as const) {
      put(folder, 'index-v2.json', broken);
      put(folder, 'entry.json', entry(broken));
      await expect(itemsOf(folder, 'all')).rejects.toThrow(why);
    }
    put(folder, 'entry.json', '{}');
    await expect(itemsOf(folder, 'all')).rejects.toMatchObject({ code: 'audit/fdroid', kind: 'invalid' });
    await expect(itemsOf(scratch(), 'all')).rejects.toThrow(/answered 404/);
  });

  test.skipIf(!workersBuilt)('is audited whole: broken connections, a missing app, the same again', async () => {
    const folder = scratch();
    const repository = join(folder, 'repo');
    for (const name of readdirSync(recorded)) put(repository, name, readFileSync(join(recorded, name)));
    await using server = await moodyServer(repository);
    const out = join(folder, 'out');
    const run = [
      'audit',
      '--fdroid',
      server.url,
      '--versions',
      'all',
      '--out',
      out,
      '--rate',
      '500',
      '--workers',
      '1',
      '--json',
    ];
    server.expect('/index-v2.json', { cutAfter: 1000 });
    server.expect('/org.example.alpha_1.apk', { cutAfter: 3000 }, { status: 503, retryAfter: '0' });
    server.expect('/org.example.beta_7.apk', { status: 404 });
    const first = await cuttle(run);
    expect(first.err.filter((line) => line.startsWith('warning'))).toEqual([
      expect.stringMatching(/beta_7.apk' was not audited: .*404/),
    ]);
    expect(JSON.parse(first.out)).toMatchObject({
      items: 3,
      apps: 2,
      models: 2,
      unavailable: [{ locator: `${server.url}/org.example.beta_7.apk` }],
    });
    const asked = server.seen.length;
    expect(JSON.parse((await cuttle(run)).out)).toMatchObject({
      items: 3,
      apps: 3,
      models: 3,
      doneNow: 1,
      unavailable: [],
    });
    expect(server.seen.slice(asked).map(({ path }) => path)).toEqual(['/org.example.beta_7.apk']);
    expect(readdirSync(out).sort()).toEqual(['journal.jsonl', 'plan.jsonl', 'records', 'run.json']);
    const records = Object.values(recordsOf(out)).map((text) => JSON.parse(text) as Readonly<Record<string, unknown>>);
    expect(records.find(({ identifier }) => identifier === 'org.example.beta')).toMatchObject({
      origin: { kind: 'fdroid', listing: { categories: ['Games'] } },
      category: 'Games',
      version: '0.7',
      versionCode: 7,
      label: 'Beta',
    });

    // Kept downloads are not fetched by another run.
    const kept = [
      'audit',
      '--fdroid',
      server.url,
      '--rate',
      '500',
      '--workers',
      '1',
      '--downloads',
      join(folder, 'kept'),
      '--out',
    ];
    await cuttle([...kept, join(folder, 'x')]);
    const before = server.seen.length;
    expect((await cuttle([...kept, join(folder, 'y')])).code).toBe(0);
    expect(server.seen.slice(before).map(({ path }) => path)).toEqual(['/entry.json', '/index-v2.json']);
    expect(recordsOf(join(folder, 'y'))).toEqual(recordsOf(join(folder, 'x')));
  });

  const tool = existsSync('/usr/bin/fdroid') && existsSync('/usr/bin/aapt') && existsSync('/usr/bin/apksigner');
  if (!tool) console.warn('skipped: no fdroidserver, aapt or apksigner here');
  test.skipIf(!tool || process.env['CUTTLE_FDROID'] === undefined)(
    'made now by fdroidserver, gives the same items (CUTTLE_FDROID=1: it takes a minute)',
    async () => {
      const folder = scratch();
      const script = resolve(import.meta.dirname, '../oracles/record-fdroid.py');
      const made = spawnSync('/usr/bin/python3', [script, folder], { encoding: 'utf8' });
      expect(made.status, made.stderr).toBe(0);
      const plain = ({ listing, locator }: PlanItem): object => ({
        ...listing,
        added: '',
        file: /[^/]+$/.exec(locator)![0],
      });
      expect((await itemsOf(folder, 'all')).items.map(plain)).toEqual(
        (await itemsOf(recorded, 'all')).items.map(plain),
      );
    },
    240_000,
  );
});

describe('lists', () => {
  const [a, b] = ['A'.repeat(64), 'b'.repeat(64)];

  test('AndroZoo’s table, with and without titles, packed or not', async () => {
    const folder = scratch();
    const titles = 'sha256,sha1,md5,dex_date,apk_size,pkg_name,vercode,vt_detection,vt_scan_date,dex_size,markets';
    const rows = `${a},1,2,2016-04-05 17:58:46,10386469,"com.zte.bamachaye",121,0,2016-06-15 15:26:38,4765888,anzhi\n${b},1,2,,77,com.x,1,,,1,play.google.com|fdroid\n`;
    const expected = [
      {
        kind: 'androzoo',
        sha256: a.toLowerCase(),
        bytes: 10386469,
        locator: `https://androzoo.uni.lu/api/download?sha256=${a}`,
        url: `https://androzoo.uni.lu/api/download?sha256=${a}`,
        listing: { name: 'com.zte.bamachaye', market: 'anzhi', added: '2016-04-05' },
      },
      { sha256: b, bytes: 77, listing: { name: 'com.x', market: 'play.google.com|fdroid' } },
    ];
    expect(await listed(androzooItems(put(folder, 'a.csv', `${titles}\n${rows}`)))).toMatchObject(expected);
    expect(await listed(androzooItems(put(folder, 'b.csv', rows)))).toMatchObject(expected);
    expect(await listed(androzooItems(put(folder, 'c.csv.gz', gzipSync(rows))))).toMatchObject(expected);
    expect(await listed(androzooItems(put(folder, 'd.txt', `${a}\n${b}`)))).toMatchObject([
      { sha256: a.toLowerCase() },
      { sha256: b },
    ]);
    await expect(listed(androzooItems(put(folder, 'e.csv', `${a}\nnonsense\n`)))).rejects.toThrow(
      /line 2 of .* no SHA-256/,
    );
  });

  test('addresses, with checksums where they are known', async () => {
    const folder = scratch();
    const text = `# apps\nhttps://example.org/a b.apk\n\n`.replace('a b', 'a%20b') + `http://example.org/x ${a}\r\n`;
    expect(await listed(urlItems(put(folder, 'a.txt', text)))).toEqual([
      { kind: 'url', locator: 'https://example.org/a%20b.apk', url: 'https://example.org/a%20b.apk' },
      { kind: 'url', locator: 'http://example.org/x', url: 'http://example.org/x', sha256: a.toLowerCase() },
    ]);
    for (const bad of ['ftp://x/y', 'file:///etc/passwd', 'plain', 'http://x/ abc'])
      await expect(listed(urlItems(put(folder, 'b.txt', `${bad}\n`)))).rejects.toThrow(/line 1 of .* no address/);
  });

  test('files: folders in byte order, the run’s own folder left out, named ones marked', async () => {
    const folder = scratch();
    put(folder, 'apps/b.apk', 'x');
    put(folder, 'apps/a/z.apk', 'xy');
    put(folder, 'apps/.hidden', 'x');
    put(folder, 'apps/out/records/r.json', '{}');
    const { items } = await findFiles([join(folder, 'apps')], join(folder, 'apps/out'));
    expect(items.map(({ locator, bytes, named }) => [locator, bytes, named])).toEqual([
      ['a/z.apk', 2, undefined],
      ['b.apk', 1, undefined],
    ]);
    const two = await findFiles([join(folder, 'apps/b.apk'), join(folder, 'apps/a'), join(folder, 'apps/b.apk')]);
    expect(two.items.map(({ locator, named }) => [locator, named])).toEqual([
      [join(folder, 'apps/b.apk'), true],
      [join(folder, 'apps/a/z.apk'), undefined],
    ]);
    await expect(findFiles([join(folder, 'none')])).rejects.toMatchObject({ kind: 'invalid' });
  });

  test.skipIf(!workersBuilt)(
    'AndroZoo and addresses are fetched, checked and audited; the key appears nowhere',
    async () => {
      const folder = scratch();
      const served = join(folder, 'served');
      const [one, two] = [apk(1), apk(2)];
      const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
      put(served, 'one.apk', one);
      put(served, 'two.apk', two);
      await using server = await moodyServer(served);
      server.give('/api', two);
      const list = put(folder, 'list.csv', `${digest(two).toUpperCase()}\n${'0'.repeat(64)}\n`);
      const urls = put(folder, 'urls.txt', `${server.url}/one.apk ${digest(one)}\n${server.url}/two.apk\n`);
      const out = join(folder, 'out');
      const argv = [
        'audit',
        '--androzoo',
        list,
        '--urls',
        urls,
        '--out',
        out,
        '--rate',
        '500',
        '--workers',
        '1',
        '--json',
      ];
      delete process.env['ANDROZOO_KEY'];
      expectRefusal(await cuttle(argv.slice(0, -1)), 2, /key/);
      process.env['ANDROZOO_KEY'] = 'very-secret';
      process.env['ANDROZOO_URL'] = `${server.url}/api`;
      try {
        const outcome = await cuttle(argv);
        expect(JSON.parse(outcome.out)).toMatchObject({
          items: 4,
          apps: 2,
          duplicates: 1,
          unavailable: [{ reason: expect.stringMatching(/was published/) as string }],
        });
        expect(server.seen[0]!.query).toContain('apikey=very-secret');
        const texts = ['run.json', 'plan.jsonl', 'journal.jsonl'].map((name) => readFileSync(join(out, name), 'utf8'));
        expect([...texts, outcome.out, ...outcome.err, ...Object.values(recordsOf(out))].join('')).not.toContain(
          'very-secret',
        );
      } finally {
        delete process.env['ANDROZOO_KEY'];
        delete process.env['ANDROZOO_URL'];
      }
    },
  );
});
