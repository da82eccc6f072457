/** @file IDX files and CIFAR batches from folders and archives. */
import {
  basename,
  dirname,
  fileInfo,
  joinPath,
  listFolder,
  readBytes,
  type FolderEntry,
} from '../platform/node/files.js';
import { gunzip, GzipError, isGzip } from '../platform/node/gzip.js';
import { readTar } from '../platform/node/tar.js';
import { type PartName } from './arrange.js';
import { cifarLayouts, parseCifar, parseCifarNames, type CifarVariant } from './cifar.js';
import { checkedDataset, type ImageDataset } from './dataset.js';
import { DataError } from './errors.js';
import { parseIdx } from './idx.js';
import { type RawData } from './parts.js';

/** IDX and CIFAR files are read whole; larger ones are refused. */
const MAX_FILE_BYTES = 2 ** 31;

const IDX_IMAGES = /images?[-._]idx3[-._]ubyte(?:\.gz)?$/i;
const idxParts: readonly { readonly prefix: RegExp; readonly part: PartName }[] = [
  { prefix: /^train/i, part: 'train' },
  { prefix: /^(?:t10k|test)/i, part: 'test' },
  { prefix: /^val/i, part: 'val' },
];

/** True where a file name is that of an IDX image file. */
export function isIdxImages(name: string): boolean {
  return IDX_IMAGES.test(name);
}

/** The IDX image files of a folder, each with its part by name (`train-…`, `t10k-…`, `test-…`, `val-…`). */
export async function readIdxFolder(
  entries: readonly FolderEntry[],
  name: string,
  classes?: readonly string[],
): Promise<RawData> {
  const parts: Partial<Record<PartName, ImageDataset>> = {};
  for (const { name: file, path } of entries) {
    if (!isIdxImages(file)) continue;
    const part = idxParts.find(({ prefix }) => prefix.test(file))?.part ?? 'all';
    if (parts[part])
      throw new DataError('idx-twice', `${dirname(path)} holds two IDX image files for the ${part} part`, {
        hint: 'Keep either the packed or the unpacked file.',
      });
    parts[part] = await readIdxPair(path, `${name}/${part}`, classes);
  }
  return { parts: sameClasses(parts), bad: [], notes: [] };
}

/** One IDX image file and the label file beside it (`images` → `labels`, `idx3` → `idx1` in its name, packed or not). */
export async function readIdxPair(path: string, name: string, classes?: readonly string[]): Promise<ImageDataset> {
  const images = parseIdx(await readUnpacked(path), basename(path));
  const labelPath = await labelsBeside(path);
  const labels = parseIdx(await readUnpacked(labelPath), basename(labelPath));
  const [size, height, width] = images.dims;
  if (images.dims.length !== 3 || !(images.data instanceof Uint8Array) || size === 0 || height === 0 || width === 0)
    throw new DataError(
      'idx-images',
      `${basename(path)} holds ${images.dims.join('×')} elements, not N×H×W bytes of gray images`,
    );
  if (labels.dims.length !== 1 || labels.dims[0] !== size)
    throw new DataError(
      'label-count',
      `${basename(path)} has ${size} images, but ${basename(labelPath)} has ${labels.dims.join('×')} labels`,
    );
  const values = Int32Array.from(labels.data);
  const classCount = values.reduce((max, value) => Math.max(max, value), 0) + 1;
  if (classCount > 100_000)
    throw new DataError('label-range', `${basename(labelPath)} has a label of ${classCount - 1}`);
  return checkedDataset({
    name,
    classes: classes ?? Array.from({ length: classCount }, (_, i) => String(i)),
    size: size!,
    channels: 1,
    height: height!,
    width: width!,
    labels: values,
    pixels: images.data,
  });
}

/** Which CIFAR a set of file names is, if any. */
export function cifarVariantOf(names: readonly string[]): CifarVariant | undefined {
  const files = new Set(names.map((name) => name.slice(name.lastIndexOf('/') + 1)));
  if (files.has('data_batch_1.bin') || files.has('test_batch.bin')) return 'cifar-10';
  return files.has('train.bin') && files.has('test.bin') ? 'cifar-100' : undefined;
}

/** CIFAR batches of a folder. Throws DataError naming batches that are missing or broken. */
export async function readCifarFolder(folder: string, variant: CifarVariant, name: string): Promise<RawData> {
  const found = new Map<string, Uint8Array>();
  for (const file of cifarFiles(variant)) {
    const path = joinPath(folder, file);
    if (await fileInfo(path)) found.set(file, await readBytes(path));
  }
  return cifarParts(found, variant, name, folder);
}

/** CIFAR batches of a tar archive as published. Throws DataError naming batches that are missing or broken. */
export async function readCifarTar(
  path: string,
  variant: CifarVariant,
  name: string,
  signal?: AbortSignal,
): Promise<RawData> {
  const wanted = new Set(cifarFiles(variant));
  const found = new Map<string, Uint8Array>();
  for await (const entry of readTar(path, { signal, limits: { maxEntries: 10_000 } })) {
    const file = entry.name.slice(entry.name.lastIndexOf('/') + 1);
    if (entry.kind === 'file' && wanted.has(file)) found.set(file, await entry.bytes());
  }
  return cifarParts(found, variant, name, path);
}

function cifarFiles(variant: CifarVariant): readonly string[] {
  const { train, test, names } = cifarLayouts[variant];
  return [...train, ...test, names];
}

function cifarParts(
  found: ReadonlyMap<string, Uint8Array>,
  variant: CifarVariant,
  name: string,
  source: string,
): RawData {
  const layout = cifarLayouts[variant];
  const missing = [...layout.train, ...layout.test].filter((file) => !found.has(file));
  if (missing.length > 0)
    throw new DataError(
      'cifar-missing',
      `${source}: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`,
      {
        bad: missing.map((file) => ({ name: file, reason: 'missing' })),
        hint: `Give the ${variant} binary version complete.`,
      },
    );
  const text = found.get(layout.names);
  const classes = text
    ? parseCifarNames(new TextDecoder().decode(text), variant)
    : Array.from({ length: layout.classes }, (_, i) => String(i));
  const part = (files: readonly string[], as: PartName): ImageDataset =>
    parseCifar(
      files.map((file) => ({ name: file, bytes: found.get(file)! })),
      variant,
      classes,
      `${name}/${as}`,
    );
  return {
    parts: { train: part(layout.train, 'train'), test: part(layout.test, 'test') },
    bad: [],
    notes: text ? [] : [`${layout.names} is missing: classes are numbered`],
  };
}

/** Parts of one data set share the longest list of classes: a small test part may lack the highest labels. */
function sameClasses(parts: Partial<Record<PartName, ImageDataset>>): Partial<Record<PartName, ImageDataset>> {
  const lists = Object.values(parts).map(({ classes }) => classes);
  const longest = lists.reduce<readonly string[]>((best, list) => (list.length > best.length ? list : best), []);
  return Object.fromEntries(Object.entries(parts).map(([part, dataset]) => [part, { ...dataset, classes: longest }]));
}

async function labelsBeside(path: string): Promise<string> {
  const file = basename(path)
    .replace(/images/i, 'labels')
    .replace(/image/i, 'label')
    .replace(/idx3/i, 'idx1');
  const packed = file.endsWith('.gz') ? file : `${file}.gz`;
  const plain = packed.slice(0, -3);
  const there = new Set((await listFolder(dirname(path))).map(({ name }) => name));
  const found = [file, packed, plain].find((name) => there.has(name));
  if (found === undefined)
    throw new DataError('idx-labels', `${basename(path)}: its labels are missing`, {
      bad: [{ name: file, reason: 'missing' }],
      hint: `Put ${file} beside it.`,
    });
  return joinPath(dirname(path), found);
}

async function readUnpacked(path: string): Promise<Uint8Array> {
  const size = (await fileInfo(path))?.size ?? 0;
  if (size > MAX_FILE_BYTES)
    throw new DataError('too-large', `${path} has ${size} bytes, above the limit of ${MAX_FILE_BYTES}`);
  const bytes = await readBytes(path);
  try {
    return isGzip(bytes) ? await gunzip(bytes, MAX_FILE_BYTES) : bytes;
  } catch (cause) {
    if (cause instanceof GzipError) throw new DataError('gzip', `${basename(path)}: ${cause.message}`, { cause });
    throw cause;
  }
}
