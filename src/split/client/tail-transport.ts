/**
 * @file Split requests to any server of the Open Inference Protocol: one model per cut, whose graph unpacks by itself; the
 * tensors that cross are its ordinary inputs.
 */
import { Tensor } from '../../ir/index.js';
import { inferRequest, type NamedTensor } from '../oip/index.js';
import { packedNames, packTensor, PackingError, type GraphPacking } from '../packing/index.js';
import { HttpClient } from './http-client.js';
import type { OipClient } from './oip-client.js';
import { remoteReply } from './split-transport.js';
import type { PreparedRequest, RemoteRequest, SplitTransport } from './transport.js';

/** A tail on the server. */
export interface Tail extends GraphPacking {
  readonly cut: number;
  /** The model's name there; `NAME.cutK` as exported. */
  readonly model: string;
}

/**
 * A transport to the tails on a server, by its URL (over HTTP) or through a client of any form of the protocol. Exits behind a
 * cut are not run there. Throws OipError 'invalid' for what is no URL.
 */
export function tailTransport(server: string | OipClient, tails: readonly Tail[]): SplitTransport {
  const client: OipClient = typeof server === 'string' ? new HttpClient(server) : server;
  const byCut = new Map(tails.map((tail) => [tail.cut, tail]));
  return {
    name: `${client.url} (tails ${tails.map(({ model }) => model).join(', ')})`,
    tails: new Map(tails.map(({ cut, bits, layout }) => [cut, { bits, layout }])),
    prepare({ cut, tensors, logits }: RemoteRequest): PreparedRequest {
      const tail = byCut.get(cut);
      if (tail === undefined) throw new PackingError(`the server has no tail of cut ${cut}`, 'Export this cut too.');
      const inputs = Object.entries(tensors).flatMap(([name, tensor]) => packedInputs(name, tensor, tail));
      const { bytes, send } = client.prepare(inferRequest(tail.model, inputs, { outputs: [{ name: logits }] }));
      return { bytes, send: async (signal) => remoteReply(await send(signal), logits) };
    },
    probe: (signal) => client.ready(signal),
    close: () => client.close?.(),
  };
}

/** One tensor as the inputs that `unpackInputs` gives its graph. Throws PackingError for values that are not finite. */
function packedInputs(name: string, tensor: Tensor, packing: GraphPacking): readonly NamedTensor[] {
  if (tensor.dtype !== 'float32') return [{ name, tensor }];
  const names = packedNames(name, packing);
  const { scale, payload } = packTensor(name, tensor, packing);
  if (scale === undefined)
    throw new PackingError(`'${name}' holds values that are not finite`, 'Only frames can carry them.');
  const lanes = packing.bits <= 8 ? ('uint8' as const) : ('uint16' as const);
  const data =
    packing.layout === 'planes'
      ? Tensor.fromBytes('uint8', [payload.length], payload)
      : Tensor.fromBytes(lanes, tensor.dims, payload);
  return [
    { name: names.data, tensor: data },
    { name: names.scale, tensor: Tensor.floats(Float32Array.of(scale.min, scale.step), [2]) },
    ...(names.dims === undefined ? [] : [{ name: names.dims, tensor: Tensor.int64s(tensor.dims) }]),
  ];
}
