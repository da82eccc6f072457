/** @file Archives: what is in them, what contradicts itself, what is refused. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { portableHost, walkArchive, type ArchiveHost, type ArchiveLimits } from '../../src/audit/archive/index.js';
import { bytesSource, type ByteSource } from '../../src/audit/index.js';
import { nodeHost } from '../../src/audit/node-host.js';
import { concat, writeTar, writeZip } from './zip-writer.js';

const utf8 = new TextEncoder();
const bytes = (text: string): Uint8Array => utf8.encode(text);
const noise = (length: number, seed = 1): Uint8Array => {
  let state = seed;
  return Uint8Array.from({ length }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24);
};

/** Stands for contents: comparing long arrays element by element takes seconds. */
const digest = (data: Uint8Array): string => `${data.length}:${createHash('sha1').update(data).digest('hex')}`;

interface Seen {
  readonly files: ReadonlyMap<string, string>;
  readonly codes: readonly string[];
  readonly unpacked: number;
}

/** Digests of all files inside, by path without the outermost name. */
async function look(
  source: Uint8Array | ByteSource,
  options: { readonly limits?: Partial<ArchiveLimits>; readonly host?: ArchiveHost; readonly name?: string } = {},
): Promise<Seen> {
  const files = new Map<string, string>();
  const totals = await walkArchive(source instanceof Uint8Array ? bytesSource(source) : source, options.name ?? 'a', {
    limits: options.limits,
    host: options.host ?? nodeHost,
    async visit(file) {
      if (file.depth > 0)
        files.set(file.path.slice(file.path.indexOf('!/') + 2), digest(await file.source.read(0, file.source.size)));
    },
  });
  return { files, codes: totals.problems.map(({ code }) => code.replace('archive/', '')), unpacked: totals.bytes };
}

const names = ({ files }: Seen): readonly string[] => [...files.keys()];
const plain = { 'a.txt': bytes('hello'), 'd/b.bin': noise(100_000), 'd/empty': new Uint8Array(0) };

describe.each([
  ['native', nodeHost],
  ['portable', portableHost],
])('with the %s host', (_, host) => {
  test('reads what another writer wrote', async () => {
    const seen = await look(zipSync({ ...plain, 'stored.bin': [noise(5000), { level: 0 }] }), { host });
    expect(seen.files).toEqual(
      new Map(Object.entries({ ...plain, 'stored.bin': noise(5000) }).map(([name, data]) => [name, digest(data)])),
    );
    expect(seen.codes).toEqual([]);
  });

  test('reads tar in gzip, and gzip of several members', async () => {
    const seen = await look(new Uint8Array(gzipSync(writeTar(plain))), { host, name: 'x.tgz' });
    expect(names(seen)).toEqual(['x.tar', 'x.tar!/a.txt', 'x.tar!/d/b.bin', 'x.tar!/d/empty']);
    expect(seen.files.get('x.tar!/d/b.bin')).toEqual(digest(noise(100_000)));
    const two = await look(concat(gzipSync('one '), gzipSync('two')), { host, name: 't.gz' });
    expect(two.files).toEqual(new Map([['t', digest(bytes('one two'))]]));
  });

  test('finds broken data, by its end, its size and its checksum', async () => {
    const data = noise(9000);
    const cut = writeZip([{ name: 'a', data, local: {}, central: { packed: 4000 } }]);
    expect((await look(cut, { host })).codes).toContain('broken-entry');
    expect((await look(writeZip([{ name: 'a', data, central: { size: 8999 } }]), { host })).codes).toContain(
      'broken-entry',
    );
    expect((await look(writeZip([{ name: 'a', data, central: { crc: 1 } }]), { host })).codes).toContain(
      'broken-entry',
    );
    const long = noise(6 * 2 ** 20);
    expect(
      (await look(writeZip([{ name: 'a', data: long, central: { size: long.length - 1 } }]), { host })).codes,
    ).toContain('broken-entry');
    expect((await look(new Uint8Array(gzipSync(data)).slice(0, 4000), { host })).codes).toEqual(['broken-entry']);
  });
});

test('ZIP64 in entries and at the end', async () => {
  const seen = await look(writeZip([{ name: 'wide', data: noise(70_000), zip64: true }], { zip64End: true }));
  expect(seen.files.get('wide')).toEqual(digest(noise(70_000)));
  expect(seen.codes).toEqual([]);
});

test('descriptors, comments, blocks before the directory', async () => {
  const seen = await look(
    writeZip(
      [
        { name: 'a', data: noise(500), descriptor: true },
        { name: 'b', data: noise(10), descriptor: true },
      ],
      {
        comment: bytes('a comment'),
        block: noise(4096),
      },
    ),
  );
  expect(names(seen)).toEqual(['a', 'b']);
  expect(seen.codes).toEqual([]);
});

const hello = { name: 'a', data: bytes('hello hello hello') };
describe('contradictions are told', () => {
  test.each<[string, Uint8Array, readonly string[], readonly string[]]>([
    ['bytes in front', writeZip([hello], { before: noise(33) }), ['shifted'], ['a']],
    ['bytes behind', writeZip([hello], { after: noise(33) }), ['trailing-bytes'], ['a']],
    ['a wrong count', writeZip([hello, { ...hello, name: 'b' }], { count: 1 }), ['entry-count'], ['a', 'b']],
    ['another name inside', writeZip([{ ...hello, local: { name: 'z' } }]), ['header-mismatch'], ['a']],
    ['another method inside', writeZip([{ ...hello, local: { method: 0 } }]), ['header-mismatch'], ['a']],
    ['a name twice', writeZip([hello, hello]), ['duplicate-name'], ['a']],
    ['a way out', writeZip([{ ...hello, name: '../../etc/passwd' }]), ['unsafe-name'], ['../../etc/passwd']],
    ['an absolute name', writeZip([{ ...hello, name: '/a' }]), ['unsafe-name'], ['/a']],
    [
      'a hidden entry',
      writeZip([hello, { ...hello, name: 'hidden', hidden: true }, { ...hello, name: 'c' }]),
      ['unlisted-entry'],
      ['a', 'c', 'hidden'],
    ],
    [
      'a false encryption flag',
      writeZip([{ ...hello, central: { flags: 1 }, local: { flags: 1 } }]),
      ['false-encryption'],
      ['a'],
    ],
    [
      'the same, stored',
      writeZip([{ ...hello, method: 0, central: { flags: 1 }, local: { flags: 1 } }]),
      ['false-encryption'],
      ['a'],
    ],
    ['a false method', writeZip([{ ...hello, method: 0x4321 }]), ['false-method'], ['a']],
    [
      'a false method over deflated data, which Android inflates',
      writeZip([{ ...hello, central: { method: 21 }, local: { method: 21 } }]),
      ['false-method'],
      ['a'],
    ],
    [
      'the same under the number of a method that exists',
      writeZip([{ ...hello, central: { method: 12 }, local: { method: 12 } }]),
      ['false-method'],
      ['a'],
    ],
    ['a link', writeZip([{ ...hello, unixMode: 0xa1ff }]), ['link'], []],
    [
      'shared bytes',
      writeZip([hello, { ...hello, name: 'b', central: { offset: 0 } }]),
      ['header-mismatch', 'overlap', 'unlisted-entry'],
      ['a', 'b'],
    ],
    [
      'a missing local header',
      writeZip([{ ...hello, central: { offset: 5 } }]),
      ['broken-entry', 'unlisted-entry'],
      ['a'],
    ],
    ['an unknown compression', writeZip([{ ...hello, method: 12 }]), ['method'], []],
  ])('%s', async (_, archive, codes, files) => {
    const seen = await look(archive);
    expect([...seen.codes].sort()).toEqual(codes);
    expect(names(seen)).toEqual(files);
    for (const data of seen.files.values()) expect(data).toBe(digest(hello.data));
  });

  test('a second end record in the comment', async () => {
    const inner = writeZip([]);
    // An end record of an empty directory at its own place is a valid archive too.
    const offset = writeZip([hello]).length;
    new DataView(inner.buffer).setUint32(16, offset, true);
    const seen = await look(writeZip([hello], { comment: inner }));
    expect(seen.codes).toContain('second-end');
  });
});

test('a truncated archive gives what is left of it', async () => {
  const whole = writeZip([
    hello,
    { name: 'b', data: noise(4000) },
    { name: 'deferred', data: bytes('d'.repeat(500)), descriptor: true },
  ]);
  const all = await look(whole.slice(0, whole.length - 22));
  expect(all.codes).toEqual(['no-directory']);
  expect(names(all)).toEqual(['a', 'b', 'deferred']);
  expect(all.files.get('deferred')).toEqual(digest(bytes('d'.repeat(500))));
  const half = await look(whole.slice(0, 1000));
  expect(half.codes).toEqual(['no-directory', 'broken-entry']);
  expect(names(half)).toEqual(['a']);
});

describe('limits', () => {
  const zeros = new Uint8Array(40 * 2 ** 20);
  test('a bomb ends the walk', async () => {
    const seen = await look(writeZip([hello, { name: 'zeros', data: zeros }, { ...hello, name: 'c' }]), {
      limits: { ratioFreeBytes: 2 ** 20 },
    });
    expect(seen.codes).toEqual(['limit']);
    expect(names(seen)).toEqual(['a']);
    expect(seen.unpacked).toBeLessThan(12 * 2 ** 20);
  });

  test('nested bombs share one budget', async () => {
    const layer = (inner: Uint8Array): Uint8Array =>
      writeZip(Array.from({ length: 8 }, (_, i) => ({ name: `${i}.zip`, data: inner })));
    const bomb = layer(layer(layer(writeZip([{ name: 'zeros', data: zeros.subarray(0, 2 ** 20) }]))));
    const seen = await look(bomb, { limits: { ratioFreeBytes: 8 * 2 ** 20, maxDepth: 9 } });
    expect(seen.codes).toEqual(['limit']);
    expect(seen.unpacked).toBeLessThan(12 * 2 ** 20);
  });

  test('entries, depth, archives, directory', async () => {
    const many = writeZip(Array.from({ length: 50 }, (_, i) => ({ name: `f${i}`, data: bytes('x') })));
    expect((await look(many, { limits: { maxEntries: 49 } })).codes).toEqual(['limit']);
    expect((await look(many, { limits: { maxDirectoryBytes: 100 } })).codes).toEqual(['limit']);
    let deep = many;
    for (let i = 0; i < 6; i++) deep = writeZip([{ name: 'inner.zip', data: deep }]);
    expect((await look(deep)).codes).toEqual(['too-deep']);
    const wide = writeZip(Array.from({ length: 9 }, (_, i) => ({ name: `${i}.zip`, data: many })));
    expect((await look(wide, { limits: { maxArchives: 5 } })).codes).toEqual(['limit']);
  });

  test('what is larger than memory goes to a file, or is refused', async () => {
    const archive = writeZip([{ name: 'big', data: noise(3 * 2 ** 20) }, hello]);
    const limits = { maxMemoryBytes: 2 ** 20 };
    const there = await look(archive, { limits });
    expect(there.codes).toEqual([]);
    expect(there.files.get('big')).toEqual(digest(noise(3 * 2 ** 20)));
    const refused = await look(archive, { limits, host: portableHost });
    expect(refused.codes).toEqual(['limit']);
    expect(names(refused)).toEqual(['a']);
  });

  test('a false size of terabytes takes no memory', async () => {
    const seen = await look(
      writeZip([{ ...hello, zip64: true, central: { size: 2 ** 44 }, local: { size: 2 ** 44 } }]),
    );
    expect(seen.codes).toEqual(['limit']);
  });
});

test('an archive of two gigabytes is read by ranges', async () => {
  // A stored entry of 2 GiB that exists only as numbers: what is read is counted.
  const head = writeZip([{ name: 'big.bin', data: new Uint8Array(0), method: 0 }, hello]);
  const gap = 2 ** 31;
  const empty = writeZip([{ name: 'big.bin', data: new Uint8Array(0), method: 0 }]);
  const dataAt = 30 + 7;
  // Moved by hand: sizes of the first entry, offset of the second, place of the directory.
  const bytesOf = head.slice();
  const view = new DataView(bytesOf.buffer);
  const directory = view.getUint32(head.length - 6, true);
  for (const at of [18, 22, directory + 20, directory + 24]) view.setUint32(at, gap, true);
  const second = directory + 46 + 7;
  view.setUint32(second + 42, view.getUint32(second + 42, true) + gap, true);
  view.setUint32(head.length - 6, directory + gap, true);
  expect(empty.length).toBeGreaterThan(dataAt);
  let most = 0;
  const source: ByteSource = {
    size: head.length + gap,
    async read(offset, length) {
      most = Math.max(most, length);
      const result = new Uint8Array(length);
      for (let i = 0; i < length; i++) {
        const at = offset + i;
        if (at < dataAt) result[i] = bytesOf[at]!;
        else if (at >= dataAt + gap) result[i] = bytesOf[at - gap]!;
      }
      return result;
    },
  };
  const sizes: number[] = [];
  const totals = await walkArchive(source, 'big.zip', {
    host: nodeHost,
    visit: async (file) => void sizes.push(file.source.size),
  });
  expect(sizes).toEqual([head.length + gap, gap, hello.data.length]);
  expect(totals.problems).toEqual([]);
  expect(most).toBeLessThan(2 ** 20);
});

test('hostile bytes end in problems', async () => {
  const seeds = [
    writeZip(
      [hello, { name: 'z', data: writeZip([hello]), method: 0 }, { name: 'b', data: noise(300), descriptor: true }],
      { zip64End: true, comment: noise(9) },
    ),
    writeZip([hello, { ...hello, name: 'w', zip64: true }], { before: noise(5) }),
    writeTar({ a: bytes('x'), b: noise(700) }),
    new Uint8Array(gzipSync(writeTar({ a: bytes('x') }))),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
      fc.nat(),
      fc.constantFrom(nodeHost, portableHost),
      async (seed, changes, cut, host) => {
        const changed = seed.slice(0, cut % 3 === 0 ? cut % seed.length : seed.length);
        for (const [at, byte] of changes) if (changed.length > 0) changed[at % changed.length] = byte;
        await look(changed, { host, limits: { maxTotalBytes: 2 ** 22 } });
      },
    ),
    { numRuns: 1500, seed: 5 },
  );
});

describe('against the tools of the system', () => {
  const has = (tool: string): boolean => {
    try {
      execFileSync('which', [tool], { stdio: 'ignore' });
      return true;
    } catch {
      console.warn(`skipped: ${tool} is not installed`);
      return false;
    }
  };
  test.skipIf(!has('zip') || !has('tar'))('zip and tar', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cuttle-test-'));
    try {
      const long = `${'n'.repeat(120)}-ü.bin`;
      writeFileSync(join(folder, 'one.txt'), 'one');
      writeFileSync(join(folder, long), noise(20_000));
      const want = new Map([
        ['one.txt', digest(bytes('one'))],
        [long, digest(noise(20_000))],
      ]);
      for (const [tool, args] of [
        ['zip', ['-q', 'out', 'one.txt', long]],
        ['tar', ['--format=gnu', '-cf', 'out', 'one.txt', long]],
        ['tar', ['--format=pax', '-czf', 'out', 'one.txt', long]],
      ] as const) {
        execFileSync(tool, args, { cwd: folder });
        const out = readFileSync(join(folder, tool === 'zip' ? 'out.zip' : 'out'));
        const seen = await look(new Uint8Array(out));
        expect(seen.codes).toEqual([]);
        const leaves = [...seen.files]
          .filter(([name]) => name !== 'a')
          .map(([name, data]) => [name.replace(/^.*!\//, ''), data] as const);
        expect(new Map(leaves)).toEqual(want);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
