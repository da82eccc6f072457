/** @file The protobuf form of the Open Inference Protocol: gRPC, gRPC-Web or Connect over any exchange of requests. */
import {
  inferOfBytes,
  inferToBytes,
  OipError,
  PARAMETERS,
  readyOfBytes,
  readyToBytes,
  RPC_PATHS,
  rpcBody,
  rpcHeaders,
  rpcMessage,
  type InferRequest,
  type RpcProtocol,
} from '../oip/index.js';
import { fetchExchange, serverUrl, type Exchange, type HttpClientOptions } from './exchange.js';
import type { OipClient, PreparedInfer } from './oip-client.js';

/** Calls to one server. */
export class RpcClient implements OipClient {
  readonly url: string;
  readonly #protocol: RpcProtocol;
  readonly #exchange: Exchange;
  readonly #close: () => void;

  /** `url` as `serverUrl` gives it; `close` lets idle connections go. */
  constructor(url: string, protocol: RpcProtocol, exchange: Exchange, close: () => void = () => undefined) {
    this.url = url;
    this.#protocol = protocol;
    this.#exchange = exchange;
    this.#close = close;
  }

  close(): void {
    this.#close();
  }

  prepare(request: InferRequest): PreparedInfer {
    const body = rpcBody(this.#protocol, inferToBytes(request));
    const deadline = request.parameters.get(PARAMETERS.deadlineMs);
    const timeoutMs = typeof deadline === 'number' ? deadline : undefined;
    return {
      bytes: body.length,
      send: async (signal) => {
        const { message, bytes } = await this.#call(RPC_PATHS.infer, body, signal, timeoutMs);
        return { reply: inferOfBytes(message), bytes };
      },
    };
  }

  async ready(signal: AbortSignal): Promise<void> {
    const { message } = await this.#call(RPC_PATHS.serverReady, rpcBody(this.#protocol, readyToBytes()), signal);
    if (!readyOfBytes(message)) throw new OipError('overloaded', 'the server is not ready');
  }

  async #call(path: string, body: Uint8Array<ArrayBuffer>, signal: AbortSignal, timeoutMs?: number) {
    const headers = rpcHeaders(this.#protocol, timeoutMs);
    const reply = await this.#exchange({ method: 'POST', path, headers, body, signal });
    return { message: rpcMessage(this.#protocol, reply), bytes: reply.body.length };
  }
}

/** A client of gRPC-Web or Connect, which need no more than `fetch`. Throws OipError 'invalid' for what is no URL of HTTP. */
export function webRpcClient(
  url: string,
  protocol: Exclude<RpcProtocol, 'grpc'>,
  options: HttpClientOptions = {},
): RpcClient {
  const base = serverUrl(url);
  return new RpcClient(base, protocol, fetchExchange(base, options));
}
