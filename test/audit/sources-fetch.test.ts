/** @file Fetching: broken connections, refusals, pauses, wrong bytes, other versions; manners towards hosts. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FetchError, Fetcher, type FetcherOptions, type FileWanted } from '../../src/audit/node.js';
import { Hosts, retryAfterMs } from '../../src/audit/sources/hosts.js';
import { put, scratch } from './corpus.js';
import { moodyServer, type MoodyServer } from './moody-server.js';

const bytes = new Uint8Array(300_000).map((_, i) => (i * 31) >> 3);
const sha256 = createHash('sha256').update(bytes).digest('hex');
const quick: FetcherOptions = {
  userAgent: 'cuttle/test',
  requestsPerSecond: 1000,
  backoffMs: 5,
  stallMs: 500,
  attempts: 3,
};

/** Comparing by `toEqual` would take seconds. */
const holds = (path: string, expected: Uint8Array): boolean => readFileSync(path).equals(expected);

interface Fetched {
  readonly server: MoodyServer;
  readonly path: string;
  readonly fetch: (options?: Partial<FetcherOptions>, wanted?: Partial<FileWanted>) => Promise<void>;
}

/** A file of a server, and how to get it. */
async function served(body: (context: Fetched) => Promise<void>): Promise<void> {
  const folder = scratch();
  put(folder, 'app.apk', bytes);
  await using server = await moodyServer(folder);
  const path = join(folder, 'got');
  const fetch: Fetched['fetch'] = (options, wanted) =>
    new Fetcher({ ...quick, ...options }).download(`${server.url}/app.apk`, path, {
      sha256,
      maxBytes: 1 << 20,
      ...wanted,
    });
  await body({ server, path, fetch });
}

test('fetches whole files, says who asks, leaves nothing else behind', () =>
  served(async ({ server, path, fetch }) => {
    await fetch();
    expect(holds(path, bytes)).toBe(true);
    expect(server.seen).toMatchObject([{ path: '/app.apk', agent: 'cuttle/test' }]);
    expect([existsSync(`${path}.part`), existsSync(`${path}.part-of`)]).toEqual([false, false]);
  }));

test('goes on where a connection broke, also in another process, and only fetches what is missing', () =>
  served(async ({ server, path, fetch }) => {
    server.expect('/app.apk', { cutAfter: 100_000 }, { cutAfter: 50_000 }, { silentAfter: 70_000 });
    await fetch();
    expect(server.seen.map(({ range }) => range)).toEqual([
      undefined,
      'bytes=100000-',
      'bytes=150000-',
      'bytes=220000-',
    ]);
    expect(holds(path, bytes)).toBe(true);
  }));

test('what an earlier process left is gone on with', () =>
  served(async ({ server, path, fetch }) => {
    writeFileSync(`${path}.part`, bytes.subarray(0, 250_000));
    await fetch();
    expect(server.seen.map(({ range }) => range)).toEqual(['bytes=250000-']);
    expect(holds(path, bytes)).toBe(true);
  }));

test('fetches again what has another checksum, once; what stays wrong never appears', () =>
  served(async ({ server, path, fetch }) => {
    server.expect('/app.apk', { wrong: true });
    await fetch();
    expect(holds(path, bytes)).toBe(true);
    server.expect('/app.apk', { wrong: true }, { wrong: true });
    await expect(fetch({}, {})).rejects.toThrow(/SHA-256 .* but .* was published/);
  }));

test('a part of other bytes is found out by the checksum', () =>
  served(async ({ server, path, fetch }) => {
    writeFileSync(`${path}.part`, new Uint8Array(1000));
    await fetch();
    expect(server.seen.map(({ range }) => range)).toEqual(['bytes=1000-', undefined]);
    expect(holds(path, bytes)).toBe(true);
  }));

test('servers without ranges, with wrong ones, and files that became shorter', () =>
  served(async ({ server, path, fetch }) => {
    server.expect('/app.apk', { cutAfter: 1000 }, { noRange: true });
    await fetch();
    expect(holds(path, bytes)).toBe(true);
    server.expect('/app.apk', { cutAfter: 1000 }, { shifted: true });
    await fetch();
    expect(holds(path, bytes)).toBe(true);
    writeFileSync(`${path}.part`, new Uint8Array(400_000));
    await fetch();
    expect(holds(path, bytes)).toBe(true);
  }));

test('without a checksum, parts are joined only of the same version', () =>
  served(async ({ server, path, fetch }) => {
    server.expect('/app.apk', { cutAfter: 1000 }, { cutAfter: 1000 });
    await fetch({}, { sha256: undefined });
    expect(holds(path, bytes)).toBe(true);
    expect(server.seen.at(-1)!.range).toBe('bytes=2000-');
    // The file changes between two attempts: the server sees the entity tag and gives the whole.
    server.expect('/app.apk', { cutAfter: 1000 });
    const pending = fetch({ backoffMs: 200 }, { sha256: undefined });
    await expect.poll(() => existsSync(`${path}.part-of`)).toBe(true);
    const other = bytes.map((byte) => byte ^ 1);
    server.give('/app.apk', other);
    await pending;
    expect(holds(path, other)).toBe(true);
    // Without anything that identifies the version nothing is gone on with.
    writeFileSync(`${path}.part`, new Uint8Array(1000));
    await fetch({}, { sha256: undefined });
    expect(holds(path, other)).toBe(true);
  }));

test('waits as long as a server asks, and gives up where that is too long', () =>
  served(async ({ server, path, fetch }) => {
    server.expect('/app.apk', { status: 429, retryAfter: '1' }, { status: 503 });
    await fetch();
    expect(existsSync(path)).toBe(true);
    const [first, second] = server.seen;
    expect(second!.at - first!.at).toBeGreaterThan(950);
    server.expect('/app.apk', { status: 503, retryAfter: '3600' });
    await expect(fetch()).rejects.toThrow(/asks to wait for 3600 s/);
  }));

test('gives up what is refused at once, and what brings nothing after some attempts', () =>
  served(async ({ server, fetch }) => {
    server.expect('/app.apk', { status: 404 });
    await expect(fetch()).rejects.toThrow(/answered 404/);
    expect(server.seen).toHaveLength(1);
    server.expect('/app.apk', ...Array.from({ length: 3 }, () => ({ status: 500 })));
    await expect(fetch()).rejects.toThrow(/answered 500, 3 attempts/);
    expect(server.seen).toHaveLength(4);
    await expect(fetch({}, { maxBytes: 1000 })).rejects.toThrow(/300000 bytes, the limit is 1000/);
    await expect(fetch({}, { bytes: 1000, sha256: undefined })).rejects.toThrow(/more than 1000 bytes/);
    await expect(
      new Fetcher(quick).download('http://127.0.0.1:1/x', join(scratch(), 'x'), { maxBytes: 1 }),
    ).rejects.toThrow(FetchError);
  }));

test('secrets reach the server and no message', () =>
  served(async ({ server, fetch }) => {
    server.expect('/app.apk', { status: 403 });
    const failure = await fetch({}, { secrets: { apikey: 'very-secret' } }).catch((cause: unknown) => cause);
    expect(server.seen[0]!.query).toBe('?apikey=very-secret');
    expect(String(failure)).toMatch(/answered 403/);
    expect(JSON.stringify(failure) + String(failure)).not.toContain('very-secret');
  }));

test('an abort ends a transfer with the signal’s reason', () =>
  served(async ({ server, fetch }) => {
    server.expect('/app.apk', { silentAfter: 10 });
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 50);
    await expect(fetch({ stallMs: 10_000 }, { signal: controller.signal })).rejects.toThrow('enough');
  }));

test('one connection to a host at a time, and no more requests than allowed', async () => {
  const folder = scratch();
  for (let i = 0; i < 6; i++) put(folder, String(i), bytes);
  await using server = await moodyServer(folder);
  const fetchAll = async (options: FetcherOptions, name: string): Promise<void> => {
    const fetcher = new Fetcher(options);
    await Promise.all(
      Array.from({ length: 6 }, (_, i) =>
        fetcher.download(`${server.url}/${i}`, join(folder, `${name}${i}`), { maxBytes: 1 << 20 }),
      ),
    );
  };
  await fetchAll({ ...quick, requestsPerSecond: 20 }, 'a');
  expect(server.most).toBe(1);
  expect(server.seen.at(-1)!.at - server.seen[0]!.at).toBeGreaterThan(5 * 49);
  // Two hosts do not wait for each other.
  const hosts = new Hosts({ requestsPerSecond: 1 });
  const order: string[] = [];
  await Promise.all(['a', 'b', 'c'].map((host) => hosts.take(host, undefined, async () => void order.push(host))));
  expect(order).toEqual(['a', 'b', 'c']);
});

test('Retry-After in seconds and as a date', () => {
  expect(retryAfterMs('120')).toBe(120_000);
  expect(retryAfterMs('Wed, 21 Oct 2015 07:28:10 GMT', Date.parse('Wed, 21 Oct 2015 07:28:00 GMT'))).toBe(10_000);
  expect(retryAfterMs('Wed, 21 Oct 2015 07:28:10 GMT')).toBe(0);
  expect([retryAfterMs(null), retryAfterMs('soon')]).toEqual([undefined, undefined]);
});
