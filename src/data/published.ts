/** @file Finding the files of a registered data set: `$CUTTLE_DATA`, system folders, earlier downloads, then the network. */
import { digestOfFile, download, DownloadError } from '../platform/node/download.js';
import { fileInfo, joinPath } from '../platform/node/files.js';
import { environment } from '../platform/node/process.js';
import { DataError } from './errors.js';
import { type KnownDataset, type PublishedFile } from './registry.js';

/** Where the files were found. */
export interface PublishedPlace {
  readonly kind: 'folder' | 'archive';
  readonly path: string;
}

export interface FindOptions {
  /** Folder that downloads are kept in, one folder per data set. */
  readonly downloads: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (received: number, total: number) => void;
}

type Published = Exclude<KnownDataset, { kind: 'digits' }>;

/**
 * Finds a data set's files, or downloads them, each checked against its published checksum. Files that the user or the system placed
 * are taken as they are. Throws DownloadError with one line that says where to put the files by hand.
 */
export async function findPublished(name: string, known: Published, options: FindOptions): Promise<PublishedPlace> {
  const root = environment('CUTTLE_DATA');
  const folders = [...(root ? [joinPath(root, name), root] : []), ...(known.kind === 'idx' ? known.systemFolders : [])];
  for (const folder of folders) {
    const place = await placeIn(folder, known, folder === root ? name : undefined);
    if (place) return place;
  }
  const folder = joinPath(options.downloads, name);
  const total = known.files.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const file of known.files) {
    await fetchOne(file, folder, name, root, {
      ...options,
      onProgress: (received) => options.onProgress?.(before + received, total),
    });
    before += file.bytes;
  }
  const place = await placeIn(folder, known, undefined);
  if (place === undefined) throw new DataError('not-found', `${name}: the downloaded files have gone from ${folder}`);
  return place;
}

/** A folder that holds every file (packed or unpacked), or a CIFAR archive or its unpacked folder. */
async function placeIn(
  folder: string,
  known: Published,
  only: string | undefined,
): Promise<PublishedPlace | undefined> {
  if (known.kind === 'cifar') {
    const archive = joinPath(folder, known.files[0]!.name);
    if ((await fileInfo(archive))?.kind === 'file') return { kind: 'archive', path: archive };
    for (const inner of only === undefined
      ? ['', `${known.variant}-binary`, `${known.variant}-batches-bin`]
      : [`${known.variant}-binary`, `${known.variant}-batches-bin`]) {
      const path = inner === '' ? folder : joinPath(folder, inner);
      if (await fileInfo(joinPath(path, 'test_batch.bin'))) return { kind: 'folder', path };
      if (known.variant === 'cifar-100' && (await fileInfo(joinPath(path, 'train.bin'))))
        return { kind: 'folder', path };
    }
    return undefined;
  }
  // MNIST and Fashion-MNIST files have the same names, so they only count in a folder named for the data set.
  if (only !== undefined) return undefined;
  for (const { name } of known.files) {
    const packed = await fileInfo(joinPath(folder, name));
    if (!packed && !(await fileInfo(joinPath(folder, name.replace(/\.gz$/, ''))))) return undefined;
  }
  return { kind: 'folder', path: folder };
}

async function fetchOne(
  file: PublishedFile,
  folder: string,
  name: string,
  root: string | undefined,
  options: Pick<FindOptions, 'signal'> & { readonly onProgress: (received: number) => void },
): Promise<void> {
  const path = joinPath(folder, file.name);
  const { algorithm, digest } = file.checksum;
  if ((await fileInfo(path)) && (await digestOfFile(path, algorithm)) === digest) return;
  try {
    await download(file.url, path, {
      checksum: file.checksum,
      maxBytes: Math.ceil(file.bytes * 1.05) + 1024,
      signal: options.signal,
      onProgress: options.onProgress,
    });
  } catch (cause) {
    if (!(cause instanceof DownloadError)) throw cause;
    const place = root ? joinPath(root, name) : `$CUTTLE_DATA/${name}`;
    throw new DownloadError(`${name}: ${cause.message}`, {
      cause,
      hint: `Fetch ${file.name} by other means, put it into ${place}${root ? '' : ' (CUTTLE_DATA is any folder of yours)'} and run again.`,
    });
  }
}
