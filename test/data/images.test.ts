/** @file Folders and archives of images: parts, classes, bad files, sizes, the cache. */
import { existsSync, mkdirSync, readdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openData, type OpenDataOptions } from '../../src/data/node.js';
import { classCounts, samplePixels } from '../../src/data/index.js';
import { arrangeImages } from '../../src/data/arrange.js';
import { classTree, imageFile, scratchFolder, tarOf, writeTree } from './files.js';

const scratch = scratchFolder();
let folders = 0;
const fresh = (): string => join(scratch, String(folders++));
const options: OpenDataOptions = { seed: 1, cacheDir: false };

describe('arrangement', () => {
  it('finds parts, wrapping folders, and classes of the same names as parts', () => {
    const arranged = arrangeImages(
      ['set/train/b/1.jpg', 'set/train/a/deep/2.PNG', 'set/Validation/a/3.webp', 'set/readme.txt'],
      'x',
    );
    expect(arranged.classes).toEqual(['a', 'b']);
    expect(arranged.images.map(({ part, label }) => `${part} ${label}`)).toEqual(['val 0', 'train 0', 'train 1']);
    expect(arranged.notes.join()).toContain('1 file is no image');
    const vehicles = arrangeImages(['car/1.jpg', 'train/2.jpg'], 'x');
    expect(vehicles.classes).toEqual(['car', 'train']);
    expect(vehicles.images.every(({ part }) => part === 'all')).toBe(true);
    expect(arrangeImages(['train/a/1.jpg', 'train/b/1.jpg', 'extra/c/1.jpg'], 'x').notes.join()).toContain(
      '1 images lie outside',
    );
  });

  it('refuses nothing, one class, and pictures without class folders', () => {
    expect(() => arrangeImages([], 'x')).toThrow(/no images/);
    expect(() => arrangeImages(['a.txt'], 'x')).toThrow(/no images/);
    expect(() => arrangeImages(['a.jpg', 'b.jpg'], 'x')).toThrow(/one folder per class/);
    expect(() => arrangeImages(['cat/a.jpg', 'cat/b.jpg'], 'x')).toThrow(/only one class, 'cat'/);
    expect(() => arrangeImages(['train/cat/a.jpg', 'test/cat/b.jpg'], 'x')).toThrow(/only one class/);
  });
});

describe('folders', () => {
  it('reads parts as such, with pixels in place', async () => {
    const root = await writeTree(fresh(), {
      ...(await classTree(['red', 'blue'], 10, 'train/')),
      ...(await classTree(['red', 'blue'], 3, 'test/')),
    });
    const data = await openData(root, options);
    expect(data.train.classes).toEqual(['blue', 'red']);
    expect([data.train.size, data.calibration.size, data.test.size]).toEqual([18, 2, 6]);
    expect([data.test.channels, data.test.height, data.test.width]).toEqual([3, 8, 8]);
    // Stored in name order: blue/000 comes first; classTree gave blue the colour (80 + i, i, 1).
    expect([0, 64, 128].map((at) => samplePixels(data.test, 1)[at])).toEqual([81, 1, 1]);
    expect(data.test.labels[1]).toBe(0);
    expect(data.report.bad).toEqual([]);
    await expect(openData(root, { ...options, use: 'test' })).resolves.toBeDefined();
  });

  it('counts and names bad, truncated and missing files, and stops only when told to', async () => {
    const root = await writeTree(fresh(), await classTree(['a', 'b'], 12));
    const jpeg = await imageFile('jpeg', [10, 200, 30], { width: 8, height: 8 });
    writeFileSync(join(root, 'a', 'good.jpg'), jpeg);
    writeFileSync(join(root, 'a', 'cut.jpg'), jpeg.subarray(0, jpeg.length - 30));
    writeFileSync(join(root, 'a', 'empty.png'), '');
    writeFileSync(join(root, 'b', 'text.jpg'), 'no picture at all');
    symlinkSync(join(root, 'nowhere.png'), join(root, 'b', 'gone.png'));
    const data = await openData(root, options);
    expect(data.report.bad.map(({ name }) => name)).toEqual(['a/cut.jpg', 'a/empty.png', 'b/gone.png', 'b/text.jpg']);
    expect(data.report.bad.find(({ name }) => name === 'b/gone.png')?.reason).toBe('missing');
    expect(data.train.size + data.calibration.size + data.test.size).toBe(25);
    await expect(openData(root, { ...options, onBad: 'stop' })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'data/bad-file',
    });
  });

  it('wants one size for pictures of several, and makes it', async () => {
    const files = await classTree(['a', 'b'], 8);
    files['a/wide.png'] = await imageFile('png', [9, 9, 9], { width: 16, height: 10 });
    const root = await writeTree(fresh(), files);
    await expect(openData(root, options)).rejects.toThrow(
      /images differ in size: a\/000.png is 8×8, a\/wide.png is 16×10/,
    );
    const data = await openData(root, { ...options, size: { height: 6, width: 4 }, channels: 1 });
    expect([data.train.channels, data.train.height, data.train.width]).toEqual([1, 6, 4]);
    expect(data.report.bad).toEqual([]);
  });

  it('keeps gray pictures gray, also 16-bit and with transparency', async () => {
    const files: Record<string, Buffer> = {};
    for (const name of ['a', 'b'])
      for (let i = 0; i < 6; i++) files[`${name}/${i}.png`] = await imageFile('png', [i * 9 + (name === 'a' ? 0 : 99)]);
    const data = await openData(await writeTree(fresh(), files), options);
    expect(data.train.channels).toBe(1);
    expect(new Set(samplePixels(data.train, 0)).size).toBe(1);
    const rgb = await openData(await writeTree(fresh(), files), { ...options, channels: 3 });
    expect(samplePixels(rgb.train, 0).slice(0, 64)).toEqual(samplePixels(rgb.train, 0).slice(128));
    expect(samplePixels(rgb.train, 0)[0]).toBe(samplePixels(data.train, 0)[0]);
  });

  it('limits by class and repeats for a seed', async () => {
    const root = await writeTree(fresh(), await classTree(['a', 'b', 'c'], 20));
    const first = await openData(root, { ...options, limit: 30 });
    expect(first.train.size + first.calibration.size + first.test.size).toBe(30);
    expect(await openData(root, { ...options, limit: 30 })).toEqual(first);
    expect((await openData(root, { ...options, limit: 30, seed: 2 })).train.pixels).not.toEqual(first.train.pixels);
  });

  it('says what is wrong with what is no data', async () => {
    const empty = fresh();
    mkdirSync(empty);
    await expect(openData(empty, options)).rejects.toMatchObject({ kind: 'invalid', code: 'data/empty' });
    await expect(openData(join(scratch, 'not-there'), options)).rejects.toThrow(/no data at/);
    writeFileSync(join(scratch, 'notes.txt'), 'hello');
    await expect(openData(join(scratch, 'notes.txt'), options)).rejects.toThrow(/no image data/);
    const allBad = await writeTree(fresh(), { 'a/1.jpg': 'x', 'b/2.jpg': 'y' });
    await expect(openData(allBad, options)).rejects.toThrow(/none of the 2 images/);
    await expect(openData(empty, { ...options, limit: 0 })).rejects.toMatchObject({ kind: 'usage' });
    await expect(openData(empty, { ...options, seed: 0.5 })).rejects.toMatchObject({ kind: 'usage' });
  });

  it('stops when aborted', async () => {
    const root = await writeTree(fresh(), await classTree(['a', 'b'], 5));
    await expect(openData(root, { ...options, signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
  });
});

describe('archives', () => {
  it('gives the same data as the folder, packed or not', async () => {
    const files = await classTree(['a', 'b'], 10, 'wrap/train/');
    Object.assign(files, await classTree(['a', 'b'], 4, 'wrap/test/'));
    const fromFolder = await openData(await writeTree(fresh(), files), options);
    for (const gzipped of [true, false]) {
      const path = join(scratch, gzipped ? 'set.tar.gz' : 'set.tar');
      // Stored in reverse: the order of an archive's entries must not matter.
      writeFileSync(path, await tarOf(Object.fromEntries(Object.entries(files).reverse()), gzipped));
      const data = await openData(path, options);
      expect(data.train.pixels).toEqual(fromFolder.train.pixels);
      expect(data.test.labels).toEqual(fromFolder.test.labels);
    }
  });

  it('counts corrupt entries, unsafe paths and links', async () => {
    const files: Record<string, Uint8Array | { link: string }> = await classTree(['a', 'b'], 6);
    const jpeg = await imageFile('jpeg', [1, 2, 3]);
    files['a/broken.jpg'] = jpeg.subarray(0, 100);
    files['../../outside.jpg'] = jpeg;
    files['/abs/b/1.jpg'] = jpeg;
    files['b/link.jpg'] = { link: '/etc/passwd' };
    const path = join(scratch, 'hostile.tar.gz');
    writeFileSync(path, await tarOf(files));
    const { report } = await openData(path, options);
    expect(report.bad.map(({ name }) => name)).toEqual([
      '../../outside.jpg',
      '/abs/b/1.jpg',
      'a/broken.jpg',
      'b/link.jpg',
    ]);
    await expect(openData(path, { ...options, onBad: 'stop' })).rejects.toMatchObject({ code: 'data/bad-file' });
  });

  it('refuses truncated and foreign archives', async () => {
    const packed = await tarOf(await classTree(['a', 'b'], 6));
    for (const [name, bytes] of [
      ['cut.tar.gz', packed.subarray(0, packed.length >> 1)],
      ['cut.tar', (await tarOf(await classTree(['a', 'b'], 6), false)).subarray(0, 700)],
      ['text.tar', Buffer.from('this is no archive at all, only a line of text')],
      ['empty.tar', Buffer.alloc(0)],
    ] as const) {
      writeFileSync(join(scratch, name), bytes);
      await expect(openData(join(scratch, name), options), name).rejects.toMatchObject({ kind: 'invalid' });
    }
  });
});

describe('cache', () => {
  it('opens a second time without decoding, and notices every change', async () => {
    const cacheDir = fresh();
    const root = await writeTree(fresh(), { ...(await classTree(['a', 'b'], 10)), 'a/bad.png': 'x' });
    const open = (change: Partial<OpenDataOptions> = {}) => openData(root, { ...options, cacheDir, ...change });
    const first = await open();
    expect(first.report.cached).toBe(false);
    const second = await open();
    expect(second.report.cached).toBe(true);
    expect({ ...second, report: 0 }).toEqual({ ...first, report: 0 });
    expect(second.report.bad).toEqual(first.report.bad);
    await expect(open({ onBad: 'stop' })).rejects.toMatchObject({ code: 'data/bad-file' });
    expect((await open({ size: { height: 4, width: 4 } })).report.cached).toBe(false);
    expect((await open({ seed: 9 })).report.cached).toBe(true);
    utimesSync(join(root, 'a', '000.png'), new Date(0), new Date(0));
    expect((await open()).report.cached).toBe(false);
    // A damaged entry costs time, never the result.
    for (const name of readdirSync(join(cacheDir, 'decoded')).filter((file) => file.endsWith('.bin')))
      truncateSync(join(cacheDir, 'decoded', name), 10);
    const again = await open();
    expect(again.report.cached).toBe(false);
    expect(again.train).toEqual(first.train);
  });

  it('serves archives too', async () => {
    const cacheDir = fresh();
    const path = join(scratch, 'cached.tar.gz');
    writeFileSync(path, await tarOf(await classTree(['a', 'b'], 10)));
    const first = await openData(path, { ...options, cacheDir });
    const second = await openData(path, { ...options, cacheDir });
    expect(second.report.cached).toBe(true);
    expect(second.train).toEqual(first.train);
  });
});

const cifar = join(import.meta.dirname, '../../../shared/data/cifar-10-images.tar.gz');
it.skipIf(!existsSync(cifar))('opens the CIFAR-10 copy', async () => {
  const data = await openData(cifar, { ...options, limit: 300, size: { height: 32, width: 32 }, channels: 3 });
  expect([data.train.size, data.calibration.size, data.test.size]).toEqual([270, 30, 300]);
  expect([...classCounts(data.test.labels, 10)]).toEqual(Array(10).fill(30));
  expect(data.train.classes[9]).toBe('truck');
  expect(data.report.bad).toEqual([]);
});
