/** @file Text from files: UTF-8, plain or gzip. Node only. */
import { basename, fileInfo, joinPath, readBytes } from '../platform/node/files.js';
import { gunzip, isGzip } from '../platform/node/gzip.js';
import { environment } from '../platform/node/process.js';
import { DataError } from './errors.js';
import { splitText, type TextSplitOptions, type TextSplits } from './text.js';

/** Text larger than this, unpacked, is refused. */
export const MAX_TEXT_BYTES = 2 ** 28;

/** Whether a `--data` value means text: a file that ends in .txt or .txt.gz. */
export function isTextSource(spec: string): boolean {
  return /\.txt(?:\.gz)?$/i.test(spec);
}

/**
 * Opens a text file, a path or a name below `$CUTTLE_DATA`, and splits it. Throws DataError where it is missing, no UTF-8, too
 * large or too short, GzipError where it is damaged.
 */
export async function openText(spec: string, options: TextSplitOptions = {}): Promise<TextSplits> {
  const path = await locate(spec);
  const info = await fileInfo(path);
  if (info !== undefined && info.size > MAX_TEXT_BYTES) throw tooLarge(spec);
  const bytes = await readBytes(path);
  const plain = isGzip(bytes) ? await gunzip(bytes, MAX_TEXT_BYTES) : bytes;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(plain);
  } catch (cause) {
    throw new DataError('text-encoding', `'${spec}' is no UTF-8 text`, { cause, hint: 'Convert it to UTF-8.' });
  }
  return splitText(basename(path).replace(/\.txt(?:\.gz)?$/i, ''), text, options);
}

async function locate(spec: string): Promise<string> {
  if ((await fileInfo(spec))?.kind === 'file') return spec;
  const root = environment('CUTTLE_DATA');
  if (root && !/^[./\\]|[\\/]\.\.[\\/]/.test(spec)) {
    const path = joinPath(root, spec);
    if ((await fileInfo(path))?.kind === 'file') return path;
  }
  throw new DataError('not-found', `there is no text file '${spec}'`);
}

function tooLarge(spec: string): DataError {
  return new DataError('text-length', `'${spec}' is larger than ${MAX_TEXT_BYTES} bytes`);
}
