/** @file IDX files, CIFAR batches and the embedded digits. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { classCounts, parseIdx, samplePixels } from '../../src/data/index.js';
import { readDigits } from '../../src/data/digits.js';
import { openData, type OpenDataOptions } from '../../src/data/node.js';
import { idxFile, scratchFolder, tarOf, writeTree } from './files.js';

const scratch = scratchFolder();
const options: OpenDataOptions = { seed: 1, cacheDir: false };
const bytes = (length: number, of: (i: number) => number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => of(i) % 256);

describe('embedded digits', () => {
  it('holds 10,000 digits of known counts', async () => {
    const digits = await readDigits();
    expect([...classCounts(digits.labels, 10)]).toEqual([1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]);
    expect([digits.size, digits.channels, digits.height, digits.width]).toEqual([10_000, 1, 28, 28]);
    expect(digits.pixels.reduce((max, value) => Math.max(max, value), 0)).toBe(255);
    const data = await openData('mnist', options);
    expect([data.train.size, data.calibration.size, data.test.size]).toEqual([7200, 800, 2000]);
  });

  const mnist = join(import.meta.dirname, '../../../shared/data/mnist-writers/train-images-idx3-ubyte.gz');
  it.skipIf(!existsSync(mnist))('are byte for byte images of the MNIST training set', async () => {
    const published = parseIdx(gunzipSync(readFileSync(mnist)), 'mnist').data as Uint8Array;
    const known = new Set<string>();
    for (let i = 0; i < published.length; i += 784)
      known.add(Buffer.from(published.subarray(i, i + 784)).toString('latin1'));
    const digits = await readDigits();
    let found = 0;
    for (let i = 0; i < digits.size; i++)
      if (known.has(Buffer.from(samplePixels(digits, i)).toString('latin1'))) found++;
    expect(found).toBe(10_000);
  });
});

describe('IDX', () => {
  const images = (count: number): Uint8Array =>
    idxFile(
      [count, 3, 2],
      bytes(count * 6, (i) => i),
    );
  const labels = (count: number): Uint8Array =>
    idxFile(
      [count],
      bytes(count, (i) => i % 3),
    );

  it('reads a folder of four files, packed or not', async () => {
    const root = await writeTree(join(scratch, 'idx'), {
      'train-images-idx3-ubyte.gz': gzipSync(images(40)),
      'train-labels-idx1-ubyte.gz': gzipSync(labels(40)),
      't10k-images-idx3-ubyte': images(9),
      't10k-labels-idx1-ubyte': labels(9),
    });
    const data = await openData(root, options);
    expect([data.train.size + data.calibration.size, data.test.size]).toEqual([40, 9]);
    expect([data.test.channels, data.test.height, data.test.width, data.test.classes.length]).toEqual([1, 3, 2, 3]);
    expect([...samplePixels(data.test, 2)]).toEqual([12, 13, 14, 15, 16, 17]);
    const sized = await openData(root, { ...options, size: { height: 6, width: 4 }, channels: 3, limit: 6 });
    expect([sized.test.size, sized.test.channels, sized.test.height]).toEqual([6, 3, 6]);
    const one = await openData(join(root, 'train-images-idx3-ubyte.gz'), options);
    expect(one.train.size + one.calibration.size + one.test.size).toBe(40);
  });

  it('refuses wrong magic, types, ranks, truncation, excess and missing labels', async () => {
    const good = images(4);
    expect(parseIdx(good, 'x').dims).toEqual([4, 3, 2]);
    const ints = parseIdx(idxFile([2], Uint8Array.from([0, 0, 1, 2, 255, 255, 255, 255]), 0x0c), 'x');
    expect([...ints.data]).toEqual([258, -1]);
    for (const [broken, message] of [
      [new Uint8Array(0), /no IDX file/],
      [Uint8Array.from([1, 0, 8, 1, 0, 0, 0, 0]), /no IDX file/],
      [idxFile([1], Uint8Array.of(0), 0x0d), /type 0x0d is not read/],
      [idxFile([1, 1, 1, 1, 1], Uint8Array.of(0)), /rank 5/],
      [good.subarray(0, 9), /ends within its IDX header/],
      [good.subarray(0, good.length - 1), /truncated: 4×3×2 elements need 40 bytes, but there are 39/],
      [Buffer.concat([good, Buffer.of(1)]), /1 bytes more/],
      [idxFile([0xffffffff, 0xffffffff], new Uint8Array(0)), /above the limit/],
    ] as const)
      expect(() => parseIdx(broken, 'x')).toThrow(message);
    const lonely = await writeTree(join(scratch, 'lonely'), { 'train-images-idx3-ubyte': good });
    await expect(openData(lonely, options)).rejects.toThrow(/labels are missing/);
    const unequal = await writeTree(join(scratch, 'unequal'), {
      'train-images-idx3-ubyte': good,
      'train-labels-idx1-ubyte': labels(5),
    });
    await expect(openData(unequal, options)).rejects.toThrow(/4 images, but train-labels-idx1-ubyte has 5 labels/);
    const cut = await writeTree(join(scratch, 'cut'), {
      'train-images-idx3-ubyte.gz': gzipSync(good).subarray(0, 20),
      'train-labels-idx1-ubyte': labels(4),
    });
    await expect(openData(cut, options)).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('CIFAR binary', () => {
  const record = (label: readonly number[], seed: number): Uint8Array =>
    Buffer.concat([Buffer.from(label), bytes(3072, (i) => i + seed)]);
  const batch = (count: number, from: number): Uint8Array =>
    Buffer.concat(Array.from({ length: count }, (_, i) => record([(from + i) % 10], from + i)));
  const ten = (): Record<string, Uint8Array> => ({
    'cifar-10-batches-bin/batches.meta.txt': Buffer.from(
      'airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n',
    ),
    ...Object.fromEntries([1, 2, 3, 4, 5].map((n) => [`cifar-10-batches-bin/data_batch_${n}.bin`, batch(20, 20 * n)])),
    'cifar-10-batches-bin/test_batch.bin': batch(10, 0),
  });

  it('reads CIFAR-10 from an archive, its folder, and the folder around it', async () => {
    const path = join(scratch, 'cifar-10-binary.tar.gz');
    writeFileSync(path, await tarOf(ten()));
    const root = await writeTree(join(scratch, 'cifar'), ten());
    for (const spec of [path, root, join(root, 'cifar-10-batches-bin')]) {
      const data = await openData(spec, options);
      expect([data.train.size + data.calibration.size, data.test.size]).toEqual([100, 10]);
      expect(data.test.classes[3]).toBe('cat');
      expect([data.test.labels[3], samplePixels(data.test, 3)[0], samplePixels(data.test, 3)[1024]]).toEqual([3, 3, 3]);
    }
  });

  it('reads CIFAR-100 with its fine labels', async () => {
    const files = {
      'train.bin': Buffer.concat(Array.from({ length: 300 }, (_, i) => record([19, i % 100], i))),
      'test.bin': Buffer.concat(Array.from({ length: 100 }, (_, i) => record([7, i], i))),
      'fine_label_names.txt': Buffer.from(Array.from({ length: 100 }, (_, i) => `name ${i}`).join('\n')),
    };
    const data = await openData(await writeTree(join(scratch, 'cifar100'), files), options);
    expect([data.test.classes.length, data.test.labels[42], data.test.classes[42]]).toEqual([100, 42, 'name 42']);
  });

  it('refuses missing batches, broken sizes and labels out of range', async () => {
    const change = async (name: string, edit: (files: Record<string, Uint8Array>) => void): Promise<string> => {
      const files = ten();
      edit(files);
      return writeTree(join(scratch, name), files);
    };
    const batch3 = 'cifar-10-batches-bin/data_batch_3.bin';
    await expect(openData(await change('c1', (files) => delete files[batch3]), options)).rejects.toThrow(
      /data_batch_3.bin is missing/,
    );
    await expect(
      openData(await change('c2', (files) => (files[batch3] = files[batch3]!.subarray(0, 5000))), options),
    ).rejects.toThrow(/data_batch_3.bin has 5000 bytes; a cifar-10 batch is a whole number of 3073-byte records/);
    await expect(openData(await change('c3', (files) => (files[batch3] = record([10], 0))), options)).rejects.toThrow(
      /has label 10/,
    );
    await expect(
      openData(
        await change('c4', (files) => (files['cifar-10-batches-bin/batches.meta.txt'] = Buffer.from('one\ntwo'))),
        options,
      ),
    ).rejects.toThrow(/lists 2 class names/);
  });
});

const fashion = '/usr/share/datasets/fashion-mnist';
it.skipIf(!existsSync(fashion))('opens Fashion-MNIST where the system has it', async () => {
  const data = await openData('fashion-mnist', { ...options, limit: 500 });
  expect([data.train.size + data.calibration.size, data.test.size]).toEqual([500, 500]);
  expect(data.train.classes[9]).toBe('Ankle boot');
});
