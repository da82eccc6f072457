/** @file A file of lines that only grows: appended lines are on the disk when `append` resolves; a torn last line is dropped. */
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FileError } from './files.js';

export interface LineLog extends AsyncDisposable {
  /** What the file held when it was opened. */
  readonly lines: readonly string[];
  /** Appends whole lines, in the order of the calls; resolves once they are on the disk. Throws FileError. */
  append(lines: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a log, or makes it. What follows the last line's end was being written when the process was killed: it is cut off.
 * Throws FileError.
 */
export async function openLineLog(path: string): Promise<LineLog> {
  const failed = (cause: unknown): FileError => {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new FileError('failed', 'platform/write', path, `'${path}' cannot be written: ${why}`, { cause });
  };
  const opened = async () => {
    await mkdir(dirname(path), { recursive: true });
    return await open(path, 'a+', 0o600);
  };
  const handle = await opened().catch((cause: unknown) => {
    throw failed(cause);
  });
  const bytes = await handle.readFile();
  const whole = bytes.lastIndexOf(10) + 1;
  if (whole < bytes.length) await handle.truncate(whole);
  const text = bytes.subarray(0, whole).toString('utf8');

  let waiting: string[] = [];
  let writing: Promise<void> | undefined;
  /** Everything that waits is written together: one wait for the disk serves all. */
  const write = async (): Promise<void> => {
    await Promise.resolve();
    const block = waiting.join('');
    waiting = [];
    writing = undefined;
    try {
      await handle.appendFile(block);
      await handle.datasync();
    } catch (cause) {
      throw failed(cause);
    }
  };
  let last: Promise<void> = Promise.resolve();
  const append = (lines: readonly string[]): Promise<void> => {
    if (lines.length === 0) return last;
    waiting.push(...lines.map((line) => `${line}\n`));
    if (writing === undefined) {
      writing = last.then(write);
      last = writing;
      // Whoever asked hears of it; nobody else waits for this chain.
      last.catch(() => undefined);
    }
    return writing;
  };
  const close = async (): Promise<void> => {
    await last.catch(() => undefined);
    await handle.close();
  };
  return { lines: text === '' ? [] : text.slice(0, -1).split('\n'), append, close, [Symbol.asyncDispose]: close };
}
