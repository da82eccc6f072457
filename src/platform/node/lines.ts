/** @file Files of lines: read one after another in bounded memory, and added to so that a kill at any point costs a line at most. */
import { open, type FileHandle } from 'node:fs/promises';
import { FileError, openFile } from './files.js';

/** Lines longer than this are refused. */
const MAX_LINE_BYTES = 16 * 2 ** 20;

/** Lines of UTF-8 text without their ends. A last line without an end counts unless `wholeOnly`. Throws FileError for endless lines. */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  { wholeOnly = false }: { readonly wholeOnly?: boolean } = {},
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    if (rest.length > MAX_LINE_BYTES)
      throw new FileError(
        'invalid',
        'platform/long-line',
        name,
        `'${name}' has a line of more than ${MAX_LINE_BYTES} characters`,
      );
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
  }
  rest += decoder.decode();
  if (rest !== '' && !wholeOnly) yield rest;
}

/** A file as chunks. Throws FileError where it cannot be read. */
export async function* fileChunks(path: string): AsyncGenerator<Uint8Array> {
  await using file = await openFile(path);
  const step = 1 << 18;
  for (let at = 0; at < file.size; at += step) yield await file.read(at, Math.min(step, file.size - at));
}

/** A file that lines are added to. */
export interface LineFile extends AsyncDisposable {
  /** Adds a line in one write. Lines of several callers never mix. */
  add(line: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a file for adding lines; makes it where it is missing. A last line that a kill left unfinished is cut off first.
 * The system has each line when `add` resolves: it survives the end of this process, not a loss of power.
 */
export async function openLineFile(path: string): Promise<LineFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'a+');
    await cutTornLine(handle);
  } catch (cause) {
    throw new FileError('failed', 'platform/write', path, `'${path}' cannot be written: ${String(cause)}`, { cause });
  }
  let last = Promise.resolve();
  const close = async (): Promise<void> => {
    await last.catch(() => undefined);
    await handle.close();
  };
  return {
    add(line) {
      last = last.then(async () => void (await handle.appendFile(`${line}\n`)));
      return last;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function cutTornLine(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat();
  const step = 1 << 16;
  for (let end = size; end > 0; end -= step) {
    const start = Math.max(0, end - step);
    const bytes = Buffer.alloc(end - start);
    await handle.read(bytes, 0, bytes.length, start);
    const newline = bytes.lastIndexOf(10);
    if (newline < 0) continue;
    if (start + newline + 1 < size) await handle.truncate(start + newline + 1);
    return;
  }
  if (size > 0) await handle.truncate(0);
}
