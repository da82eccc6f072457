/** @file Models as files on disk: external data beside them, atomic writes. For Node only. */
import type { Model, Tensor } from '../ir/index.js';
import {
  basename,
  dirname,
  exists,
  fileInfo,
  FileError,
  FileExistsError,
  joinPath,
  openFile,
  readBytes,
  writeFileAtomic,
} from '../platform/node/files.js';
import { sha1OfFile } from '../platform/node/hash.js';
import { decodeModel, externalRangesOf } from './decode.js';
import { encodeModel, MAX_MODEL_BYTES, weightBytes } from './encode.js';
import type { ExternalPlacement } from './encode-graph.js';
import { OnnxFormatError } from './errors.js';
import { safeLocation, type ExternalRange } from './external.js';
import { defaultLimits, type OnnxLimits } from './limits.js';

export interface LoadOptions {
  readonly limits?: Partial<OnnxLimits>;
  readonly signal?: AbortSignal;
}

export interface SaveOptions {
  /** Overwrite existing files. */
  readonly force?: boolean;
  /**
   * Initializers of at least this many bytes go into `<file>.data` beside the model. Where omitted, everything stays in
   * one file unless that would exceed 2 GB.
   */
  readonly externalDataThreshold?: number;
}

/** Threshold for models that do not fit into one file. */
const DEFAULT_THRESHOLD = 1024;
/** External data starts at multiples of a page, so that it can be mapped into memory. */
const PAGE = 4096;
/** How often over a model may read one external file: tied weights overlap, but not without end. */
const MAX_OVERLAP = 2;

/**
 * Reads a model and its external data. Weights in the model file are views of the one buffer it was read into.
 * Throws FileError for files that are missing, OnnxFormatError and OnnxUnsupportedError like `decodeModel`.
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<Model> {
  const maxBytes = options.limits?.maxFileBytes ?? defaultLimits.maxFileBytes;
  const size = (await fileInfo(path))?.size ?? 0;
  if (size > maxBytes)
    throw new OnnxFormatError(
      'limit',
      `${path}: the file exceeds a limit: it has ${size} bytes, more than ${maxBytes}`,
    );
  const bytes = await readBytes(path, options.signal);
  const decodeOptions = { limits: options.limits, source: path };
  const ranges = externalRangesOf(bytes, decodeOptions);
  const data = await readRanges(path, ranges, options.signal);
  return decodeModel(bytes, { ...decodeOptions, externalData: (range) => data.get(rangeKey(range))! });
}

/**
 * Writes a model, atomically. With external data, the data file is written first, so that a model file never points to
 * data that is not there. Throws FileExistsError where a file exists and `force` is not set.
 */
export async function saveModel(path: string, model: Model, options: SaveOptions = {}): Promise<void> {
  const { force = false } = options;
  if (!force && (await exists(path))) throw new FileExistsError(path);
  const tooLarge = weightBytes(model) > MAX_MODEL_BYTES;
  const threshold = options.externalDataThreshold ?? (tooLarge ? DEFAULT_THRESHOLD : undefined);
  if (threshold === undefined) return writeFileAtomic(path, encodeModel(model), { force });

  const location = `${basename(path)}.data`;
  const placed: { readonly tensor: Tensor; readonly offset: number }[] = [];
  const known = new Map<Tensor, ExternalPlacement>();
  let end = 0;
  const place = (_name: string, tensor: Tensor): ExternalPlacement | undefined => {
    const length = tensor.bytes.length;
    if (tensor.strings || length === 0 || length < threshold) return undefined;
    const before = known.get(tensor);
    if (before) return before;
    const placement = { location, offset: end, length };
    placed.push({ tensor, offset: end });
    known.set(tensor, placement);
    end = Math.ceil((end + length) / PAGE) * PAGE;
    return placement;
  };
  const bytes = encodeModel(model, { placeExternally: place });
  if (placed.length > 0) await writeFileAtomic(joinPath(dirname(path), location), dataChunks(placed), { force });
  await writeFileAtomic(path, bytes, { force });
}

function* dataChunks(placed: readonly { readonly tensor: Tensor; readonly offset: number }[]): Generator<Uint8Array> {
  let written = 0;
  for (const { tensor, offset } of placed) {
    if (offset > written) yield new Uint8Array(offset - written);
    yield tensor.bytes;
    written = offset + tensor.bytes.length;
  }
}

const rangeKey = (range: ExternalRange): string => `${range.offset} ${range.length} ${range.location}`;

/** The bytes of each distinct range. Memory is only spent on ranges that lie inside their file. */
async function readRanges(
  model: string,
  ranges: readonly ExternalRange[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const data = new Map<string, Uint8Array>();
  const byFile = new Map<string, ExternalRange[]>();
  for (const range of ranges) {
    const location = safeLocation(range);
    const known = byFile.get(location);
    if (known) known.push(range);
    else byFile.set(location, [range]);
  }
  for (const [location, wanted] of byFile) {
    const path = joinPath(dirname(model), location);
    await checkFile(model, path, wanted);
    await using file = await openFile(path);
    let read = 0;
    for (const range of wanted) {
      signal?.throwIfAborted();
      if (data.has(rangeKey(range))) continue;
      if (range.offset + range.length > file.size)
        throw new OnnxFormatError(
          'external-data',
          `${model}: tensor '${range.tensor}' needs bytes ${range.offset} to ${range.offset + range.length} of '${path}', which has ${file.size}`,
          { hint: 'The external file is cut or belongs to another model: download or export it again.' },
        );
      read += range.length;
      if (read > MAX_OVERLAP * file.size)
        throw new OnnxFormatError('limit', `${model}: its tensors overlap too often in '${path}'`);
      data.set(rangeKey(range), await file.read(range.offset, range.length));
    }
  }
  return data;
}

async function checkFile(model: string, path: string, wanted: readonly ExternalRange[]): Promise<void> {
  const info = await fileInfo(path);
  const { tensor } = wanted[0]!;
  if (info?.kind !== 'file')
    throw new FileError(
      'invalid',
      'onnx/external-missing',
      path,
      `${model}: its external data file '${path}' ${info ? 'is no file' : 'does not exist'} (tensor '${tensor}')`,
      { hint: 'Put the data file beside the model under this name.' },
    );
  const sums = new Set(wanted.flatMap(({ checksum }) => (checksum === undefined ? [] : [checksum.toLowerCase()])));
  if (sums.size === 0) return;
  const actual = await sha1OfFile(path);
  if (sums.size > 1 || !sums.has(actual))
    throw new OnnxFormatError('external-checksum', `${model}: the checksum of '${path}' is not the one it states`, {
      hint: 'The external file is damaged or belongs to another model: download or export it again.',
    });
}
