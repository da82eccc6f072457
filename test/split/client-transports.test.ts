/** @file Split requests in every form of the protocol that clients speak: the same answers, refusals and deadlines, and what breaks. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { Tensor } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { grpcTransport } from '../../src/split/client/grpc-client.js';
import {
  httpTransport,
  openSplitSession,
  UNPACKED,
  type HttpTransportOptions,
  type RemoteRequest,
  type SplitTransport,
} from '../../src/split/client/index.js';
import { failureOf } from '../../src/split/client/transport.js';
import { openSplitNetwork } from '../../src/split/network.js';
import { modelDigest } from '../../src/split/oip/index.js';
import { openCodecs } from '../../src/split/packing/index.js';
import { SegmentWalk } from '../../src/split/segment-walk.js';
import { noise } from '../exits/networks.js';
import { modelFolder, plainModel, progressiveModel, serve } from './serving.js';

const model = progressiveModel();
const network = openSplitNetwork(model);
const walk = new SegmentWalk(network, { backend: 'native', threads: 1, optimization: 'disabled' });
const input = network.inputs[0]!;
const last = network.cuts.cuts.length - 1;
const feeds: Readonly<Record<string, Tensor>> = { [input]: noise(createRandom(4), [1, 3, 8, 8]) };
const digest = await modelDigest(model);
const codecs = await openCodecs();
const folder = modelFolder({ 'exits.onnx': model, 'plain.onnx': plainModel() });
const server = await serve({ models: [folder] });

const forms = ['http', 'grpc-web', 'connect', 'grpc'] as const;
const opened = (
  form: (typeof forms)[number],
  url: string,
  options: Omit<HttpTransportOptions, 'protocol'>,
): SplitTransport =>
  form === 'grpc' ? grpcTransport(url, options) : httpTransport(url, { ...options, protocol: form });

async function asked(cut: number, deadlineMs?: number): Promise<RemoteRequest> {
  const { frontier } = await walk.run({ from: 0, to: cut, tensors: feeds });
  const packing = { bits: 32, layout: 'lanes', codec: 'stored' } as const;
  return {
    cut,
    tensors: frontier!.tensors,
    packing,
    codecs,
    design: undefined,
    logits: network.final.output,
    deadlineMs,
  };
}

const failureWhile = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'none';
  } catch (cause) {
    return failureOf(cause).kind;
  }
};

/** A server that answers everything with one reply. */
async function answering(
  status: number,
  headers: Record<string, string>,
  body: string,
): Promise<{ url: string; server: Server }> {
  const http = createServer((_, response) => response.writeHead(status, headers).end(body));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, server: http };
}

describe.each(forms)('%s', (form) => {
  const signal = AbortSignal.timeout(60_000);
  const transport = opened(form, server.url, { model: 'exits', ...(digest !== undefined && { digest }) });

  test('answers as the uncut network does, at several cuts and side by side', async () => {
    const whole = (await walk.run({ from: 0, to: last, tensors: feeds })).answers[0]!;
    const cuts = [0, 3, Math.floor(last / 2), last - 1];
    const replies = await Promise.all(cuts.map(async (cut) => await transport.prepare(await asked(cut)).send(signal)));
    for (const { logits, report, bytes } of replies) {
      logits.forEach((value, i) => expect(value).toBeCloseTo(whole.logits[i]!, 4));
      expect(report?.computeMs).toBeGreaterThan(0);
      expect(bytes).toBeGreaterThan(0);
    }
  });

  test('asks whether the server is ready', async () => {
    await transport.probe(signal);
  });

  test('serves a session from the first to the last frame', async () => {
    const plan = { cut: 3, packing: UNPACKED, design: undefined } as const;
    await using session = await openSplitSession(model, { server: transport, plan, session: { threads: 1 } });
    const answer = await session.infer(feeds, { continuation: 'late' });
    expect(answer).toMatchObject({ where: 'server', late: false });
    expect(answer.logits).toHaveLength(10);
  });

  test('tells refusals apart', async () => {
    const wrongModel = opened(form, server.url, { model: 'nobody' });
    expect(await failureWhile(wrongModel.prepare(await asked(3)).send(signal))).toBe('not-found');
    const otherDigest = opened(form, server.url, { model: 'exits', digest: 'f'.repeat(64) });
    expect(await failureWhile(otherDigest.prepare(await asked(3)).send(signal))).toBe('invalid');
    const guarded = await serve({ models: [folder], tokens: new Map([['right-one', 'alice']]) });
    const stranger = opened(form, guarded.url, { model: 'exits', token: 'wrong-one' });
    expect(await failureWhile(stranger.prepare(await asked(3)).send(signal))).toBe('unauthenticated');
    const friend = opened(form, guarded.url, { model: 'exits', token: 'right-one' });
    expect((await friend.prepare(await asked(3)).send(signal)).logits).toHaveLength(10);
  });

  test('ends when its caller gives up, and goes on afterwards', async () => {
    const caller = new AbortController();
    const work = transport.prepare(await asked(0)).send(caller.signal);
    caller.abort(new Error('enough'));
    await expect(work).rejects.toThrow('enough');
    expect((await transport.prepare(await asked(0)).send(signal)).logits).toHaveLength(10);
  });

  test('says that a server is not there, and finds it again', async () => {
    const other = await serve({ models: [folder] });
    const { port } = new URL(other.url);
    const late = opened(form, other.url, { model: 'exits' });
    await late.probe(signal);
    await other.close(500);
    expect(await failureWhile(late.prepare(await asked(3)).send(signal))).toBe('unreachable');
    await serve({ models: [folder], port: Number(port) });
    expect((await late.prepare(await asked(3)).send(signal)).logits).toHaveLength(10);
    late.close?.();
  });

  test.each([
    [200, { 'content-type': 'text/html' }, '<p>hello'],
    [200, { 'content-type': 'application/grpc-web+proto' }, '\u0000\u0000\u0000\u0000\u00ff'],
    [200, { 'content-type': 'application/proto' }, '\u00ff\u00ff\u00ff'],
    [502, { 'content-type': 'text/html' }, 'bad gateway'],
  ])('takes strange replies for what they are: %i %o', async (status, headers, body) => {
    const strange = await answering(status, headers, body);
    try {
      const kind = await failureWhile(
        opened(form, strange.url, { model: 'exits' })
          .prepare(await asked(3))
          .send(signal),
      );
      // A server that speaks HTTP/1 alone cannot be reached by gRPC.
      expect(form === 'grpc' ? ['unreachable'] : ['invalid', 'overloaded', 'internal', 'unavailable']).toContain(kind);
    } finally {
      strange.server.close();
      strange.server.closeAllConnections();
    }
  });

  test('refuses addresses that are none', () => {
    for (const url of ['nonsense', 'ftp://127.0.0.1', ''])
      expect(() => opened(form, url, { model: 'exits' })).toThrow(/http:\/\/127\.0\.0\.1:8000|is no URL|not of HTTP/);
  });

  test('limits what it reads', async () => {
    const tight = opened(form, server.url, { model: 'exits', maxReplyBytes: 16 });
    expect(await failureWhile(tight.prepare(await asked(3)).send(signal))).toBe('invalid');
  });
});

test('a connection of gRPC keeps no process alive, and carries many requests at a time', async () => {
  const transport = grpcTransport(server.url, { model: 'exits' });
  const signal = AbortSignal.timeout(60_000);
  const request = await asked(5);
  const replies = await Promise.all(Array.from({ length: 32 }, () => transport.prepare(request).send(signal)));
  expect(new Set(replies.map(({ logits }) => logits.join())).size).toBe(1);
});
