/** @file Registered names: looking in the user's and the system's folders, downloading, checksums, plain failures. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findPublished } from '../../src/data/published.js';
import { knownDatasets, registeredName, type KnownDataset } from '../../src/data/registry.js';
import { openData } from '../../src/data/node.js';
import { download } from '../../src/platform/node/download.js';
import { idxFile, scratchFolder, writeTree } from './files.js';

const scratch = scratchFolder();
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const files: Readonly<Record<string, Uint8Array>> = {
  'train-images-idx3-ubyte.gz': gzipSync(
    idxFile(
      [20, 2, 2],
      new Uint8Array(80).map((_, i) => i),
    ),
  ),
  'train-labels-idx1-ubyte.gz': gzipSync(
    idxFile(
      [20],
      new Uint8Array(20).map((_, i) => i % 2),
    ),
  ),
  't10k-images-idx3-ubyte.gz': gzipSync(
    idxFile(
      [4, 2, 2],
      new Uint8Array(16).map((_, i) => 200 + i),
    ),
  ),
  't10k-labels-idx1-ubyte.gz': gzipSync(
    idxFile(
      [4],
      new Uint8Array(4).map((_, i) => i % 2),
    ),
  ),
};
const requests: string[] = [];
let server: Server;
let base = '';
let folders = 0;
const fresh = (): string => join(scratch, String(folders++));

beforeAll(async () => {
  server = createServer((request, response) => {
    const name = request.url!.slice(1);
    requests.push(name);
    if (name === 'hang') return void response.writeHead(200, { 'content-length': 10 }).write('x');
    if (name === 'cut')
      return void response.writeHead(200, { 'content-length': 1000 }).write('x', () => response.destroy());
    const bytes = files[name];
    if (bytes) response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    else response.writeHead(404).end('nothing here');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
const before = process.env['CUTTLE_DATA'];
afterEach(() => {
  if (before === undefined) delete process.env['CUTTLE_DATA'];
  else process.env['CUTTLE_DATA'] = before;
  requests.length = 0;
});

type Idx = Extract<KnownDataset, { kind: 'idx' }>;
const published = (change: Partial<Idx> = {}): Idx => ({
  kind: 'idx',
  title: 'test set',
  classes: ['even', 'odd'],
  systemFolders: [],
  files: Object.entries(files).map(([name, bytes]) => ({
    name,
    url: `${base}/${name}`,
    bytes: bytes.length,
    checksum: { algorithm: 'md5', digest: md5(bytes) },
  })),
  ...change,
});

describe('registered names', () => {
  it('are known by their usual spellings, with published checksums', () => {
    expect(registeredName('CIFAR10')).toBe('cifar-10');
    expect(registeredName('constructor')).toBeUndefined();
    for (const known of Object.values(knownDatasets))
      if (known.kind !== 'digits')
        for (const { url, bytes, checksum } of known.files) {
          expect(url).toMatch(/^https?:\/\//);
          expect(bytes).toBeGreaterThan(1000);
          expect(checksum.digest).toMatch(checksum.algorithm === 'md5' ? /^[0-9a-f]{32}$/ : /^[0-9a-f]{64}$/);
        }
  });

  it('are found in $CUTTLE_DATA and system folders before anything is fetched', async () => {
    const data = fresh();
    await writeTree(join(data, 'toys'), files);
    process.env['CUTTLE_DATA'] = data;
    expect(await findPublished('toys', published(), { downloads: fresh() })).toEqual({
      kind: 'folder',
      path: join(data, 'toys'),
    });
    delete process.env['CUTTLE_DATA'];
    const system = join(data, 'toys');
    expect(
      (await findPublished('toys', published({ systemFolders: [fresh(), system] }), { downloads: fresh() })).path,
    ).toBe(system);
    expect(requests).toEqual([]);
  });

  it('are downloaded once, checked, and read', async () => {
    const downloads = fresh();
    const seen: number[] = [];
    const place = await findPublished('toys', published(), { downloads, onProgress: (done) => seen.push(done) });
    expect(requests.sort()).toEqual(Object.keys(files).sort());
    for (const [name, bytes] of Object.entries(files))
      expect(readFileSync(join(place.path, name))).toEqual(Buffer.from(bytes));
    expect(seen.at(-1)).toBe(Object.values(files).reduce((sum, bytes) => sum + bytes.length, 0));
    requests.length = 0;
    expect(await findPublished('toys', published(), { downloads })).toEqual(place);
    expect(requests).toEqual([]);
    const data = await openData(place.path, { seed: 1 });
    expect([data.train.size + data.calibration.size, data.test.size]).toEqual([20, 4]);
  });

  it('fail in one line that says where to put the files', async () => {
    const downloads = fresh();
    const [first] = published().files;
    const wrong = (change: object) => published({ files: [{ ...first!, ...change }] });
    await expect(findPublished('toys', wrong({ url: `${base}/missing` }), { downloads })).rejects.toMatchObject({
      kind: 'failed',
      message: `toys: ${base}/missing: the server answered 404 Not Found`,
      hint: expect.stringMatching(/put it into \$CUTTLE_DATA\/toys/) as string,
    });
    await expect(
      findPublished('toys', wrong({ checksum: { algorithm: 'md5', digest: '0'.repeat(32) } }), { downloads }),
    ).rejects.toThrow(/has md5 [0-9a-f]{32}, but 0{32} was published/);
    await expect(findPublished('toys', wrong({ url: 'http://127.0.0.1:1/x' }), { downloads })).rejects.toThrow(
      /cannot be downloaded/,
    );
    await expect(findPublished('toys', wrong({ url: `${base}/cut` }), { downloads })).rejects.toMatchObject({
      kind: 'failed',
    });
    const last = published().files[0]!;
    await expect(download(last.url, join(downloads, 'big'), { checksum: last.checksum, maxBytes: 5 })).rejects.toThrow(
      /larger than 5 bytes/,
    );
    await expect(
      download(`${base}/hang`, join(downloads, 'hang'), { checksum: last.checksum, maxBytes: 100, stallMs: 100 }),
    ).rejects.toThrow(/no data for 0.1 s/);
    const stop = AbortSignal.timeout(50);
    await expect(
      download(`${base}/hang`, join(downloads, 'hang'), { checksum: last.checksum, maxBytes: 100, signal: stop }),
    ).rejects.toMatchObject({ name: 'TimeoutError' });
    for (const name of [first!.name, 'big', 'hang'])
      expect(existsSync(join(downloads, 'toys', name)) || existsSync(join(downloads, name))).toBe(false);
  });

  it('open CIFAR archives and any folder of the user by name', async () => {
    const data = fresh();
    process.env['CUTTLE_DATA'] = data;
    await writeTree(join(data, 'mine'), files);
    expect((await openData('mine', { seed: 1, cacheDir: false })).test.size).toBe(4);
    await writeTree(join(data, 'fashion-mnist'), files);
    expect((await openData('fashion-mnist', { seed: 1, cacheDir: false })).test.classes[0]).toBe('T-shirt/top');
    await expect(openData('unknown-name', { seed: 1 })).rejects.toThrow(/no data at 'unknown-name'/);
  });
});
