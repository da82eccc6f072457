/** @file One HTTP client of the Open Inference Protocol on `fetch`: bounded replies, errors by status. Node and browsers. */
import {
  INFERENCE_HEADER,
  OipError,
  replyOfHttp,
  requestToHttp,
  statedJsonBytes,
  statusOfHttp,
  type HttpBody,
  type InferReply,
  type InferRequest,
} from '../oip/index.js';

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

/** Requests to one server. */
export class HttpClient {
  /** Ends without a slash. */
  readonly url: string;
  readonly #options: HttpClientOptions;

  /** Throws OipError 'invalid' for a URL that is none, or not of HTTP. */
  constructor(url: string, options: HttpClientOptions = {}) {
    let parsed: URL;
    try {
      parsed = new URL(url);
    } catch (cause) {
      throw new OipError('invalid', `'${url}' is no URL`, { hint: 'Give one such as http://127.0.0.1:8000.', cause });
    }
    if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
      throw new OipError('invalid', `'${url}' is not of HTTP`, { hint: 'Give one such as http://127.0.0.1:8000.' });
    this.url = parsed.href.replace(/\/+$/, '');
    this.#options = options;
  }

  /** The body of a ModelInfer request: what will be sent, byte for byte. */
  bodyOf(request: InferRequest): HttpBody {
    return requestToHttp(request);
  }

  /** Sends a prepared ModelInfer body. Throws OipError for refusals and garbage, what `fetch` throws, the signal's reason. */
  async infer(
    path: { readonly model: string; readonly version?: string },
    body: HttpBody,
    signal: AbortSignal,
  ): Promise<{ readonly reply: InferReply; readonly bytes: number }> {
    const version = path.version ? `/versions/${encodeURIComponent(path.version)}` : '';
    const { bytes, headers } = await this.#exchange(`/v2/models/${encodeURIComponent(path.model)}${version}/infer`, {
      method: 'POST',
      body: body.bytes,
      signal,
      headers: {
        'content-type': body.contentType,
        ...(body.jsonBytes === undefined ? {} : { [INFERENCE_HEADER]: String(body.jsonBytes) }),
      },
    });
    return { reply: replyOfHttp(bytes, statedJsonBytes(headers.get(INFERENCE_HEADER))), bytes: bytes.length };
  }

  /** GET of a path under the server's URL: the body. Throws as `infer`. */
  async get(path: string, signal: AbortSignal): Promise<Uint8Array> {
    return (await this.#exchange(path, { method: 'GET', signal })).bytes;
  }

  async #exchange(
    path: string,
    init: RequestInit & { readonly headers?: Readonly<Record<string, string>> },
  ): Promise<{ readonly bytes: Uint8Array; readonly headers: Headers }> {
    const { token, headers, maxReplyBytes = 16 << 20, fetch: own = fetch } = this.#options;
    const response = await own(this.url + path, {
      ...init,
      redirect: 'error',
      cache: 'no-store',
      headers: {
        ...headers,
        ...init.headers,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    });
    const bytes = await bounded(response, maxReplyBytes);
    if (!response.ok) throw refusal(response, bytes);
    return { bytes, headers: response.headers };
  }
}

/** A reply's body, up to a size. */
async function bounded(response: Response, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = (): OipError => new OipError('invalid', `the server's reply has more than ${maxBytes} bytes`);
  const { body } = response;
  if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
    await body?.cancel();
    throw tooLarge();
  }
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    total += value!.length;
    if (total > maxBytes) {
      await reader.cancel();
      throw tooLarge();
    }
    chunks.push(value!);
  }
  if (chunks.length === 1) return chunks[0]!;
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** A refusal in the protocol's form, or whatever else came with an error's status. */
function refusal(response: Response, bytes: Uint8Array): OipError {
  const text = new TextDecoder().decode(bytes.subarray(0, 4096));
  let message = `HTTP ${response.status}`;
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null && 'error' in json && typeof json.error === 'string')
      message = json.error.slice(0, 500);
  } catch {
    // Proxies and foreign servers answer in HTML or nothing: the status alone must do.
  }
  const after = Number(response.headers.get('retry-after') ?? NaN);
  return new OipError(statusOfHttp(response.status), message, {
    ...(Number.isFinite(after) ? { retryAfterMs: 1000 * after } : {}),
  });
}
