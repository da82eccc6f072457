/** @file gRPC over HTTP/2: the form of the Open Inference Protocol that inference servers speak first. Node only. */
import { Http2Client } from '../../platform/node/http2-client.js';
import { MAX_REPLY_BYTES, ownHeaders, replyTooLarge, serverUrl, type HttpClientOptions } from './exchange.js';
import { RpcClient } from './rpc-client.js';
import { splitTransport, type SplitTransportOptions } from './split-transport.js';
import type { SplitTransport } from './transport.js';

export interface GrpcClientOptions extends Pick<HttpClientOptions, 'token' | 'headers' | 'maxReplyBytes'> {
  /** Certificates to trust instead of the system's (PEM). */
  readonly ca?: string;
}

/** A client over one HTTP/2 connection, kept while it is alive. Throws OipError 'invalid' for what is no URL of HTTP. */
export function grpcClient(url: string, options: GrpcClientOptions = {}): RpcClient {
  const base = serverUrl(url);
  const { origin, pathname } = new URL(base);
  const prefix = pathname.replace(/\/+$/, '');
  const { maxReplyBytes: maxBytes = MAX_REPLY_BYTES, ca } = options;
  const connection = new Http2Client(origin, ca === undefined ? {} : { ca });
  return new RpcClient(
    base,
    'grpc',
    ({ path, headers, ...request }) =>
      connection.request({
        ...request,
        path: prefix + path,
        headers: { ...headers, ...ownHeaders(options) },
        maxBytes,
        tooLarge: () => replyTooLarge(maxBytes),
      }),
    () => connection.close(),
  );
}

export interface GrpcTransportOptions extends SplitTransportOptions, GrpcClientOptions {}

/** A transport of split requests over gRPC. Throws OipError 'invalid' for what is no URL of HTTP. */
export function grpcTransport(url: string, options: GrpcTransportOptions): SplitTransport {
  return splitTransport(grpcClient(url, options), options);
}
