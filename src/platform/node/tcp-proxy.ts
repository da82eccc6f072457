/** @file A TCP proxy that lets bytes through when it is told to: for links that are slower or worse than the real one. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** One direction of one connection: when bytes that came in now may go out, ms on the clock of `performance.now`; Infinity: never. */
export type Delivery = (bytes: number, now: number) => number;

export interface TcpProxyOptions {
  readonly target: { readonly host: string; readonly port: number };
  /** 0 (any free one) where omitted. */
  readonly port?: number;
  readonly host?: string;
  /** For each new connection: its two directions. */
  readonly open: () => { readonly up: Delivery; readonly down: Delivery };
  /** Bytes that wait in one direction before the sender is held back; 64 KiB where omitted. */
  readonly queueBytes?: number;
}

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Breaks every connection, and all new ones while `broken`. */
  cut(broken: boolean): void;
  close(): Promise<void>;
}

/** Pieces in which bytes are let through: those of a few packets. */
const PIECE = 4 * 1448;

/** Opens a proxy. Throws what listening throws. */
export async function openTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const { target, queueBytes = 1 << 16 } = options;
  const sockets = new Set<Socket>();
  let broken = false;
  const keep = (socket: Socket): Socket => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((client) => {
    keep(client);
    if (broken) return void client.destroy();
    const upstream = keep(connect(target));
    const { up, down } = options.open();
    relay(client, upstream, up, queueBytes);
    relay(upstream, client, down, queueBytes);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });
  const cut = (now: boolean): void => {
    broken = now;
    for (const socket of sockets) socket.destroy();
  };
  const close = async (): Promise<void> => {
    cut(true);
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return { port: (server.address() as AddressInfo).port, cut, close, [Symbol.asyncDispose]: close };
}

/** Bytes from one socket to another, each piece when its time has come, in order. */
function relay(from: Socket, to: Socket, delivery: Delivery, queueBytes: number): void {
  const queue: { readonly bytes: Uint8Array; readonly at: number }[] = [];
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const end = (): void => {
    clearTimeout(timer);
    to.destroy();
  };
  const flush = (): void => {
    timer = undefined;
    const now = performance.now();
    // Timers come late by up to a millisecond: what is due within half of one goes now.
    while (queue.length > 0 && queue[0]!.at <= now + 0.5) {
      const { bytes } = queue.shift()!;
      waiting -= bytes.length;
      if (!to.destroyed) to.write(bytes);
    }
    if (waiting < queueBytes && from.isPaused()) from.resume();
    if (queue.length === 0) {
      if (ended && !to.destroyed) to.end();
    } else if (queue[0]!.at < Infinity) timer = setTimeout(flush, Math.max(0, queue[0]!.at - now));
  };
  from.on('data', (chunk: Uint8Array) => {
    const now = performance.now();
    for (let at = 0; at < chunk.length; at += PIECE) {
      const bytes = chunk.subarray(at, at + PIECE);
      queue.push({ bytes, at: delivery(bytes.length, now) });
      waiting += bytes.length;
    }
    if (waiting >= queueBytes) from.pause();
    if (timer === undefined) flush();
  });
  from.on('end', () => {
    ended = true;
    if (queue.length === 0 && !to.destroyed) to.end();
  });
  from.on('error', end);
  to.on('error', () => from.destroy());
  from.on('close', () => {
    if (!ended) end();
  });
  to.on('close', () => {
    clearTimeout(timer);
    from.destroy();
  });
}
