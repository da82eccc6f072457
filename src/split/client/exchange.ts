/** @file One request and its whole reply over `fetch`: bounded, never redirected, with the caller's token. Node and browsers. */
import { joinBytes } from '../../platform/index.js';
import { OipError } from '../oip/index.js';

export interface HttpClientOptions {
  /** Bearer token. */
  readonly token?: string;
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Most bytes of a reply; 16 MiB where omitted. */
  readonly maxReplyBytes?: number;
  /** Another implementation of `fetch`. */
  readonly fetch?: typeof fetch;
}

/** A request as it is sent. */
export interface WireRequest {
  readonly method: 'GET' | 'POST';
  /** Below the server's URL. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
}

/** A reply, whole. */
export interface WireReply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** Behind the body; `fetch` never shows any. */
  readonly trailers?: Headers;
}

/** Sends one request. Throws OipError 'invalid' for a reply beyond the limit, what the connection throws, the signal's reason. */
export type Exchange = (request: WireRequest) => Promise<WireReply>;

/** Most bytes of a reply, where nothing else is said. */
export const MAX_REPLY_BYTES = 16 << 20;

/** A server's URL without a slash at its end. Throws OipError 'invalid' for a URL that is none, or not of HTTP. */
export function serverUrl(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw new OipError('invalid', `'${url}' is no URL`, { hint: 'Give one such as http://127.0.0.1:8000.', cause });
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    throw new OipError('invalid', `'${url}' is not of HTTP`, { hint: 'Give one such as http://127.0.0.1:8000.' });
  return parsed.href.replace(/\/+$/, '');
}

/** Headers that a client adds to every request. */
export function ownHeaders({ token, headers }: Pick<HttpClientOptions, 'token' | 'headers'>): Record<string, string> {
  return { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
}

/** An exchange over `fetch` with the server at `url` (as `serverUrl` gives it). */
export function fetchExchange(url: string, options: HttpClientOptions): Exchange {
  const { maxReplyBytes = MAX_REPLY_BYTES, fetch: own = fetch } = options;
  return async ({ path, headers, method, body, signal }) => {
    const response = await own(url + path, {
      ...{ method, signal, redirect: 'error', cache: 'no-store' },
      ...(body && { body }),
      headers: { ...headers, ...ownHeaders(options) },
    });
    return { status: response.status, headers: response.headers, body: await bounded(response, maxReplyBytes) };
  };
}

/** A reply that is too long to be read. */
export function replyTooLarge(maxBytes: number): OipError {
  return new OipError('invalid', `the server's reply has more than ${maxBytes} bytes`);
}

/** A reply's body, up to a size. */
async function bounded(response: Response, maxBytes: number): Promise<Uint8Array> {
  const { body } = response;
  if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
    await body?.cancel();
    throw replyTooLarge(maxBytes);
  }
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    total += value!.length;
    if (total > maxBytes) {
      await reader.cancel();
      throw replyTooLarge(maxBytes);
    }
    chunks.push(value!);
  }
  return joinBytes(chunks);
}
