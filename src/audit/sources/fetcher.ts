/** @file Files from servers: politely, again where it pays, from where it broke off, checked. */
import { sleep } from '../../platform/index.js';
import { readBytes, removeFile } from '../../platform/node/files.js';
import { openPartFile, type PartFile } from '../../platform/node/part-file.js';
import { CuttleError } from '../../ir/index.js';
import { shown } from '../errors.js';
import { Hosts, retryAfterMs, type Manners } from './hosts.js';

/** A server refused, broke off too often, or gave other bytes than were published. Exit code 1. */
export class FetchError extends CuttleError {
  constructor(message: string, options: { readonly hint?: string; readonly cause?: unknown } = {}) {
    super('failed', 'audit/fetch', shown(message, 500), options);
  }
}

export interface FetcherOptions extends Manners {
  /** How it presents itself to servers. */
  readonly userAgent: string;
  /** Attempts in a row that bring nothing, after which a file is given up. 5 where omitted. */
  readonly attempts?: number;
  /** Wait after the first of them, doubled by each further one. 1 s where omitted. */
  readonly backoffMs?: number;
  /** Silence after which a connection is given up. 30 s where omitted. */
  readonly stallMs?: number;
  /** The longest pause that a server may ask for; a longer one counts as a refusal. 10 min where omitted. */
  readonly maxPauseMs?: number;
}

export interface FileWanted {
  readonly sha256?: string;
  readonly bytes?: number;
  /** More bytes than this are refused as they arrive. */
  readonly maxBytes: number;
  /** Parameters that are added to the address, and never shown. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Attempts in all for one file, also where each brings something. */
const MAX_ATTEMPTS = 200;

/** What one attempt came to, where not to the whole file. */
type Setback =
  /** Worth another try, after this pause where the server says one. */
  { readonly again: string; readonly pauseMs?: number } | { readonly refused: string };

/** Fetches files. One of these per run: it knows which hosts are busy. */
export class Fetcher {
  readonly #options: Required<Omit<FetcherOptions, keyof Manners>>;
  readonly #hosts: Hosts;

  constructor({
    userAgent,
    attempts = 5,
    backoffMs = 1000,
    stallMs = 30_000,
    maxPauseMs = 600_000,
    ...manners
  }: FetcherOptions) {
    this.#options = { userAgent, attempts, backoffMs, stallMs, maxPauseMs };
    this.#hosts = new Hosts(manners);
  }

  /**
   * Fetches `url` to `path`, which appears when it is whole and, where that is known, of the right checksum. What came of it
   * before, in this process or another, is not fetched again. Throws FetchError, FileError where the disk fails, and the
   * signal's reason.
   */
  async download(url: string, path: string, wanted: FileWanted): Promise<void> {
    await using part = await openPartFile(path);
    let barren = 0;
    let mismatched = false;
    for (let attempt = 0; ; attempt++) {
      const before = part.size;
      const setback = await this.#attempt(url, part, wanted);
      if (setback === undefined) {
        const found = wanted.sha256 === undefined ? undefined : await part.sha256();
        if (found === wanted.sha256) return await part.finish();
        await part.restart();
        if (mismatched) throw new FetchError(`${url} has SHA-256 ${found}, but ${wanted.sha256} was published`);
        // Once may be a broken transfer.
        mismatched = true;
        continue;
      }
      if ('refused' in setback) throw new FetchError(`${url}: ${setback.refused}`);
      barren = part.size > before ? 0 : barren + 1;
      if (barren >= this.#options.attempts || attempt >= MAX_ATTEMPTS)
        throw new FetchError(`${url}: ${setback.again}, ${attempt + 1} attempts`);
      if (setback.pauseMs !== undefined) this.#hosts.pause(new URL(url).host, setback.pauseMs);
      else await sleep(this.#options.backoffMs * 2 ** Math.max(0, barren - 1), wanted.signal);
    }
  }

  /** A small file in memory, by way of `path`, which is removed. Throws as `download` does. */
  async bytes(url: string, path: string, wanted: FileWanted): Promise<Uint8Array> {
    await this.download(url, path, wanted);
    const bytes = await readBytes(path);
    await removeFile(path);
    return bytes;
  }

  /** One request; `undefined` where the file is whole. */
  async #attempt(url: string, part: PartFile, wanted: FileWanted): Promise<Setback | undefined> {
    // Bytes of unknown checksum and version may be of another file than what is there now.
    if (part.size > 0 && wanted.sha256 === undefined && part.validator === undefined) await part.restart();
    if (wanted.bytes !== undefined && part.size > wanted.bytes) await part.restart();
    if (wanted.bytes !== undefined && part.size === wanted.bytes && wanted.sha256 !== undefined && part.size > 0)
      return undefined;
    const { signal } = wanted;
    signal?.throwIfAborted();
    const address = new URL(url);
    for (const [key, value] of Object.entries(wanted.secrets ?? {})) address.searchParams.set(key, value);
    return this.#hosts.take(address.host, signal, async () => {
      const silence = new AbortController();
      let timer = setTimeout(() => silence.abort(), this.#options.stallMs);
      const heard = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), this.#options.stallMs);
      };
      try {
        const response = await fetch(address, {
          headers: {
            'user-agent': this.#options.userAgent,
            // A range of compressed bytes would be a range of something else.
            'accept-encoding': 'identity',
            ...(part.size > 0 && { range: `bytes=${part.size}-` }),
            ...(part.size > 0 && part.validator !== undefined && { 'if-range': part.validator }),
          },
          signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
        });
        heard();
        const setback = await this.#answer(response, part, wanted, heard);
        if (setback !== undefined) await response.body?.cancel().catch(() => undefined);
        return setback;
      } catch (cause) {
        signal?.throwIfAborted();
        if (cause instanceof CuttleError) throw cause;
        return { again: silence.signal.aborted ? `no data for ${this.#options.stallMs / 1000} s` : reasonOf(cause) };
      } finally {
        clearTimeout(timer);
      }
    });
  }

  async #answer(
    response: Response,
    part: PartFile,
    wanted: FileWanted,
    heard: () => void,
  ): Promise<Setback | undefined> {
    const { status, headers } = response;
    if (status === 416) {
      // What is there reaches beyond the file: it is of another version.
      await part.restart();
      return { again: 'the server has no such range' };
    }
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      const again = `the server answered ${status}`;
      const pauseMs = retryAfterMs(headers.get('retry-after'));
      if (pauseMs === undefined) return { again };
      return pauseMs > this.#options.maxPauseMs
        ? { refused: `${again} and asks to wait for ${Math.round(pauseMs / 1000)} s` }
        : { again, pauseMs };
    }
    if (status !== 200 && status !== 206)
      return { refused: `the server answered ${status} ${response.statusText}`.trim() };
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '');
    if (status === 206 && Number(range?.[1]) !== part.size) {
      await part.restart();
      return { again: 'the server gave another range than was asked for' };
    }
    if (status === 200 && part.size > 0) await part.restart();
    if (part.size === 0) await part.note(validatorOf(headers));
    const length = Number(headers.get('content-length') ?? NaN);
    const stated = headers.get('content-encoding') === null && Number.isFinite(length) ? part.size + length : undefined;
    const expected = wanted.bytes ?? stated;
    const most = Math.min(wanted.maxBytes, expected ?? Infinity);
    if (stated !== undefined && stated > wanted.maxBytes)
      return { refused: `it has ${stated} bytes, the limit is ${wanted.maxBytes}` };
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      heard();
      if (part.size + chunk.length > most) {
        await part.restart();
        return { refused: `it has more than ${most} bytes` };
      }
      await part.append(chunk);
    }
    return expected !== undefined && part.size < expected
      ? { again: `it broke off after ${part.size} of ${expected} bytes` }
      : undefined;
  }
}

/** A strong entity tag, else the date of the last change: what `If-Range` may hold (RFC 9110 §13.1.5). */
function validatorOf(headers: Headers): string | undefined {
  const tag = headers.get('etag');
  if (tag !== null && !tag.startsWith('W/')) return tag;
  return headers.get('last-modified') ?? undefined;
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const inner = cause.cause instanceof Error ? cause.cause : cause;
  return inner.message || ('code' in inner ? String(inner.code) : inner.name);
}
