/** @file Split requests to a Cuttle server: the Open Inference Protocol over HTTP, tensors in one packed frame. */
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
import { HttpClient, type HttpClientOptions } from './http-client.js';
import type { PreparedRequest, RemoteReply, RemoteRequest, SplitTransport } from './transport.js';

export interface HttpTransportOptions extends HttpClientOptions {
  /** Name of the model on the server. */
  readonly model: string;
  readonly version?: string;
  /** `modelDigest` of the device's model: the server refuses to go on with another one. */
  readonly digest?: string;
  /** Who asks, for limits per client. */
  readonly client?: string;
}

/** A transport to `url`. Throws OipError 'invalid' for what is no URL of HTTP. */
export function httpTransport(url: string, options: HttpTransportOptions): SplitTransport {
  const client = new HttpClient(url, options);
  const { model, version, digest } = options;
  return {
    name: `${client.url} (${model})`,
    prepare({ cut, tensors, packing, codecs, design, logits, deadlineMs }: RemoteRequest): PreparedRequest {
      const frame = packTensors(tensors, packing, codecs);
      const parameters = writeSplitParameters({
        ...{ cut, framed: true, design, deadlineMs },
        model: digest,
        client: options.client,
      });
      const body = client.bodyOf(inferRequest(model, [frameInput(frame)], { parameters }));
      return {
        bytes: body.bytes.length,
        async send(signal) {
          const { reply, bytes } = await client.infer({ model, version }, body, signal);
          return remoteReply(reply, bytes, logits);
        },
      };
    },
    async probe(signal) {
      await client.get('/v2/health/ready', signal);
    },
  };
}

/** The answer for one sample in a reply. Throws OipError 'invalid' where it holds none. */
export function remoteReply(reply: InferReply, bytes: number, logits: string): RemoteReply {
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
