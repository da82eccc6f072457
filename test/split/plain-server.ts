/** @file A bare server of split requests for tests of the client: no queue, no limits, but every fault one could wish for. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Tensor, type Model } from '../../src/ir/index.js';
import { openSession } from '../../src/runtime/index.js';
import { openSplitNetwork } from '../../src/split/network.js';
import {
  EXIT_OUTPUT,
  INFERENCE_HEADER,
  LABEL_OUTPUT,
  readSplitParameters,
  replyToHttp,
  requestOfHttp,
  statedJsonBytes,
  writeServerReport,
  type NamedTensor,
} from '../../src/split/oip/index.js';
import { unpackTensors } from '../../src/split/packing/index.js';
import { SegmentWalk } from '../../src/split/segment-walk.js';

/** What happens to the next requests. */
export interface Faults {
  /** Before the reply, ms. */
  delayMs: number;
  /** Takes requests and never replies. */
  silent: boolean;
  /** Replies with this status. */
  status: number | undefined;
  /** Replies with this body instead of its own. */
  body: string | undefined;
  /** Breaks the connection once a request is there. */
  broken: boolean;
  /** Load that it reports, and compute time. */
  computeMs: number | undefined;
}

export interface PlainServer extends AsyncDisposable {
  readonly url: string;
  readonly faults: Faults;
  /** Cuts of the requests that were answered, and requests whose client went away before. */
  readonly answered: number[];
  abandoned: number;
  /** Requests for readiness. */
  probes: number;
  /** Requests under way at a time, at most so far. */
  most: number;
  kill(): Promise<void>;
}

/** Serves a network, and models of their own (tails) by name. */
export async function plainServer(
  model: Model,
  tails: ReadonlyMap<string, Model> = new Map(),
  port = 0,
): Promise<PlainServer> {
  const network = openSplitNetwork(model);
  const exact = { backend: 'native', threads: 1, optimization: 'disabled' } as const;
  const walk = new SegmentWalk(network, exact);
  const faults: Faults = {
    ...{ delayMs: 0, silent: false, status: undefined, body: undefined, broken: false, computeMs: undefined },
  };
  const sockets = new Set<Socket>();
  let running = 0;

  const outputsOf = async (name: string, bytes: Uint8Array, header: string | undefined): Promise<Uint8Array> => {
    const request = requestOfHttp({ model: name, version: '' }, bytes, statedJsonBytes(header));
    const reply = (outputs: readonly NamedTensor[], computeMs?: number): Uint8Array => {
      const parameters = writeServerReport({ computeMs: computeMs ?? 1, queueMs: 0, load: 1, batch: 1 });
      const body = { model: name, version: '1', id: '', outputs };
      return replyToHttp({ ...body, parameters: computeMs === undefined ? new Map() : parameters }, plainJson(request))
        .bytes;
    };
    const tail = tails.get(name);
    if (tail !== undefined) {
      await using session = await openSession(tail, exact);
      const results = await session.run(Object.fromEntries(request.inputs.map((input) => [input.name, input.tensor])));
      return reply(Object.entries(results).map(([output, tensor]) => ({ name: output, tensor })));
    }
    const split = readSplitParameters(request.parameters);
    const tensors = unpackTensors(request.inputs[0]!.tensor.bytes);
    const result = await walk.run({
      ...{ from: split.cut!, to: network.cuts.cuts.length - 1, tensors },
      ...(split.design && { design: split.design }),
    });
    server.answered.push(split.cut!);
    const { exit, label, logits } = result.answers[0]!;
    return reply(
      [
        { name: network.final.output, tensor: Tensor.floats(logits, [1, network.classes]) },
        { name: EXIT_OUTPUT, tensor: Tensor.int64s([exit]) },
        { name: LABEL_OUTPUT, tensor: Tensor.int64s([label]) },
      ],
      faults.computeMs ?? result.computeMs,
    );
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
    if (faults.broken) return void request.socket.destroy();
    if (faults.silent) return;
    if (faults.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, faults.delayMs));
    if (response.destroyed) return;
    if (faults.status !== undefined) {
      response.writeHead(faults.status, { 'retry-after': '2' });
      return void response.end(faults.body ?? JSON.stringify({ error: `refused with ${faults.status}` }));
    }
    const name = /^\/v2\/models\/([^/]+)\/infer$/.exec(request.url ?? '')?.[1];
    if (name === undefined) {
      server.probes++;
      return void response.end('{}');
    }
    if (faults.body !== undefined) return void response.end(faults.body);
    const header = request.headers[INFERENCE_HEADER];
    response.end(await outputsOf(decodeURIComponent(name), Buffer.concat(chunks), header as string | undefined));
  };

  const http: Server = createServer((request, response) => {
    // Pages of other origins may ask.
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-allow-headers', '*');
    if (request.method === 'OPTIONS') return void response.end();
    server.most = Math.max(server.most, ++running);
    response.on('close', () => {
      running--;
      if (!response.writableFinished) server.abandoned++;
    });
    handle(request, response).catch((error: unknown) => {
      response.writeHead(400);
      response.end(JSON.stringify({ error: String(error) }));
    });
  });
  http.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  const kill = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => http.close(() => resolve()));
  };
  const server: PlainServer = {
    ...{ faults, kill, answered: [], abandoned: 0, probes: 0, most: 0 },
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      if (http.listening) await kill();
      await walk.release();
    },
  };
  return server;
}

/** The same request, its outputs wanted as JSON: one body without a second header. */
function plainJson(request: ReturnType<typeof requestOfHttp>): Parameters<typeof replyToHttp>[1] {
  const { model, version, id, parameters, inputs, outputs } = request;
  return { model, version, id, parameters, inputs, outputs: outputs.map(({ name }) => ({ name, binary: false })) };
}
