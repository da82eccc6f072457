/** @file Where requests arrive: origins, tokens, how many at a time, and which door is theirs. */
import { gunzip } from '../../platform/node/gzip.js';
import { sameSecret } from '../../platform/node/hash.js';
import { BodyError } from '../../platform/node/web-exchange.js';
import type { WebRequest, WebResponse } from '../../platform/node/web-messages.js';
import { INFERENCE_HEADER } from '../oip/http-json.js';
import { oipError, OipError } from '../oip/status.js';
import { bodyRefusal } from './body-refusal.js';
import { openGrpcDoor, refuseGrpc } from './grpc-door.js';
import { answerHttp, isOpenPath, refuseHttp } from './http-door.js';
import type { Metrics } from './metrics.js';
import type { Caller, InferenceService } from './service.js';

export interface FrontOptions {
  readonly service: InferenceService;
  readonly metrics: Metrics;
  /** Tokens and whose they are; nobody is asked for one where there are none. */
  readonly tokens: ReadonlyMap<string, string>;
  /** Web pages that may ask: their origins, or `*`. */
  readonly origins: readonly string[];
  /** Most of one request's body, and of what it unpacks to. */
  readonly maxRequestBytes: number;
  /** Bytes of all requests' bodies that are held at a time. */
  readonly maxHeldBytes: number;
  /** Requests at a time, whatever they ask for. */
  readonly maxActive: number;
  /** An error that is the server's own. */
  readonly onDefect: (error: unknown) => void;
}

/** Makes the function that answers every request. */
export function openFront(options: FrontOptions): (request: WebRequest) => Promise<WebResponse> {
  const { service, metrics, tokens, maxRequestBytes, maxHeldBytes, maxActive, onDefect } = options;
  const grpc = openGrpcDoor(service, maxRequestBytes);
  let active = 0;
  let held = 0;

  const answer = async (arrived: WebRequest): Promise<WebResponse> => {
    let own = 0;
    const hold = (bytes: number): void => {
      own += bytes;
      held += bytes;
      if (held > maxHeldBytes)
        throw new OipError('overloaded', 'the requests under way hold too much memory', { retryAfterMs: 500 });
    };
    const request: WebRequest = { ...arrived, body: counted(arrived.body, hold) };
    const path = request.url.pathname;
    const isGrpc = grpc.has(path);
    const contentType = request.headers.get('content-type') ?? '';
    try {
      if (active >= maxActive)
        throw new OipError('overloaded', `${active} requests are under way already`, { retryAfterMs: 200 });
      const door = isGrpc ? 'grpc' : 'http';
      const caller = callerOf(request, tokens, door, !isGrpc && isOpenPath(path));
      active++;
      try {
        if (isGrpc) return await grpc.answer(request, caller);
        if (path === '/metrics' && request.method === 'GET') return metricsPage(metrics);
        return await answerHttp(request, service, caller, () => wholeBody(request, maxRequestBytes));
      } finally {
        active--;
      }
    } catch (cause) {
      const error = cause instanceof BodyError ? bodyRefusal(cause) : oipError(cause);
      if (error.status === 'internal') onDefect(cause);
      return isGrpc ? refuseGrpc(error, contentType) : refuseHttp(error);
    } finally {
      held -= own;
    }
  };

  return async (request) => {
    const origin = allowedOrigin(request.headers.get('origin'), options.origins);
    const preflight = request.method === 'OPTIONS' && request.headers.has('access-control-request-method');
    const response = preflight ? { status: 204, headers: new Headers() } : await answer(request);
    if (origin !== undefined) allow(response.headers, origin, preflight);
    return response;
  };
}

/** Chunks that are counted as they arrive. */
async function* counted(body: AsyncIterable<Uint8Array>, hold: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    hold(chunk.length);
    yield chunk;
  }
}

/** Who asks. Throws OipError 'unauthenticated' where a token is needed and missing or wrong. */
function callerOf(
  { headers, address }: WebRequest,
  tokens: ReadonlyMap<string, string>,
  door: Caller['door'],
  open: boolean,
): Caller {
  if (tokens.size === 0 || open) return { id: address, known: false, door };
  const token = /^Bearer +(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1];
  if (token === undefined) throw new OipError('unauthenticated', 'a bearer token is needed');
  // All are compared, and each in constant time: how long it takes says nothing of a token.
  let name: string | undefined;
  for (const [secret, whose] of tokens) if (sameSecret(secret, token)) name = whose;
  if (name === undefined) throw new OipError('unauthenticated', 'the bearer token is not known here');
  return { id: name, known: true, door };
}

async function wholeBody(request: WebRequest, most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body) {
    chunks.push(chunk);
    length += chunk.length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  const coding = request.headers.get('content-encoding') ?? 'identity';
  if (coding === 'identity') return bytes;
  if (coding !== 'gzip') throw new OipError('unsupported', `the content coding '${coding.slice(0, 32)}' is not known`);
  return await gunzip(bytes, most);
}

function metricsPage(metrics: Metrics): WebResponse {
  const headers = new Headers({ 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
  return { status: 200, headers, body: new TextEncoder().encode(metrics.text()) };
}

function allowedOrigin(origin: string | null, allowed: readonly string[]): string | undefined {
  if (origin === null) return undefined;
  return allowed.includes('*') || allowed.includes(origin) ? origin : undefined;
}

/** Headers that pages may send and read: those of this protocol, gRPC-Web and Connect. */
const REQUEST_HEADERS = [
  ...['authorization', 'content-type', 'content-encoding', INFERENCE_HEADER],
  ...['connect-protocol-version', 'connect-timeout-ms', 'x-grpc-web', 'x-user-agent', 'grpc-timeout'],
].join(', ');
const RESPONSE_HEADERS = [
  INFERENCE_HEADER,
  'retry-after',
  'grpc-status',
  'grpc-message',
  'grpc-retry-pushback-ms',
].join(', ');

function allow(headers: Headers, origin: string, preflight: boolean): void {
  headers.set('access-control-allow-origin', origin);
  headers.set('vary', 'origin');
  headers.set('access-control-expose-headers', RESPONSE_HEADERS);
  if (!preflight) return;
  headers.set('access-control-allow-methods', 'GET, POST');
  headers.set('access-control-allow-headers', REQUEST_HEADERS);
  headers.set('access-control-max-age', '7200');
}
