/** @file The REST form of the Open Inference Protocol, with tensors as binary data: errors by status. Node and browsers. */
import {
  INFERENCE_HEADER,
  OipError,
  replyOfHttp,
  requestToHttp,
  statedJsonBytes,
  statusOfHttp,
  type InferRequest,
} from '../oip/index.js';
import {
  fetchExchange,
  serverUrl,
  type Exchange,
  type HttpClientOptions,
  type WireReply,
  type WireRequest,
} from './exchange.js';
import type { OipClient, PreparedInfer } from './oip-client.js';

/** Requests to one server over HTTP. */
export class HttpClient implements OipClient {
  readonly url: string;
  readonly #exchange: Exchange;

  /** Throws OipError 'invalid' for a URL that is none, or not of HTTP. */
  constructor(url: string, options: HttpClientOptions = {}) {
    this.url = serverUrl(url);
    this.#exchange = fetchExchange(this.url, options);
  }

  prepare(request: InferRequest): PreparedInfer {
    const { bytes: body, contentType, jsonBytes } = requestToHttp(request);
    const version = request.version ? `/versions/${encodeURIComponent(request.version)}` : '';
    const path = `/v2/models/${encodeURIComponent(request.model)}${version}/infer`;
    const headers = {
      'content-type': contentType,
      ...(jsonBytes === undefined ? {} : { [INFERENCE_HEADER]: String(jsonBytes) }),
    };
    return {
      bytes: body.length,
      send: async (signal) => {
        const reply = await this.#answered({ method: 'POST', path, body, headers, signal });
        const stated = statedJsonBytes(reply.headers.get(INFERENCE_HEADER));
        return { reply: replyOfHttp(reply.body, stated), bytes: reply.body.length };
      },
    };
  }

  async ready(signal: AbortSignal): Promise<void> {
    await this.#answered({ method: 'GET', path: '/v2/health/ready', signal });
  }

  async #answered(request: WireRequest): Promise<WireReply> {
    const reply = await this.#exchange(request);
    if (!(reply.status >= 200 && reply.status < 300)) throw refusal(reply);
    return reply;
  }
}

/** A refusal in the protocol's form, or whatever else came with an error's status. */
function refusal({ status, headers, body }: WireReply): OipError {
  const text = new TextDecoder().decode(body.subarray(0, 4096));
  let message = `HTTP ${status}`;
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null && 'error' in json && typeof json.error === 'string')
      message = json.error.slice(0, 500);
  } catch {
    // Proxies and foreign servers answer in HTML or nothing: the status alone must do.
  }
  const after = Number(headers.get('retry-after') ?? NaN);
  return new OipError(statusOfHttp(status), message, {
    ...(Number.isFinite(after) ? { retryAfterMs: 1000 * after } : {}),
  });
}
