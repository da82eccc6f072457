/** @file Small image sets, archives and binary files for the data tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { afterAll } from 'vitest';
import { type ImageDataset } from '../../src/data/index.js';

/** A folder that goes away with the test file. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-data-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** One colour (or gray level) as an image file. */
export async function imageFile(
  format: 'png' | 'jpeg' | 'webp',
  colour: readonly number[],
  size: { readonly width: number; readonly height: number } = { width: 8, height: 8 },
): Promise<Buffer> {
  const channels = colour.length === 1 ? 1 : 3;
  const raw = Buffer.alloc(size.width * size.height * channels);
  for (let i = 0; i < raw.length; i++) raw[i] = colour[i % channels]!;
  const image = sharp(raw, { raw: { ...size, channels } }).toColourspace(channels === 1 ? 'b-w' : 'srgb');
  return format === 'png'
    ? image.png().toBuffer()
    : format === 'jpeg'
      ? image.jpeg({ quality: 95 }).toBuffer()
      : image.webp({ lossless: true }).toBuffer();
}

/** Writes files below a folder; names contain `/`. */
export async function writeTree(root: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<string> {
  for (const [name, contents] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), contents);
  }
  return root;
}

/** A tar (gzipped where told) of these files. */
export async function tarOf(
  files: Readonly<Record<string, Uint8Array | { readonly link: string }>>,
  gzipped = true,
): Promise<Buffer> {
  const archive = pack();
  const chunks: Buffer[] = [];
  archive.on('data', (chunk) => chunks.push(chunk as Buffer));
  const ended = new Promise<void>((resolve) => archive.on('end', () => resolve()));
  for (const [name, contents] of Object.entries(files))
    if (contents instanceof Uint8Array) archive.entry({ name }, Buffer.from(contents));
    else archive.entry({ name, type: 'symlink', linkname: contents.link });
  archive.finalize();
  await ended;
  const bytes = Buffer.concat(chunks);
  return gzipped ? gzipSync(bytes) : bytes;
}

/** `count` distinct PNGs of each class, one gray level each, under `prefix`. */
export async function classTree(
  classes: readonly string[],
  count: number,
  prefix = '',
): Promise<Record<string, Buffer>> {
  const files: Record<string, Buffer> = {};
  for (const [c, name] of classes.entries())
    for (let i = 0; i < count; i++)
      files[`${prefix}${name}/${String(i).padStart(3, '0')}.png`] = await imageFile('png', [
        (c * 80 + i) % 256,
        i % 256,
        c,
      ]);
  return files;
}

/** An IDX file of bytes. */
export function idxFile(dims: readonly number[], data: Uint8Array, type = 8): Uint8Array {
  const bytes = Buffer.alloc(4 + 4 * dims.length + data.length);
  bytes[2] = type;
  bytes[3] = dims.length;
  dims.forEach((dim, i) => bytes.writeUInt32BE(dim, 4 + 4 * i));
  bytes.set(data, 4 + 4 * dims.length);
  return bytes;
}

/** A data set whose pixels count up, so that every value says where it came from. */
export function countingDataset(
  size: number,
  channels: 1 | 3,
  height: number,
  width: number,
  classes = 2,
): ImageDataset {
  const pixels = new Uint8Array(size * channels * height * width);
  for (let i = 0; i < pixels.length; i++) pixels[i] = (i * 7 + (i >> 8)) % 256;
  const labels = Int32Array.from({ length: size }, (_, i) => i % classes);
  return {
    name: 'counting',
    classes: Array.from({ length: classes }, (_, i) => `class ${i}`),
    size,
    channels,
    height,
    width,
    labels,
    pixels,
  };
}
