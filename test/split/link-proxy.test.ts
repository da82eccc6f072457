/** @file The emulated link between real sockets: bytes arrive whole and in order, no sooner than the model says. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fixedRate } from '../../src/split/link/index.js';
import { openLinkProxy, type LinkProxyOptions } from '../../src/split/link/proxy.js';

let echo: Server;
let target: { host: string; port: number };
beforeAll(async () => {
  echo = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  target = { host: '127.0.0.1', port: (echo.address() as AddressInfo).port };
});
afterAll(() => echo.close());

const fast = { rate: fixedRate(1e6) };

async function opened(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

/** What came back, and how long it took. */
async function sent(socket: Socket, bytes: Uint8Array): Promise<{ readonly back: Buffer; readonly ms: number }> {
  const start = performance.now();
  const chunks: Uint8Array[] = [];
  let total = 0;
  return await new Promise((resolve, reject) => {
    const onData = (chunk: Uint8Array): void => {
      chunks.push(chunk);
      total += chunk.length;
      if (total < bytes.length) return;
      socket.off('data', onData);
      resolve({ back: Buffer.concat(chunks), ms: performance.now() - start });
    };
    socket.on('data', onData);
    socket.once('close', () => reject(new Error('closed')));
    socket.write(bytes);
  });
}

const proxyOf = (options: Partial<LinkProxyOptions>) => openLinkProxy({ target, up: fast, down: fast, ...options });

test('all bytes, in order, at the rate and with the latency of both ways', async () => {
  const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => i * 7 + (i >> 8));
  await using proxy = await proxyOf({ up: { rate: fixedRate(1000), latencyMs: 30 }, down: { ...fast, latencyMs: 20 } });
  const socket = await opened(proxy.port);
  const { back, ms } = await sent(socket, bytes);
  expect(back.equals(Buffer.from(bytes))).toBe(true);
  expect(ms).toBeGreaterThan(245);
  socket.destroy();
});

test('connections share the link', async () => {
  await using proxy = await proxyOf({ up: { rate: fixedRate(500) } });
  const sockets = await Promise.all([opened(proxy.port), opened(proxy.port)]);
  const times = await Promise.all(sockets.map((socket) => sent(socket, new Uint8Array(40_000))));
  expect(Math.max(...times.map(({ ms }) => ms))).toBeGreaterThan(155);
  for (const socket of sockets) socket.destroy();
});

test('a stalled message never comes; other connections go on', async () => {
  await using proxy = await proxyOf({ stalls: { probability: 1, afterBytes: 10 } });
  const socket = await opened(proxy.port);
  const reply = sent(socket, new Uint8Array(1000)).then(
    () => 'answered',
    () => 'closed',
  );
  expect(await Promise.race([reply, new Promise((resolve) => setTimeout(resolve, 60, 'silence'))])).toBe('silence');
  expect(proxy.stalled).toBe(1);
  socket.destroy();
  expect(await reply).toBe('closed');
});

test('a cut link breaks connections, and takes new ones when it is back', async () => {
  await using proxy = await proxyOf({});
  const socket = await opened(proxy.port);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  proxy.cut(true);
  await closed;
  const refused = await opened(proxy.port);
  await new Promise((resolve) => refused.once('close', resolve));
  proxy.cut(false);
  const again = await opened(proxy.port);
  expect((await sent(again, Uint8Array.of(1, 2, 3))).back).toEqual(Buffer.from([1, 2, 3]));
  again.destroy();
});
