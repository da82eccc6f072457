/** @file Split requests to a Cuttle server: ordinary ModelInfer requests, tensors in one packed frame, in any form of the protocol. */
import {
  EXIT_OUTPUT,
  frameInput,
  inferRequest,
  OipError,
  readServerReport,
  writeSplitParameters,
  type InferReply,
} from '../oip/index.js';
import { packTensors } from '../packing/index.js';
import type { HttpClientOptions } from './exchange.js';
import { HttpClient } from './http-client.js';
import type { OipClient } from './oip-client.js';
import { webRpcClient } from './rpc-client.js';
import type { PreparedRequest, RemoteReply, RemoteRequest, SplitTransport } from './transport.js';

/** Which model is asked for, and by whom. */
export interface SplitTransportOptions {
  /** Name of the model on the server. */
  readonly model: string;
  readonly version?: string;
  /** `modelDigest` of the device's model: the server refuses to go on with another one. */
  readonly digest?: string;
  /** Who asks, for limits per client. */
  readonly client?: string;
}

/** Forms of the protocol that go through `fetch`: in Node and in pages. */
export type WebProtocol = 'http' | 'grpc-web' | 'connect';

export interface HttpTransportOptions extends SplitTransportOptions, HttpClientOptions {
  /** `http` (REST with binary tensors) where omitted. */
  readonly protocol?: WebProtocol;
}

/** A transport to `url` over `fetch`. Throws OipError 'invalid' for what is no URL of HTTP. */
export function httpTransport(url: string, options: HttpTransportOptions): SplitTransport {
  const { protocol = 'http' } = options;
  return splitTransport(
    protocol === 'http' ? new HttpClient(url, options) : webRpcClient(url, protocol, options),
    options,
  );
}

/** A transport through a client of the protocol. */
export function splitTransport(client: OipClient, options: SplitTransportOptions): SplitTransport {
  const { model, version = '', digest } = options;
  return {
    name: `${client.url} (${model})`,
    prepare({ cut, tensors, packing, codecs, design, logits, deadlineMs }: RemoteRequest): PreparedRequest {
      const frame = packTensors(tensors, packing, codecs);
      const parameters = writeSplitParameters({
        ...{ cut, framed: true, design, deadlineMs },
        model: digest,
        client: options.client,
      });
      const { bytes, send } = client.prepare(inferRequest(model, [frameInput(frame)], { version, parameters }));
      return { bytes, send: async (signal) => remoteReply(await send(signal), logits) };
    },
    probe: (signal) => client.ready(signal),
    close: () => client.close?.(),
  };
}

/** The answer for one sample in a reply. Throws OipError 'invalid' where it holds none. */
export function remoteReply(
  { reply, bytes }: { readonly reply: InferReply; readonly bytes: number },
  logits: string,
): RemoteReply {
  const named = (name: string) => reply.outputs.find((output) => output.name === name)?.tensor;
  const tensor = named(logits);
  if (tensor?.dtype !== 'float32' || tensor.size === 0)
    throw new OipError('invalid', `the server's reply has no float32 output '${logits}'`);
  const exit = named(EXIT_OUTPUT);
  return {
    logits: tensor.data as Float32Array,
    exit: exit === undefined || exit.size === 0 ? undefined : exit.numbers()[0],
    report: readServerReport(reply.parameters),
    bytes,
  };
}
