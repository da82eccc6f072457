/** @file Servers and clients for the server's tests: models in a folder of their own, one client per door. */
import { createClient, type Client } from '@connectrpc/connect';
import type { UniversalClientFn } from '@connectrpc/connect/protocol';
import { createTransport as connectTransport } from '@connectrpc/connect/protocol-connect';
import { createTransport as grpcTransport } from '@connectrpc/connect/protocol-grpc';
import { createTransport as grpcWebTransport } from '@connectrpc/connect/protocol-grpc-web';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import type { Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { GRPCInferenceService } from '../../src/split/oip/gen/open-inference_pb.js';
import {
  INFERENCE_HEADER,
  oipError,
  OipError,
  replyOfHttp,
  replyOfMessage,
  requestToHttp,
  requestToMessage,
  statedJsonBytes,
  statusOfGrpc,
  statusOfHttp,
  type InferReply,
  type InferRequest,
} from '../../src/split/oip/index.js';
import { LocalEngine } from '../../src/split/server/local-engine.js';
import { startServer, type InferenceServer, type ServerOptions } from '../../src/split/server/server.js';
import { buildArchitecture } from '../../src/zoo/index.js';

/** A small network for images of 8 × 8. */
export const plainModel = (seed = 1): Model => buildArchitecture('resnet-8', { classes: 10, input: [3, 8, 8], seed });

/** The same with an exit at every third candidate. */
export function progressiveModel(seed = 1): Model {
  const candidates = findCandidates(plainModel(seed));
  const chosen = candidates.all.filter((_, i) => i % 3 === 1);
  return attachExits(candidates, chosen, { kind: 'msdnet', width: 8 }, 2).model;
}

/** A folder with models by path, gone with the test file. */
export function modelFolder(models: Readonly<Record<string, Model>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-serve-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, model] of Object.entries(models)) putModel(join(folder, path), model);
  return folder;
}

export function putModel(path: string, model: Model): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, encodeModel(model));
}

/** A server on a free port that computes in this thread and is closed with the test file. */
export async function serve(options: ServerOptions): Promise<InferenceServer> {
  const server = await startServer({
    engines: [new LocalEngine({ threads: 1 })],
    port: 0,
    watchMs: 0,
    ...options,
  });
  afterAll(() => server.close(500));
  return server;
}

export interface Door {
  readonly name: string;
  live(): Promise<boolean>;
  ready(): Promise<boolean>;
  modelReady(model: string, version?: string): Promise<boolean>;
  serverName(): Promise<string>;
  modelInputs(
    model: string,
  ): Promise<readonly { readonly name: string; readonly datatype: string; readonly shape: readonly number[] }[]>;
  infer(request: InferRequest, signal?: AbortSignal): Promise<InferReply>;
}

export interface DoorOptions {
  readonly token?: string;
  /** Certificate to trust. */
  readonly ca?: string;
}

/** The HTTP door, with binary or JSON tensors. */
export function httpDoor(url: string, binary: boolean, { token }: DoorOptions = {}): Door {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const get = async (path: string): Promise<{ readonly status: number; readonly json: Record<string, unknown> }> => {
    const response = await fetch(`${url}${path}`, { headers });
    const json = (await response.json()) as Record<string, unknown>;
    if (!response.ok && response.status !== 503) throw refusal(response, json);
    return { status: response.status, json };
  };
  const at = (model: string, version = ''): string => `/v2/models/${model}${version && `/versions/${version}`}`;
  return {
    name: binary ? 'HTTP, binary' : 'HTTP, JSON',
    live: async () => (await get('/v2/health/live')).status === 200,
    ready: async () => (await get('/v2/health/ready')).status === 200,
    modelReady: async (model, version) => (await get(`${at(model, version)}/ready`)).status === 200,
    serverName: async () => String((await get('/v2')).json['name']),
    modelInputs: async (model) => (await get(at(model))).json['inputs'] as never,
    async infer(request, signal) {
      const { bytes, contentType, jsonBytes } = requestToHttp(request, { binary });
      const response = await fetch(`${url}${at(request.model, request.version)}/infer`, {
        method: 'POST',
        body: bytes,
        signal,
        headers: {
          ...headers,
          'content-type': contentType,
          ...(jsonBytes === undefined ? {} : { [INFERENCE_HEADER]: String(jsonBytes) }),
        },
      });
      const body = new Uint8Array(await response.arrayBuffer());
      if (!response.ok) throw refusal(response, JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>);
      return replyOfHttp(body, statedJsonBytes(response.headers.get(INFERENCE_HEADER)));
    },
  };
}

function refusal(response: Response, json: Record<string, unknown>): OipError {
  const retryAfterMs = json['retry_after_ms'] as number | undefined;
  return new OipError(statusOfHttp(response.status), String(json['error']), { retryAfterMs });
}

/** The protobuf door in one of its three protocols, over HTTP/2. */
export function grpcDoor(url: string, protocol: 'gRPC' | 'gRPC-Web' | 'Connect', options: DoorOptions = {}): Door {
  const session = connectHttp2(url, { ca: options.ca });
  session.on('error', () => undefined);
  session.unref();
  afterAll(() => session.destroy());
  const makers = { gRPC: grpcTransport, 'gRPC-Web': grpcWebTransport, Connect: connectTransport };
  const transport = makers[protocol]({
    baseUrl: url,
    httpClient: over(session),
    useBinaryFormat: true,
    interceptors: [
      (next) => (request) => {
        if (options.token !== undefined) request.header.set('authorization', `Bearer ${options.token}`);
        return next(request);
      },
    ],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 1024,
    readMaxBytes: 2 ** 30,
    writeMaxBytes: 2 ** 30,
  });
  const client: Client<typeof GRPCInferenceService> = createClient(GRPCInferenceService, transport);
  const calling = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (cause) {
      const { code, rawMessage, metadata } = cause as { code?: number; rawMessage?: string; metadata?: Headers };
      if (code === undefined) throw oipError(cause);
      const wait = metadata?.get('grpc-retry-pushback-ms');
      throw new OipError(statusOfGrpc(code), rawMessage ?? '', { retryAfterMs: wait ? Number(wait) : undefined });
    }
  };
  return {
    name: protocol,
    live: async () => (await calling(client.serverLive({}))).live,
    ready: async () => (await calling(client.serverReady({}))).ready,
    modelReady: async (name, version) => (await calling(client.modelReady({ name, version }))).ready,
    serverName: async () => (await calling(client.serverMetadata({}))).name,
    modelInputs: async (name) =>
      (await calling(client.modelMetadata({ name }))).inputs.map((input) => ({
        ...{ name: input.name, datatype: input.datatype },
        shape: input.shape.map(Number),
      })),
    infer: async (request, signal) =>
      replyOfMessage(await calling(client.modelInfer(requestToMessage(request), { signal }))),
  };
}

/** What connect needs of an HTTP client, over one HTTP/2 session. */
function over(session: ClientHttp2Session): UniversalClientFn {
  return async ({ url, method, header, body, signal }) => {
    const { pathname } = new URL(url);
    const stream = session.request({ ...Object.fromEntries(header), ':path': pathname, ':method': method });
    const abort = (): void => stream.close(8);
    signal?.addEventListener('abort', abort, { once: true });
    const trailer = new Headers();
    stream.on('trailers', (fields) => {
      for (const [name, value] of Object.entries(fields as object)) trailer.set(name, String(value));
    });
    const answered = new Promise<Headers & { status?: number }>((resolve, reject) => {
      stream.on('response', (fields) => {
        const headers: Headers & { status?: number } = new Headers();
        for (const [name, value] of Object.entries(fields)) if (!name.startsWith(':')) headers.set(name, String(value));
        headers.status = fields[':status'];
        resolve(headers);
      });
      stream.on('error', reject);
      stream.on('close', () => reject(new DOMException('closed', 'AbortError')));
    });
    if (body !== undefined) for await (const chunk of body) stream.write(chunk);
    stream.end();
    const headers = await answered;
    return { status: headers.status ?? 0, header: headers, body: stream as AsyncIterable<Uint8Array>, trailer };
  };
}

/** All doors of a server. */
export function allDoors(url: string, options: DoorOptions = {}): readonly Door[] {
  return [
    httpDoor(url, true, options),
    httpDoor(url, false, options),
    grpcDoor(url, 'gRPC', options),
    grpcDoor(url, 'gRPC-Web', options),
    grpcDoor(url, 'Connect', options),
  ];
}

/** The OipError that work ends with. Fails where it succeeds. */
export async function refusalOf(work: Promise<unknown>): Promise<OipError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof OipError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}
