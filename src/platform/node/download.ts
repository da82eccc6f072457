/** @file Fetching a published file over HTTP, checked against its published checksum. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { CuttleError } from '../../ir/error.js';
import { writeFileAtomic } from './files.js';

/** The file could not be fetched, or is not the published one. Exit code 1. */
export class DownloadError extends CuttleError {
  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('failed', 'platform/download', message, options);
  }
}

export interface Checksum {
  readonly algorithm: 'md5' | 'sha256';
  /** Lower-case hex digits. */
  readonly digest: string;
}

export interface DownloadOptions {
  readonly checksum: Checksum;
  /** More bytes than this are refused while they arrive. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
  /** Called as bytes arrive; `total` is `undefined` where the server does not say. */
  readonly onProgress?: (received: number, total: number | undefined) => void;
  /** Milliseconds without a single byte after which the server counts as gone. */
  readonly stallMs?: number;
}

/**
 * Downloads `url` to `path`, which appears only when the checksum is right. Throws DownloadError in one clear sentence
 * (server's answer, no connection, stalled, too large, wrong checksum), the signal's reason when aborted.
 */
export async function download(url: string, path: string, options: DownloadOptions): Promise<void> {
  const { checksum, signal, stallMs = 30_000 } = options;
  const stalled = new AbortController();
  let timer = setTimeout(() => stalled.abort(), stallMs);
  const alive = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => stalled.abort(), stallMs);
  };
  try {
    const response = await fetch(url, {
      signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
      redirect: 'follow',
    });
    if (!response.ok || response.body === null)
      throw new DownloadError(`${url}: the server answered ${response.status} ${response.statusText}`.trim());
    const hash = createHash(checksum.algorithm);
    const checked = checkedChunks(response, url, hash, { ...options, alive });
    await writeFileAtomic(path, checked, { force: true });
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    if (cause instanceof CuttleError) throw cause;
    const why = stalled.signal.aborted ? `no data for ${stallMs / 1000} s` : reasonOf(cause);
    throw new DownloadError(`${url} cannot be downloaded: ${why}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** Hex digest of a file, read in chunks. */
export async function digestOfFile(path: string, algorithm: Checksum['algorithm']): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>)
    hash.update(chunk);
  return hash.digest('hex');
}

async function* checkedChunks(
  response: Response,
  url: string,
  hash: ReturnType<typeof createHash>,
  options: DownloadOptions & { readonly alive: () => void },
): AsyncGenerator<Uint8Array> {
  const length = Number(response.headers.get('content-length') ?? NaN);
  const total = Number.isFinite(length) ? length : undefined;
  let received = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    options.alive();
    received += chunk.length;
    if (received > options.maxBytes) throw new DownloadError(`${url} is larger than ${options.maxBytes} bytes`);
    hash.update(chunk);
    options.onProgress?.(received, total);
    yield chunk;
  }
  const digest = hash.digest('hex');
  // Thrown before the file gets its name, so a wrong file never appears.
  if (digest !== options.checksum.digest)
    throw new DownloadError(
      `${url} has ${options.checksum.algorithm} ${digest}, but ${options.checksum.digest} was published`,
    );
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? cause.cause.message || cause.message : cause.message;
}
