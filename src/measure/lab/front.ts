/** @file The lab's HTTP door: routes, who may use each, sizes, and refusals as JSON. */
import type * as z from 'zod/mini';
import { CuttleError } from '../../ir/index.js';
import { BodyError } from '../../platform/node/web-exchange.js';
import type { WebRequest, WebResponse } from '../../platform/node/web-messages.js';
import { LabError } from './errors.js';
import { checkDevice, checkHost, checkJoin, checkOwner, checkReader, type LabSecrets } from './guard.js';
import { plainHeaders } from './headers.js';
import type { LabService } from './service.js';
import { joinRequestSchema, leaseRequestSchema, outcomeSchema, parseMessage, submitRequestSchema } from './protocol.js';

export interface FrontOptions {
  readonly service: LabService;
  readonly secrets: LabSecrets;
  /** Names besides addresses and `localhost` by which this lab may be asked. */
  readonly names: ReadonlySet<string>;
  /** Most of one model. */
  readonly maxModelBytes: number;
  /** Files of the agent's page, by path; `undefined` where there is none. */
  readonly page: (path: string) => Promise<WebResponse | undefined>;
  /** An error that is the lab's own. */
  readonly onDefect: (error: unknown) => void;
}

/** Most of one JSON message: a profile of a large network has thousands of layers. */
export const MESSAGE_BYTES = 2 ** 24;

interface Asked {
  readonly request: WebRequest;
  readonly options: FrontOptions;
  readonly at: Readonly<Record<string, string>>;
}

interface Route {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: RegExp;
  /** Throws where whoever asks may not. */
  readonly allow: (asked: Asked) => void;
  readonly answer: (asked: Asked) => Promise<unknown>;
}

const owner = ({ request, options }: Asked): void => checkOwner(request, options.secrets);
const device = ({ request, options, at }: Asked): void => checkDevice(request, at['id']!, options.service.queue);
const reader = ({ request, options }: Asked): void => checkReader(request, options.secrets, options.service.queue);

const ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: /^\/lab\/v1\/?$/,
    allow: () => undefined,
    answer: async ({ options }) => ({ lab: options.service.id, version: 1 }),
  },
  {
    method: 'POST',
    path: /^\/lab\/v1\/agents$/,
    allow: ({ request, options }) => checkJoin(request, options.secrets),
    answer: async (asked) => asked.options.service.join(await message(asked, joinRequestSchema)),
  },
  {
    method: 'POST',
    path: /^\/lab\/v1\/agents\/(?<id>[\w-]+)\/lease$/,
    allow: device,
    answer: async (asked) => {
      const { lease, waitMs, state } = await message(asked, leaseRequestSchema);
      return await asked.options.service.lease(asked.at['id']!, lease, waitMs, state, asked.request.signal);
    },
  },
  {
    method: 'POST',
    path: /^\/lab\/v1\/agents\/(?<id>[\w-]+)\/leases\/(?<lease>[\w-]+)\/beat$/,
    allow: device,
    answer: async ({ options, at }) => ({ say: await options.service.beat(at['id']!, at['lease']!) }),
  },
  {
    method: 'POST',
    path: /^\/lab\/v1\/agents\/(?<id>[\w-]+)\/leases\/(?<lease>[\w-]+)\/result$/,
    allow: device,
    answer: async (asked) => {
      const outcome = await message(asked, outcomeSchema);
      return { accepted: await asked.options.service.settle(asked.at['id']!, asked.at['lease']!, outcome) };
    },
  },
  {
    method: 'GET',
    path: /^\/lab\/v1\/models\/(?<digest>[^/]+)\/size$/,
    allow: reader,
    answer: async ({ options, at }) => {
      const bytes = await options.service.models.size(at['digest']!);
      if (bytes === undefined) throw new LabError('invalid', 'lab/unknown', 'the lab does not hold this model');
      return { bytes };
    },
  },
  {
    method: 'GET',
    path: /^\/lab\/v1\/models\/(?<digest>[^/]+)$/,
    allow: reader,
    answer: async ({ options, at }) => await options.service.models.read(at['digest']!),
  },
  {
    method: 'PUT',
    path: /^\/lab\/v1\/models\/(?<digest>[^/]+)$/,
    allow: owner,
    answer: async ({ request, options, at }) => {
      await options.service.models.put(at['digest']!, await wholeBody(request, options.maxModelBytes));
      return {};
    },
  },
  {
    method: 'POST',
    path: /^\/lab\/v1\/jobs$/,
    allow: owner,
    answer: async (asked) => await asked.options.service.submit(await message(asked, submitRequestSchema)),
  },
  {
    method: 'GET',
    path: /^\/lab\/v1\/jobs$/,
    allow: owner,
    answer: async ({ options }) => ({ jobs: options.service.queue.jobs() }),
  },
  {
    method: 'GET',
    path: /^\/lab\/v1\/jobs\/(?<job>[\w-]+)$/,
    allow: owner,
    answer: async ({ options, at }) => known(options.service.queue.job(at['job']!), at['job']!),
  },
  {
    method: 'POST',
    path: /^\/lab\/v1\/jobs\/(?<job>[\w-]+)\/cancel$/,
    allow: owner,
    answer: async ({ options, at }) => await options.service.cancel(at['job']!),
  },
  {
    method: 'GET',
    path: /^\/lab\/v1\/devices$/,
    allow: owner,
    answer: async ({ options }) => ({ devices: options.service.devices() }),
  },
  {
    method: 'GET',
    path: /^\/lab\/v1\/results$/,
    allow: owner,
    answer: async ({ options }) => ({ results: options.service.queue.results() }),
  },
  {
    method: 'GET',
    path: /^\/lab\/v1\/results\/(?<job>[\w-]+)$/,
    allow: owner,
    answer: async ({ options, at }) => known(options.service.queue.result(at['job']!), at['job']!),
  },
];

/** Makes the function that answers every request. */
export function openLabFront(options: FrontOptions): (request: WebRequest) => Promise<WebResponse> {
  return async (request) => {
    try {
      checkHost(request, options.names);
      return await answer(request, options);
    } catch (error) {
      return refusal(error, options.onDefect);
    }
  };
}

async function answer(request: WebRequest, options: FrontOptions): Promise<WebResponse> {
  const path = request.url.pathname;
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  if (!path.startsWith('/lab/')) {
    const file = method === 'GET' ? await options.page(path) : undefined;
    if (file === undefined) throw new LabError('usage', 'lab/nothing', 'there is nothing at this address');
    return request.method === 'HEAD' ? { ...file, body: undefined } : file;
  }
  const matching = ROUTES.filter((route) => route.path.test(path));
  const route = matching.find((candidate) => candidate.method === method);
  if (route === undefined) throw new LabError('usage', 'lab/nothing', 'the protocol has no such request');
  const asked: Asked = { request, options, at: route.path.exec(path)?.groups ?? {} };
  route.allow(asked);
  const given = await route.answer(asked);
  if (given instanceof Uint8Array)
    return { status: 200, headers: plainHeaders('application/octet-stream'), body: given };
  return {
    status: 200,
    headers: plainHeaders('application/json'),
    body: new TextEncoder().encode(JSON.stringify(given)),
  };
}

function known<T>(found: T | undefined, id: string): T {
  if (found === undefined) throw new LabError('invalid', 'lab/unknown', `there is no job or result '${id}'`);
  return found;
}

async function message<Schema extends z.ZodMiniType>({ request }: Asked, schema: Schema): Promise<z.infer<Schema>> {
  // A form of another page cannot send this type without asking first.
  if (!/^application\/json\b/.test(request.headers.get('content-type') ?? ''))
    throw new LabError('usage', 'lab/message', 'the body must be JSON, and say so in content-type');
  const text = new TextDecoder().decode(await wholeBody(request, MESSAGE_BYTES));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new LabError('invalid', 'lab/message', 'the body is not JSON', { cause });
  }
  return parseMessage(schema, json, 'the request');
}

async function wholeBody({ body, headers }: WebRequest, most: number): Promise<Uint8Array> {
  const tooLarge = (): LabError => new LabError('invalid', 'lab/too-large', `the body has more than ${most} bytes`);
  if (Number(headers.get('content-length') ?? 0) > most) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > most) throw tooLarge();
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

const STATUSES: Readonly<Record<string, number>> = {
  'lab/token': 401,
  'lab/host': 421,
  'lab/origin': 403,
  'lab/nothing': 404,
  'lab/unknown': 404,
  'lab/full': 429,
  'lab/too-large': 413,
};

function refusal(error: unknown, onDefect: (error: unknown) => void): WebResponse {
  if (error instanceof BodyError)
    return refusal(
      error.fault === 'too-large'
        ? new LabError('invalid', 'lab/too-large', error.message)
        : new LabError('failed', 'lab/message', error.message),
      onDefect,
    );
  const labs = error instanceof LabError ? error : undefined;
  if (labs === undefined) onDefect(error);
  const { kind, code, message, hint } = labs ?? {
    kind: error instanceof CuttleError ? error.kind : 'failed',
    code: 'lab/defect',
    message: 'the lab failed; its log says why',
    hint: undefined,
  };
  const headers = plainHeaders('application/json');
  if (code === 'lab/token') headers.set('www-authenticate', 'Bearer');
  const body = new TextEncoder().encode(JSON.stringify({ error: { kind, code, message, hint } }));
  return { status: labs === undefined ? 500 : (STATUSES[code] ?? 400), headers, body };
}
