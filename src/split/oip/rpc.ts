/**
 * @file `inference.GRPCInferenceService` on the wire, for clients: its messages as bytes, and how gRPC, gRPC-Web and Connect
 * wrap them and say that a call failed (unary calls alone; nothing is compressed).
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  GRPCInferenceService,
  ModelInferRequestSchema,
  ModelInferResponseSchema,
  ServerReadyRequestSchema,
  ServerReadyResponseSchema,
} from './gen/open-inference_pb.js';
import { replyOfMessage, requestToMessage } from './grpc-messages.js';
import type { InferReply, InferRequest } from './messages.js';
import { OipError, statusOfGrpc, statusOfHttp } from './status.js';

/** How a call travels. `grpc` needs HTTP/2 with trailers, which pages do not get; the others go through `fetch`. */
export type RpcProtocol = 'grpc' | 'grpc-web' | 'connect';

/** Paths of the calls. */
export const RPC_PATHS = {
  infer: `/${GRPCInferenceService.typeName}/${GRPCInferenceService.method.modelInfer.name}`,
  serverReady: `/${GRPCInferenceService.typeName}/${GRPCInferenceService.method.serverReady.name}`,
} as const;

/** A reply as it came, whole. */
export interface RpcReply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** Behind the body (gRPC over HTTP/2). */
  readonly trailers?: Headers;
}

/** A ModelInfer request as bytes. Throws OipError 'unsupported' for tensors that the protocol cannot carry. */
export function inferToBytes(request: InferRequest): Uint8Array<ArrayBuffer> {
  return toBinary(ModelInferRequestSchema, requestToMessage(request));
}

/** Bytes as a ModelInfer reply. Throws OipError 'invalid'. */
export function inferOfBytes(bytes: Uint8Array): InferReply {
  return replyOfMessage(read(() => fromBinary(ModelInferResponseSchema, bytes)));
}

/** A ServerReady request as bytes. */
export function readyToBytes(): Uint8Array<ArrayBuffer> {
  return toBinary(ServerReadyRequestSchema, create(ServerReadyRequestSchema));
}

/** Whether a ServerReady reply says yes. Throws OipError 'invalid'. */
export function readyOfBytes(bytes: Uint8Array): boolean {
  return read(() => fromBinary(ServerReadyResponseSchema, bytes)).ready;
}

/** A message as a request's body. */
export function rpcBody(protocol: RpcProtocol, message: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (protocol === 'connect') return message;
  const body = new Uint8Array(PREFIX + message.length);
  new DataView(body.buffer).setUint32(1, message.length);
  body.set(message, PREFIX);
  return body;
}

/** Headers of a request; `timeoutMs`: time left, where there is a limit. */
export function rpcHeaders(protocol: RpcProtocol, timeoutMs?: number): Readonly<Record<string, string>> {
  // Whole milliseconds, at most eight digits; less than one is none.
  const timeout = timeoutMs === undefined ? undefined : String(Math.min(99_999_999, Math.max(1, Math.ceil(timeoutMs))));
  if (protocol === 'connect')
    return {
      'content-type': CONTENT_TYPES.connect,
      'connect-protocol-version': '1',
      ...(timeout === undefined ? {} : { 'connect-timeout-ms': timeout }),
    };
  return {
    'content-type': CONTENT_TYPES[protocol],
    ...(protocol === 'grpc' ? { te: 'trailers' } : { 'x-grpc-web': '1' }),
    ...(timeout === undefined ? {} : { 'grpc-timeout': `${timeout}m` }),
  };
}

/** The message in a reply. Throws OipError: what the server refused with, or 'invalid' for what is no reply of this protocol. */
export function rpcMessage(protocol: RpcProtocol, reply: RpcReply): Uint8Array {
  return protocol === 'connect' ? connectMessage(reply) : grpcMessage(protocol, reply);
}

const CONTENT_TYPES: Readonly<Record<RpcProtocol, string>> = {
  grpc: 'application/grpc+proto',
  'grpc-web': 'application/grpc-web+proto',
  connect: 'application/proto',
};

/** Metadata with which servers ask clients to wait. */
const PUSHBACK = 'grpc-retry-pushback-ms';

/** A flag and four bytes of length before each message. */
const PREFIX = 5;
const COMPRESSED = 0x01;
const TRAILERS = 0x80;

/** Codes of Connect in the order of gRPC's numbers. */
const CODES = [
  ...['ok', 'canceled', 'unknown', 'invalid_argument', 'deadline_exceeded', 'not_found', 'already_exists'],
  ...['permission_denied', 'resource_exhausted', 'failed_precondition', 'aborted', 'out_of_range', 'unimplemented'],
  ...['internal', 'unavailable', 'data_loss', 'unauthenticated'],
];

function grpcMessage(protocol: 'grpc' | 'grpc-web', { status, headers, body, trailers }: RpcReply): Uint8Array {
  if (status !== 200) throw new OipError(statusOfHttp(status), `HTTP ${status}`);
  const type = headers.get('content-type') ?? '';
  if (!type.startsWith(protocol === 'grpc' ? 'application/grpc' : 'application/grpc-web'))
    throw new OipError('invalid', `the server answers with '${type.slice(0, 64)}', which is not ${protocol}`);
  const { message, trailers: inBody } = framesOf(body);
  // A failed call may say so among the headers, and end there.
  const said = [headers, trailers, inBody].find((fields) => fields?.has('grpc-status'));
  if (said === undefined) throw new OipError('invalid', "the server's reply ends without a status");
  const code = Number(said.get('grpc-status'));
  if (code !== 0) throw refusal(code, unescaped(said.get('grpc-message') ?? ''), said);
  if (message === undefined) throw new OipError('invalid', "the server's reply holds no message");
  return message;
}

/** Message and trailers in a body. Throws OipError 'invalid' for broken frames. */
function framesOf(body: Uint8Array): { readonly message?: Uint8Array; readonly trailers?: Headers } {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let message: Uint8Array | undefined;
  let trailers: Headers | undefined;
  for (let at = 0; at < body.length;) {
    const length = at + PREFIX <= body.length ? view.getUint32(at + 1) : Infinity;
    if (at + PREFIX + length > body.length) throw new OipError('invalid', "the server's reply is cut off");
    const flags = body[at]!;
    const content = body.subarray(at + PREFIX, at + PREFIX + length);
    if ((flags & COMPRESSED) !== 0)
      throw new OipError('invalid', "the server's reply is compressed, which was not asked for");
    if ((flags & TRAILERS) !== 0) trailers = trailersOf(content);
    else if (message === undefined) message = content;
    else throw new OipError('invalid', "the server's reply holds more than one message");
    at += PREFIX + length;
  }
  return { ...(message && { message }), ...(trailers && { trailers }) };
}

function trailersOf(content: Uint8Array): Headers {
  const trailers = new Headers();
  for (const line of new TextDecoder().decode(content).split('\r\n')) {
    const match = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\x20-\x7e\t]*?)[ \t]*$/.exec(line);
    if (match !== null) trailers.append(match[1]!, match[2]!);
  }
  return trailers;
}

function connectMessage({ status, headers, body }: RpcReply): Uint8Array {
  const type = headers.get('content-type') ?? '';
  if (status === 200) {
    if (type.startsWith(CONTENT_TYPES.connect)) return body;
    throw new OipError('invalid', `the server answers with '${type.slice(0, 64)}', which is not connect`);
  }
  let code: string | undefined;
  let message = `HTTP ${status}`;
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(body.subarray(0, 4096)));
    if (typeof json === 'object' && json !== null) {
      if ('code' in json && typeof json.code === 'string') code = json.code;
      if ('message' in json && typeof json.message === 'string') message = json.message;
    }
  } catch {
    // Proxies answer in HTML or nothing: the status alone must do.
  }
  const number = code === undefined ? -1 : CODES.indexOf(code);
  if (number > 0) throw refusal(number, message, headers);
  throw new OipError(statusOfHttp(status), message.slice(0, 500));
}

function refusal(code: number, message: string, fields: Headers): OipError {
  const wait = Number(fields.get(PUSHBACK) ?? NaN);
  const said = message === '' ? `status ${code}` : message.slice(0, 500);
  return new OipError(statusOfGrpc(code), said, wait >= 0 ? { retryAfterMs: wait } : {});
}

/** `grpc-message` is percent-encoded UTF-8; what is not stays as it is. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function read<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new OipError('invalid', "the server's reply is no message of this protocol", { cause });
  }
}
