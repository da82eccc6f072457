/** @file Hostile clients: broken bytes at every layer, dawdlers, quitters. Each gets a clear error, the others notice nothing. */
import fc from 'fast-check';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Tensor } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { frameInput, inferRequest, OipError, requestToHttp, writeSplitParameters } from '../../src/split/oip/index.js';
import { packTensors } from '../../src/split/packing/index.js';
import { noise } from '../exits/networks.js';
import { grpcDoor, httpDoor, modelFolder, plainModel, serve } from './serving.js';

const folder = modelFolder({ 'plain.onnx': plainModel() });
const patience = { headerMs: 300, idleMs: 600, stallMs: 400, bytesPerSecond: 1000 };
const server = await serve({ models: [folder], limits: patience, maxRequestBytes: 100_000, queue: 64 });
const input = noise(createRandom(1), [1, 3, 8, 8]);
const request = inferRequest('plain', [{ name: 'input', tensor: input }]);
const good = httpDoor(server.url, true);

/** The server answers somebody else. */
async function others(): Promise<void> {
  expect((await good.infer(request)).outputs).toHaveLength(1);
}

function gauge(name: string, of = server): number {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(of.metrics())![1]);
}

/** Sends bytes over a bare connection and returns all that comes back before it is closed. */
function exchange(bytes: Uint8Array | string, end = true): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(server.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
    socket.write(bytes);
    if (end) socket.end();
  });
}

describe('bytes that are no request', () => {
  test.each([
    ['noise', '\x00\x01\x02\x03\x04\x05\r\n\r\n'],
    ['a request line without a version', 'GET\r\n\r\n'],
    [
      'two lengths',
      'POST /v2/models/plain/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    ],
    [
      'length and chunks',
      'POST /v2/models/plain/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['headers without end', `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(20_000)}`],
    ['an HTTP/2 preface and noise', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff'],
    ['half a preface', 'PR'],
    ['an upgrade', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
  ])('%s', async (_, bytes) => {
    const answer = await exchange(Buffer.from(bytes, 'latin1'));
    expect(answer).not.toMatch(/HTTP\/1.1 (200|500)/);
    await others();
  });

  test('random bytes', { timeout: 30_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, http2) => {
        const preface = http2 ? Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') : Buffer.alloc(0);
        await exchange(Buffer.concat([preface, bytes]));
      }),
      { numRuns: 60 },
    );
    await others();
  });
});

describe('paths and methods', () => {
  test.each([
    ['GET', '/', 404],
    ['GET', '/v2/models', 404],
    ['GET', '/v2/models/%E0%A4%A', 400],
    ['GET', '/v2/models/..%2f..%2fetc%2fpasswd', 404],
    ['POST', '/v2/models/plain', 405],
    ['DELETE', '/v2/models/plain/infer', 405],
    ['GET', '/v2/models/constructor', 404],
    ['GET', '/v2/models/plain/versions/1e0', 404],
    ['POST', '/inference.GRPCInferenceService/Nothing', 404],
    ['HEAD', '/v2/health/live', 200],
  ])('%s %s', async (method, path, status) => {
    const response = await fetch(`${server.url}${path}`, { method });
    expect(response.status).toBe(status);
    if (method !== 'HEAD') expect(await response.json()).toHaveProperty('error');
  });
});

describe('messages', () => {
  const { bytes, jsonBytes } = requestToHttp(request);

  test('flipped bytes of HTTP bodies and frames', { timeout: 60_000 }, async () => {
    const frame = packTensors({ input }, { bits: 4, layout: 'planes', codec: 'lz4' });
    const door = grpcDoor(server.url, 'gRPC');
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(255), async (at, value) => {
        const body = Uint8Array.from(bytes);
        body[at % body.length] = value;
        const response = await fetch(`${server.url}/v2/models/plain/infer`, {
          method: 'POST',
          body,
          headers: { 'inference-header-content-length': String(jsonBytes) },
        });
        await response.arrayBuffer();
        statuses.add(response.status);
        const broken = Uint8Array.from(frame);
        broken[at % broken.length] = value;
        const split = inferRequest('plain', [frameInput(broken)], {
          parameters: writeSplitParameters({ cut: 0, framed: true }),
        });
        await door.infer(split).catch((error: unknown) => {
          expect(error).toBeInstanceOf(OipError);
          expect(['invalid', 'unsupported', 'too-large']).toContain((error as OipError).status);
        });
      }),
      { numRuns: 150 },
    );
    for (const status of statuses) expect([200, 400, 404, 501]).toContain(status);
    await others();
  });

  test('broken gRPC messages', async () => {
    const session = connectHttp2(server.url);
    session.on('error', () => undefined);
    const random = createRandom(7);
    const ask = (body: Uint8Array, type: string): Promise<{ status: string | undefined; http: number | undefined }> =>
      new Promise((resolve) => {
        const stream = session.request({
          ':path': '/inference.GRPCInferenceService/ModelInfer',
          ':method': 'POST',
          'content-type': type,
        });
        let status: string | undefined;
        let http: number | undefined;
        const read = (fields: object): void => {
          status ??= (fields as Record<string, string>)['grpc-status'];
        };
        stream.on('response', (fields) => {
          http = fields[':status'];
          read(fields);
        });
        stream.on('trailers', read).on('error', () => undefined);
        stream.on('close', () => resolve({ status, http })).resume();
        stream.end(body);
      });
    for (let i = 0; i < 40; i++) {
      const body = Uint8Array.from({ length: Math.floor(random.next() * 60) }, () => Math.floor(random.next() * 256));
      // A proper envelope around noise, half of the time.
      const enveloped = i % 2 === 0 ? body : Uint8Array.of(0, 0, 0, 0, body.length, ...body);
      const { status } = await ask(enveloped, 'application/grpc+proto');
      expect(status).toMatch(/^([1-9]|1[0-6])$/);
      expect((await ask(body, 'application/proto')).http).toBeGreaterThanOrEqual(400);
    }
    // An envelope that claims 4 GiB.
    expect((await ask(Uint8Array.of(0, 255, 255, 255, 255, 1), 'application/grpc')).status).toMatch(/^(3|8)$/);
    session.destroy();
    await others();
  });

  test('a small compressed body that unpacks to much', async () => {
    const { gzipSync } = await import('node:zlib');
    const response = await fetch(`${server.url}/v2/models/plain/infer`, {
      method: 'POST',
      body: gzipSync(new Uint8Array(50_000_000)),
      headers: { 'content-encoding': 'gzip' },
    });
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: string }).error).toMatch(/grows beyond the limit/);
  });

  test('a frame that claims enormous tensors', async () => {
    const frame = packTensors(
      { input: Tensor.floats(new Float32Array(192), [1, 3, 8, 8]) },
      { bits: 8, layout: 'lanes', codec: 'lz4' },
    );
    const view = new DataView(frame.buffer);
    // Dims follow the header, the name and six bytes of the entry.
    view.setUint32(12 + 2 + 'input'.length + 6, 2 ** 31, true);
    const split = inferRequest('plain', [frameInput(frame)], {
      parameters: writeSplitParameters({ cut: 0, framed: true }),
    });
    await expect(good.infer(split)).rejects.toThrow(/limit|frame/);
    await others();
  });
});

describe('dawdlers', () => {
  const open = (): { readonly socket: Socket; readonly closed: Promise<string> } => {
    const socket = connect(server.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString('latin1'))).on('error', () => undefined);
    return { socket, closed: new Promise((resolve) => socket.on('close', () => resolve(answer))) };
  };

  test('a connection that says nothing is closed', async () => {
    expect(await open().closed).toBe('');
  });

  test('headers that come drop by drop', async () => {
    const { socket, closed } = open();
    socket.write('GET /v2 HTTP/1.1\r\n');
    const drip = setInterval(() => socket.write('X: y\r\n'), 50);
    expect(await closed).toBe('');
    clearInterval(drip);
    await others();
  });

  test('bodies that come drop by drop, or stop', async () => {
    for (const drops of [true, false]) {
      const { socket, closed } = open();
      socket.write('POST /v2/models/plain/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{');
      const drip = setInterval(() => drops && socket.write(' '), 50);
      expect(await closed).toMatch(/^HTTP\/1.1 504/);
      clearInterval(drip);
    }
    await others();
  });

  test('an HTTP/2 connection without requests, and one whose body stops', async () => {
    const idle = connectHttp2(server.url);
    idle.on('error', () => undefined);
    await new Promise((resolve) => idle.on('close', resolve));
    const session = connectHttp2(server.url);
    session.on('error', () => undefined);
    const stream = session.request({ ':path': '/v2/models/plain/infer', ':method': 'POST' });
    stream.on('error', () => undefined);
    stream.write('{');
    const status = await new Promise((resolve) => stream.on('response', (fields) => resolve(fields[':status'])));
    expect(status).toBe(504);
    session.destroy();
  });
});

test('many unfinished bodies together take bounded memory', async () => {
  const small = await serve({ models: [folder], maxRequestBytes: 4000 });
  const sockets = Array.from({ length: 9 }, () => {
    const socket = connect(small.port, '127.0.0.1').on('error', () => undefined);
    const head = 'POST /v2/models/plain/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n';
    socket.write(head + ' '.repeat(3900));
    return socket;
  });
  const refused = await Promise.race(
    sockets.map((socket) => new Promise<string>((resolve) => socket.on('data', (chunk) => resolve(chunk.toString())))),
  );
  expect(refused).toMatch(/^HTTP\/1.1 503/);
  for (const socket of sockets) socket.destroy();
  await expect
    .poll(() =>
      httpDoor(small.url, true)
        .infer(request)
        .then(() => 'let in', String),
    )
    .toBe('let in');
});

test('clients that leave at random points leave nothing behind', { timeout: 60_000 }, async () => {
  const crowded = await serve({ models: [folder], batchDelayMs: 5, limits: patience });
  const random = createRandom(11);
  const { bytes, jsonBytes } = requestToHttp(request);
  const head = `POST /v2/models/plain/infer HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\nInference-Header-Content-Length: ${jsonBytes}\r\n\r\n`;
  const whole = Buffer.concat([Buffer.from(head), bytes]);
  const quit = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(crowded.port, '127.0.0.1');
      socket.on('error', () => undefined).on('close', () => resolve());
      socket.write(whole.subarray(0, Math.floor(random.next() * (whole.length + 1))));
      setTimeout(() => socket.destroy(), random.next() * 15);
    });
  const abort = async (): Promise<void> => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), random.next() * 15);
    await door.infer(request, stop.signal).catch(() => undefined);
  };
  const door = grpcDoor(crowded.url, 'gRPC');
  for (let round = 0; round < 10; round++)
    await Promise.all(Array.from({ length: 24 }, (_, i) => (i % 3 === 0 ? abort() : quit())));
  await httpDoor(crowded.url, true).infer(request);
  await expect
    .poll(() => [gauge('cuttle_queue_requests', crowded), gauge('cuttle_running_requests', crowded)], { timeout: 5000 })
    .toEqual([0, 0]);
  // The gRPC session and the kept-alive fetch may remain.
  await expect.poll(() => gauge('cuttle_connections', crowded), { timeout: 5000 }).toBeLessThanOrEqual(2);
});

test('whatever happened above, nothing is left behind', async () => {
  await others();
  await expect.poll(() => gauge('cuttle_queue_requests') + gauge('cuttle_running_requests')).toBe(0);
});
