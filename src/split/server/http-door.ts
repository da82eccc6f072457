/** @file The HTTP door: paths of the Open Inference Protocol's REST form, JSON and binary bodies. */
import type { WebRequest, WebResponse } from '../../platform/node/web-messages.js';
import { INFERENCE_HEADER, parametersToJson, replyToHttp, requestOfHttp, statedJsonBytes } from '../oip/http-json.js';
import type { ModelMetadata } from '../oip/messages.js';
import { OipError, STATUSES } from '../oip/status.js';
import type { Caller, InferenceService } from './service.js';

interface Asked {
  readonly request: WebRequest;
  readonly service: InferenceService;
  readonly caller: Caller;
  readonly model: string;
  readonly version: string;
  /** The whole body, unpacked. */
  readonly body: () => Promise<Uint8Array>;
}

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: RegExp;
  /** Whether it may be asked without a token: probes of balancers and orchestrators carry none. */
  readonly open?: boolean;
  answer(asked: Asked): WebResponse | Promise<WebResponse>;
}

const MODEL = '/v2/models/(?<model>[^/]+)(?:/versions/(?<version>[^/]+))?';

const ROUTES: readonly Route[] = [
  { method: 'GET', path: /^\/v2\/health\/live$/, open: true, answer: () => json({ live: true }) },
  {
    method: 'GET',
    path: /^\/v2\/health\/ready$/,
    open: true,
    answer: ({ service }) => json({ ready: service.serverReady() }, service.serverReady() ? 200 : 503),
  },
  { method: 'GET', path: /^\/v2\/?$/, answer: ({ service }) => json(service.serverMetadata()) },
  {
    method: 'GET',
    path: new RegExp(`^${MODEL}/ready$`),
    answer: ({ service, model, version }) => {
      const ready = service.modelReady(model, version);
      return json({ name: model, ready }, ready ? 200 : 503);
    },
  },
  {
    method: 'GET',
    path: new RegExp(`^${MODEL}$`),
    answer: ({ service, model, version }) => text(metadataText(service.modelMetadata(model, version))),
  },
  {
    method: 'POST',
    path: new RegExp(`^${MODEL}/infer$`),
    answer: async ({ request, service, caller, model, version, body }) => {
      const stated = statedJsonBytes(request.headers.get(INFERENCE_HEADER));
      const asked = requestOfHttp({ model, version }, await body(), stated);
      const reply = await service.infer(asked, caller, request.signal);
      const { bytes, contentType, jsonBytes } = replyToHttp(reply, asked);
      const headers = new Headers({ 'content-type': contentType });
      if (jsonBytes !== undefined) headers.set(INFERENCE_HEADER, String(jsonBytes));
      return { status: 200, headers, body: bytes };
    },
  },
];

/** Whether a path may be asked without a token. */
export function isOpenPath(path: string): boolean {
  return ROUTES.some((route) => route.open === true && route.path.test(path));
}

/** Answers a request. Throws OipError 'not-found' for other paths and methods, and what the service throws. */
export async function answerHttp(
  request: WebRequest,
  service: InferenceService,
  caller: Caller,
  body: () => Promise<Uint8Array>,
): Promise<WebResponse> {
  const { method, url } = request;
  const matching = ROUTES.filter(({ path }) => path.test(url.pathname));
  const route = matching.find((candidate) => candidate.method === (method === 'HEAD' ? 'GET' : method));
  if (route === undefined) {
    if (matching.length === 0) throw new OipError('not-found', `there is nothing at ${url.pathname.slice(0, 128)}`);
    const allow = matching.map((candidate) => candidate.method).join(', ');
    const headers = new Headers({ allow, 'content-type': 'application/json' });
    return { status: 405, headers, body: encoded({ error: `${url.pathname} takes ${allow}` }) };
  }
  const { model = '', version = '' } = route.path.exec(url.pathname)?.groups ?? {};
  const asked = { request, service, caller, body, model: decoded(model), version: decoded(version) };
  const response = await route.answer(asked);
  return method === 'HEAD' ? { ...response, body: undefined } : response;
}

/** A refusal as this door says it. */
export function refuseHttp(error: OipError): WebResponse {
  const headers = new Headers({ 'content-type': 'application/json' });
  if (error.retryAfterMs !== undefined) headers.set('retry-after', String(Math.ceil(error.retryAfterMs / 1000)));
  if (error.status === 'unauthenticated') headers.set('www-authenticate', 'Bearer');
  const { retryAfterMs, message, hint } = error;
  const said = hint === undefined ? message : `${message} — ${hint}`;
  return {
    status: STATUSES[error.status].http,
    headers,
    body: encoded({ error: said, ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }) }),
  };
}

function json(value: unknown, status = 200): WebResponse {
  return { status, headers: new Headers({ 'content-type': 'application/json' }), body: encoded(value) };
}

function text(content: string): WebResponse {
  return {
    status: 200,
    headers: new Headers({ 'content-type': 'application/json' }),
    body: new TextEncoder().encode(content),
  };
}

const encoded = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

function metadataText({ parameters, ...rest }: ModelMetadata): string {
  return `${JSON.stringify(rest).slice(0, -1)},"parameters":${parametersToJson(parameters)}}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw new OipError('invalid', `'${part.slice(0, 128)}' is no part of a path`, { cause });
  }
}
