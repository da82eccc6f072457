/** @file The gRPC door: gRPC, gRPC-Web and Connect over the same service, by their content types. */
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import { gunzip, gzip } from '../../platform/node/gzip.js';
import { BodyError } from '../../platform/node/web-exchange.js';
import type { WebRequest, WebResponse } from '../../platform/node/web-messages.js';
import { GRPCInferenceService } from '../oip/gen/open-inference_pb.js';
import { metadataToMessage, replyToMessage, requestOfMessage } from '../oip/grpc-messages.js';
import { PARAMETERS } from '../oip/split-request.js';
import { oipError, OipError, STATUSES } from '../oip/status.js';
import { bodyRefusal } from './body-refusal.js';
import type { Caller, InferenceService } from './service.js';

const CALLER = createContextKey<Caller | undefined>(undefined);

/** Metadata with which gRPC servers ask clients to wait. */
const PUSHBACK = 'grpc-retry-pushback-ms';

export interface GrpcDoor {
  /** Whether a path is one of the service's. */
  has(path: string): boolean;
  answer(request: WebRequest, caller: Caller): Promise<WebResponse>;
}

/** Opens the door. `readMaxBytes`: most of one message, unpacked. */
export function openGrpcDoor(service: InferenceService, readMaxBytes: number): GrpcDoor {
  const compression = {
    name: 'gzip',
    compress: gzip,
    async decompress(bytes: Uint8Array, most: number) {
      if (bytes.length === 0) return new Uint8Array(0);
      return await gunzip(bytes, most).catch((cause: unknown) => {
        throw new ConnectError(
          'the compressed message is broken or too large',
          Code.InvalidArgument,
          undefined,
          undefined,
          cause,
        );
      });
    },
  };
  const router = createConnectRouter({
    acceptCompression: [compression],
    // Tensors hardly shrink; whoever wants less sends packed frames.
    compressMinBytes: 2 ** 30,
    readMaxBytes,
    requireConnectProtocolHeader: false,
  });
  router.service(GRPCInferenceService, {
    serverLive: () => ({ live: true }),
    serverReady: () => ({ ready: service.serverReady() }),
    modelReady: ({ name, version }) => said(() => ({ ready: service.modelReady(name, version) })),
    serverMetadata: () => {
      const { name, version, extensions } = service.serverMetadata();
      return { name, version, extensions: [...extensions] };
    },
    modelMetadata: ({ name, version }) => said(() => metadataToMessage(service.modelMetadata(name, version))),
    async modelInfer(message, context: HandlerContext) {
      const caller = context.values.get(CALLER);
      if (caller === undefined) throw new ConnectError('nobody asks', Code.Internal);
      try {
        const request = withTimeout(requestOfMessage(message), context.timeoutMs());
        return replyToMessage(await service.infer(request, caller, context.signal));
      } catch (cause) {
        throw connectError(oipError(cause));
      }
    },
  });
  const handlers = new Map(
    router.handlers.map((handler): [string, UniversalHandler] => [handler.requestPath, handler]),
  );
  return {
    has: (path) => handlers.has(path),
    async answer({ httpVersion, method, url, headers, body, signal }, caller) {
      const handler = handlers.get(url.pathname);
      if (handler === undefined) throw new OipError('not-found', `there is nothing at ${url.pathname.slice(0, 128)}`);
      const chunks = readable(body);
      const contextValues = createContextValues().set(CALLER, caller);
      const answer = await handler({
        httpVersion,
        method,
        url: url.href,
        header: headers,
        body: chunks,
        signal,
        contextValues,
      });
      return {
        status: answer.status,
        headers: answer.header ?? new Headers(),
        body: answer.body,
        trailers: answer.trailer,
      };
    },
  };
}

/** A body whose faults connect can tell apart: it takes foreign errors for its own. */
async function* readable(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (cause) {
    if (cause instanceof BodyError) throw connectError(bodyRefusal(cause));
    throw cause instanceof OipError ? connectError(cause) : cause;
  }
}

/** A refusal before the message is read, in the words of the protocol that was spoken. */
export function refuseGrpc(error: OipError, contentType: string): WebResponse {
  const { grpc, http } = STATUSES[error.status];
  if (!contentType.startsWith('application/grpc')) {
    const code = Code[grpc]!.replace(/[a-z](?=[A-Z])/g, '$&_').toLowerCase();
    const body = new TextEncoder().encode(JSON.stringify({ code, message: error.message }));
    return { status: http, headers: new Headers({ 'content-type': 'application/json' }), body };
  }
  // Without a body the status may stand among the headers, for gRPC and gRPC-Web alike.
  const headers = new Headers({ 'content-type': contentType, 'grpc-status': String(grpc) });
  headers.set('grpc-message', encodeURIComponent(error.message).replaceAll('%20', ' '));
  if (error.retryAfterMs !== undefined) headers.set(PUSHBACK, String(error.retryAfterMs));
  return { status: 200, headers };
}

function said<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw connectError(oipError(cause));
  }
}

function connectError(error: OipError): ConnectError {
  const metadata = error.retryAfterMs === undefined ? undefined : { [PUSHBACK]: String(error.retryAfterMs) };
  const said = error.hint === undefined ? error.message : `${error.message} — ${error.hint}`;
  return new ConnectError(said, STATUSES[error.status].grpc, metadata, undefined, error);
}

/** gRPC's own timeout as a deadline, unless the request states a nearer one: the queue then knows of it. */
function withTimeout<T extends { readonly parameters: ReadonlyMap<string, unknown> }>(
  request: T,
  ms: number | undefined,
): T {
  const stated = request.parameters.get(PARAMETERS.deadlineMs);
  if (ms === undefined || (typeof stated === 'number' && stated <= ms)) return request;
  return { ...request, parameters: new Map([...request.parameters, [PARAMETERS.deadlineMs, ms]]) };
}
