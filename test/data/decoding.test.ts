/** @file Decoded pixels against Pillow's, and single images as model input. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { normalisationFor, type Preprocessing } from '../../src/data/index.js';
import { openDecoder, preprocessImage, preprocessImageBytes } from '../../src/data/node.js';
import { readTar } from '../../src/platform/node/tar.js';
import { imageFile, scratchFolder } from './files.js';

const scratch = scratchFolder();
const archive = join(import.meta.dirname, '../../../shared/data/cifar-10-images.tar.gz');

it.skipIf(!existsSync(archive))(
  'decodes JPEG bit for bit as Pillow does (test/oracles/record-decoding.py)',
  async () => {
    const recorded = JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/decoding.json'), 'utf8')) as Record<
      string,
      string
    >;
    const decode = await openDecoder();
    let compared = 0;
    for await (const entry of readTar(archive)) {
      const expected = recorded[entry.name];
      if (expected === undefined) continue;
      const { pixels, channels } = await decode(await entry.bytes(), { size: { height: 32, width: 32 } });
      const interleaved = Buffer.alloc(3072);
      for (let i = 0; i < 1024; i++) for (let c = 0; c < 3; c++) interleaved[i * 3 + c] = pixels[c * 1024 + i]!;
      expect(channels).toBe(3);
      expect(createHash('sha256').update(interleaved).digest('hex'), entry.name).toBe(expected);
      compared++;
    }
    expect(compared).toBe(100);
  },
);

it('decodes every format and kind of picture to planes', async () => {
  const decode = await openDecoder();
  for (const format of ['png', 'webp', 'jpeg'] as const) {
    const { pixels, channels, height, width } = await decode(
      await imageFile(format, [200, 100, 50], { width: 5, height: 3 }),
      {},
    );
    expect([channels, height, width]).toEqual([3, 3, 5]);
    [200, 100, 50].forEach((value, c) => expect(Math.abs(pixels[c * 15 + 7]! - value)).toBeLessThanOrEqual(2));
  }
  const raw = (channels: 2 | 4, values: readonly number[]) =>
    sharp(Buffer.from(Array.from({ length: 4 }, () => values).flat()), { raw: { width: 2, height: 2, channels } });
  const transparent = await decode(await raw(4, [10, 20, 30, 128]).png().toBuffer(), {});
  expect([...transparent.pixels]).toEqual([10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30]);
  const deep = await sharp(Uint16Array.from([0, 32896, 65535, 257]), { raw: { width: 2, height: 2, channels: 1 } })
    .toColourspace('grey16')
    .png()
    .toBuffer();
  const gray = await decode(deep, {});
  expect([gray.channels, ...gray.pixels]).toEqual([1, 0, 128, 255, 1]);
  const cmyk = await sharp(Buffer.alloc(48, 90), { raw: { width: 4, height: 4, channels: 3 } })
    .toColourspace('cmyk')
    .jpeg()
    .toBuffer();
  expect((await decode(cmyk, {})).channels).toBe(3);
});

it('turns a photograph as its EXIF orientation says', async () => {
  const decode = await openDecoder();
  const upright = sharp(Buffer.alloc(2 * 4 * 3, 255), { raw: { width: 4, height: 2, channels: 3 } });
  const { height, width } = await decode(await upright.jpeg().withMetadata({ orientation: 6 }).toBuffer(), {});
  expect([height, width]).toEqual([4, 2]);
});

it('makes a model input of one file', async () => {
  const preprocessing: Preprocessing = { height: 4, width: 4, channels: 'bgr', ...normalisationFor('imagenet', 'bgr') };
  const path = join(scratch, 'one.png');
  writeFileSync(path, await imageFile('png', [255, 0, 51], { width: 30, height: 20 }));
  const tensor = await preprocessImage(path, preprocessing);
  expect(tensor.dims).toEqual([1, 3, 4, 4]);
  [51, 0, 255].forEach((byte, c) =>
    expect(tensor.data[c * 16 + 5]).toBeCloseTo(
      (byte / 255 - [0.406, 0.456, 0.485][c]!) / [0.225, 0.224, 0.229][c]!,
      5,
    ),
  );
  const gray = await preprocessImage(path, { height: 4, width: 4, channels: 'gray', mean: [0], std: [1] });
  expect(gray.dims).toEqual([1, 1, 4, 4]);
  await expect(preprocessImage(join(scratch, 'none.png'), preprocessing)).rejects.toMatchObject({ kind: 'invalid' });
  await expect(preprocessImageBytes(Buffer.from('hello'), preprocessing, 'x.png')).rejects.toThrow(
    /x.png cannot be read as an image/,
  );
});
