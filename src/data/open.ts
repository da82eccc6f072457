/** @file Opening whatever `--data` names: a folder, an archive, IDX files, CIFAR batches, or a registered name. */
import { basename, fileInfo, joinPath, listFolder, resolvePath } from '../platform/node/files.js';
import { cacheFolder } from '../platform/node/places.js';
import { environment } from '../platform/node/process.js';
import {
  cifarVariantOf,
  isIdxImages,
  readCifarFolder,
  readCifarTar,
  readIdxFolder,
  readIdxPair,
} from './binary-files.js';
import { DecodedCache, type CacheKey } from './cache.js';
import { sampleBytes, takeSamples, type DataSplits, type ImageDataset } from './dataset.js';
import { readDigits } from './digits.js';
import { DataError, type BadFile } from './errors.js';
import { folderSource, tarSource, type ImageSource } from './image-source.js';
import { readImages } from './images.js';
import { splitParts, type RawData, type SplitOptions } from './parts.js';
import { findPublished, type PublishedPlace } from './published.js';
import { knownDatasets, registeredName } from './registry.js';
import { conformDataset } from './resize.js';
import { chooseStratified } from './split.js';

export interface OpenDataOptions extends SplitOptions {
  /** At most this many images of each part, every class in proportion, chosen by seed. */
  readonly limit?: number;
  /** Bring every image to this size: scaled until it covers it, centre cut out. */
  readonly size?: { readonly height: number; readonly width: number };
  /** Bring every image to gray (1) or RGB (3); as the files have it where omitted. */
  readonly channels?: 1 | 3;
  /** Count and name bad files (default), or stop at the first. */
  readonly onBad?: 'count' | 'stop';
  /** Where decoded images are kept: `$XDG_CACHE_HOME/cuttle` or `~/.cache/cuttle` by default, `false` for nowhere. */
  readonly cacheDir?: string | false;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: DataProgress) => void;
}

export interface DataProgress {
  readonly phase: 'download' | 'decode';
  /** Bytes or images. */
  readonly done: number;
  readonly total: number | undefined;
}

/** What was noticed on the way. */
export interface DataReport {
  readonly source: string;
  /** Every file that could not be used. */
  readonly bad: readonly BadFile[];
  /** What was assumed, left out or taken by seed: one sentence each. */
  readonly notes: readonly string[];
  /** Whether decoded images came from the cache. */
  readonly cached: boolean;
}

export interface OpenedData extends DataSplits {
  readonly report: DataReport;
}

/**
 * Opens a data set and splits it. `spec` is a path (folder or tar of images by class, IDX files, CIFAR batches), a
 * name below `$CUTTLE_DATA`, or a registered name. Throws DataError (invalid, exit code 3) where the data is missing or
 * broken, DownloadError where a registered name cannot be fetched.
 */
export async function openData(spec: string, options: OpenDataOptions): Promise<OpenedData> {
  checkOptions(options);
  const { raw, cached, source } = await readRaw(spec, options);
  const { splits, notes } = splitParts(raw, options);
  return { ...splits, report: { source, bad: raw.bad, notes, cached } };
}

interface Read {
  readonly raw: RawData;
  readonly cached: boolean;
  readonly source: string;
}

async function readRaw(spec: string, options: OpenDataOptions): Promise<Read> {
  const path = await locate(spec);
  if (path !== undefined) return readPath(path, datasetName(path), options);
  const name = registeredName(spec);
  if (name === undefined)
    throw new DataError('not-found', `no data at '${spec}'`, {
      hint: `Give a folder, an archive, or one of: ${Object.keys(knownDatasets).join(', ')}.`,
    });
  const known = knownDatasets[name]!;
  if (known.kind === 'digits')
    return {
      raw: finish({ parts: { all: await readDigits() }, bad: [], notes: [] }, options),
      cached: false,
      source: known.title,
    };
  const place = await findPublished(name, known, {
    downloads: joinPath(cacheRoot(options), 'datasets'),
    signal: options.signal,
    onProgress: (done, total) => options.onProgress?.({ phase: 'download', done, total }),
  });
  return readPublished(place, name, options);
}

/** A path as given, or below `$CUTTLE_DATA`. A registered name is only looked up there as a folder or archive of that name. */
async function locate(spec: string): Promise<string | undefined> {
  const registered = registeredName(spec) !== undefined;
  if (!registered && (await fileInfo(spec))) return spec;
  const root = environment('CUTTLE_DATA');
  if (!root || registered || /^[./\\]|[\\/]\.\.[\\/]/.test(spec)) return undefined;
  for (const ending of ['', '.tar.gz', '.tgz', '.tar'])
    if (await fileInfo(joinPath(root, spec + ending))) return joinPath(root, spec + ending);
  return undefined;
}

async function readPublished(place: PublishedPlace, name: string, options: OpenDataOptions): Promise<Read> {
  const known = knownDatasets[name]!;
  if (known.kind !== 'idx' || place.kind === 'archive') return readPath(place.path, name, options);
  const raw = await readIdxFolder(await listFolder(place.path), name, known.classes);
  return { raw: finish(raw, options), cached: false, source: place.path };
}

async function readPath(path: string, name: string, options: OpenDataOptions): Promise<Read> {
  const { signal } = options;
  const info = await fileInfo(path);
  if (info?.kind === 'folder') {
    const entries = await listFolder(path);
    const files = entries.filter(({ kind }) => kind === 'file');
    const variant = cifarVariantOf(files.map((file) => file.name));
    if (variant) return plain(await readCifarFolder(path, variant, name), path, options);
    if (files.some((file) => isIdxImages(file.name))) return plain(await readIdxFolder(files, name), path, options);
    // The published CIFAR archives unpack to one folder; its parent is as good a path as the folder itself.
    const only = entries.length === 1 && entries[0]!.kind === 'folder' ? entries[0] : undefined;
    if (only && cifarVariantOf((await listFolder(only.path)).map((file) => file.name)))
      return readPath(only.path, name, options);
    return readImageSource(folderSource(path), name, options);
  }
  if (info?.kind !== 'file') throw new DataError('not-found', `'${path}' is neither a file nor a folder`);
  if (isIdxImages(basename(path)))
    return plain({ parts: { all: await readIdxPair(path, `${name}/all`) }, bad: [], notes: [] }, path, options);
  if (!/\.(?:tar|tar\.gz|tgz)$/i.test(path))
    throw new DataError('format', `'${path}' is no image data: a file must be a .tar, .tar.gz or IDX image file`, {
      hint: 'Give a folder of images by class, an archive of one, or a file named like train-images-idx3-ubyte.gz.',
    });
  const key = { kind: 'tar', path: resolvePath(path), size: info.size, modified: info.modifiedMs };
  const cached = await cacheOf(options)?.get(decodeKey(key, options), signal);
  if (cached) return fromCache(cached, path, options);
  const source = await tarSource(path, info, signal);
  const variant = cifarVariantOf(source.names);
  if (variant) return plain(await readCifarTar(path, variant, name, signal), path, options);
  return readImageSource(source, name, options, key);
}

async function readImageSource(
  source: ImageSource,
  name: string,
  options: OpenDataOptions,
  known?: CacheKey,
): Promise<Read> {
  const key = decodeKey(
    known ?? { kind: 'folder', path: resolvePath(source.path), fingerprint: source.fingerprint },
    options,
  );
  const cache = cacheOf(options);
  if (known === undefined) {
    const cached = await cache?.get(key, options.signal);
    if (cached) return fromCache(cached, source.path, options);
  }
  const { limit, size, channels, seed, onBad = 'count', signal, onProgress } = options;
  const raw = await readImages(source, name, {
    limit,
    size,
    channels,
    seed,
    onBad,
    signal,
    onProgress: (done, total) => onProgress?.({ phase: 'decode', done, total }),
  });
  const kept = await cache?.put(key, raw);
  const notes = kept === false ? [...raw.notes, 'decoded images could not be kept in the cache'] : raw.notes;
  return { raw: { ...raw, notes }, cached: false, source: source.path };
}

function fromCache(raw: RawData, source: string, options: OpenDataOptions): Read {
  const [first] = raw.bad;
  if (options.onBad === 'stop' && first)
    throw new DataError('bad-file', `${first.name} cannot be used: ${first.reason}`, {
      bad: [first],
      hint: 'Repair or remove the file, or count bad files instead of stopping (--on-bad count).',
    });
  return { raw, cached: true, source };
}

/** Binary formats decode faster than a cache reads; size, channels and limit are applied afterwards. */
function plain(raw: RawData, source: string, options: OpenDataOptions): Read {
  return { raw: finish(raw, options), cached: false, source };
}

function finish(raw: RawData, { limit, size, channels, seed }: OpenDataOptions): RawData {
  const parts = Object.entries(raw.parts).map(([part, dataset]): [string, ImageDataset] => {
    const chosen =
      limit !== undefined && limit < dataset.size
        ? takeSamples(dataset, chooseStratified(dataset.labels, dataset.classes.length, limit, seed))
        : dataset;
    const { height, width } = size ?? chosen;
    return [part, conformDataset(chosen, { height, width, channels: channels ?? chosen.channels })];
  });
  return { ...raw, parts: Object.fromEntries(parts) };
}

function decodeKey(source: CacheKey, { limit, size, channels, seed }: OpenDataOptions): CacheKey {
  return {
    ...source,
    height: size?.height,
    width: size?.width,
    channels,
    limit,
    seed: limit === undefined ? undefined : seed,
  };
}

function cacheRoot({ cacheDir }: OpenDataOptions): string {
  return cacheDir === undefined || cacheDir === false ? cacheFolder() : cacheDir;
}

function cacheOf(options: OpenDataOptions): DecodedCache | undefined {
  return options.cacheDir === false ? undefined : new DecodedCache(joinPath(cacheRoot(options), 'decoded'));
}

function datasetName(path: string): string {
  return basename(path).replace(/\.(?:tar|tar\.gz|tgz|gz)$/i, '');
}

function checkOptions({ limit, size, seed }: OpenDataOptions): void {
  const usage = (message: string): DataError => new DataError('options', message, { kind: 'usage' });
  if (!Number.isSafeInteger(seed)) throw usage(`the seed must be a whole number, not ${seed}`);
  if (limit !== undefined && (!Number.isInteger(limit) || limit < 1))
    throw usage(`the limit must be a positive whole number, not ${limit}`);
  if (size && (sampleBytes({ ...size, channels: 1 }) < 1 || size.height > 16_384 || size.width > 16_384))
    throw usage(`images of ${size.height}×${size.width} cannot be made`);
}
