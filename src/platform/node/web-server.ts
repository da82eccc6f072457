/**
 * @file One listening port for HTTP/1.1 and HTTP/2, with or without TLS: connections that dawdle are closed, requests that
 * clients abandon are aborted, and closing lets finish what has begun.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { CuttleError } from '../../ir/error.js';
import { LINGER_MS, readBody, sendResponse } from './web-exchange.js';
import { WEB_LIMITS, type WebLimits, type WebRequest, type WebResponse } from './web-messages.js';

export { WEB_LIMITS, type WebLimits, type WebRequest, type WebResponse };

/** A port that cannot be listened on, or a certificate that cannot be used. Exit code 1. */
export class ListenError extends CuttleError {
  constructor(message: string, hint: string, cause: unknown) {
    super('failed', 'platform/listen', message, { hint, cause });
  }
}

export interface ListenOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** PEM text. Without it HTTP/2 is spoken in clear text (h2c, prior knowledge) beside HTTP/1.1. */
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly limits?: Partial<WebLimits>;
  /** Answers a request. What it throws becomes 500 without a body. */
  readonly handle: (request: WebRequest) => Promise<WebResponse>;
}

export interface WebListener {
  readonly port: number;
  readonly url: string;
  /** Connections that are open. */
  readonly connections: number;
  /**
   * Accepts nothing more, lets requests that have begun finish, then closes. After `graceMs` the rest is cut off.
   * Returns how many requests that were.
   */
  close(graceMs: number): Promise<number>;
}

/** One connection: how many of its requests are being answered, and when it has dawdled long enough. */
class Connection {
  readonly socket: Socket;
  session: ServerHttp2Session | undefined;
  active = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Closes the connection unless a request comes within `ms`. */
  await(ms: number): void {
    clearTimeout(this.#timer);
    // The last request of a closed connection ends after it: a timer would keep all of it alive.
    if (this.socket.destroyed) return;
    this.#timer = setTimeout(() => this.end(), ms);
    this.#timer.unref();
  }

  begin(): void {
    this.active++;
    clearTimeout(this.#timer);
  }

  /** Says goodbye where the protocol can; requests under way finish over HTTP/2. */
  end(): void {
    if (this.session !== undefined && !this.session.closed) this.session.close();
    else if (this.active === 0) this.destroy();
  }

  destroy(): void {
    clearTimeout(this.#timer);
    if (this.session !== undefined) this.session.destroy();
    this.socket.destroy();
  }
}

/** Opens the port. Throws ListenError. */
export async function listenWeb(options: ListenOptions): Promise<WebListener> {
  const limits: WebLimits = { ...WEB_LIMITS, ...options.limits };
  const connections = new Map<Socket, Connection>();
  const sessions = new WeakMap<ServerHttp2Session, Connection>();
  let closing = false;

  const answer = (
    connection: Connection | undefined,
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
  ): void => {
    if (connection === undefined) return void response.end();
    connection.begin();
    const gone = new AbortController();
    // HTTP/2 responses call themselves finished even when their stream was reset.
    let sent = false;
    const http1 = !('stream' in request);
    // A client that resets its stream or socket is no failure of ours.
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    response.on('close', () => {
      connection.active--;
      if (!sent) gone.abort(new DOMException('the client has gone', 'AbortError'));
      if (closing && http1) connection.end();
      else connection.await(limits.idleMs);
    });
    const body = readBody(request, limits);
    const asked = toWebRequest(request, body.chunks, options.tls !== undefined, gone.signal);
    void (async () => {
      const given: WebResponse =
        asked === undefined
          ? { status: 400, headers: new Headers() }
          : await options.handle(asked).catch(() => ({ status: 500, headers: new Headers() }));
      // A connection whose request was not read to its end cannot carry another one.
      await sendResponse(response, given, { last: http1 && (closing || !body.ended()), stallMs: limits.stallMs });
      sent = true;
      if (!http1 && !body.ended()) lingering(request);
    })().catch(() => connection.destroy());
  };

  const http1 = createHttpServer({ maxHeaderSize: 32_768, keepAliveTimeout: limits.idleMs, requireHostHeader: false });
  http1.on('request', (request, response) => answer(connections.get(request.socket), request, response));
  http1.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    else socket.destroy();
  });
  http1.on('upgrade', (_request, socket) => socket.destroy());

  const http2 = createHttp2Server({
    settings: {
      maxConcurrentStreams: limits.streams,
      maxHeaderListSize: 32_768,
      initialWindowSize: 2 ** 20,
      enableConnectProtocol: false,
    },
  });
  http2.on('session', (session) => {
    session.setLocalWindowSize(2 ** 22);
    session.on('error', () => undefined);
    if (closing) session.close();
  });
  http2.on('request', (request, response) => {
    const { session } = request.stream;
    answer(session && sessions.get(session as ServerHttp2Session), request, response);
  });
  http2.on('sessionError', () => undefined);

  const serve = (connection: Connection, protocol: 'h1' | 'h2'): void => {
    const { socket } = connection;
    if (protocol === 'h1') return void http1.emit('connection', socket);
    http2.once('session', (session) => {
      connection.session = session;
      sessions.set(session, connection);
    });
    http2.emit('connection', socket);
  };

  const accept = (socket: Socket): Connection | undefined => {
    if (closing) {
      socket.destroy();
      return undefined;
    }
    const connection = new Connection(socket);
    connections.set(socket, connection);
    connection.await(limits.headerMs);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      connection.destroy();
      connections.delete(socket);
    });
    return connection;
  };

  const server = openServer(options, (socket, alpn) => {
    const connection = accept(socket);
    if (connection === undefined) return;
    if (alpn !== undefined) serve(connection, alpn);
    else sniff(socket, (protocol) => serve(connection, protocol));
  });
  server.maxConnections = limits.connections;
  await listening(server, options);
  const { port } = server.address() as AddressInfo;
  const shownHost = options.host.includes(':') ? `[${options.host}]` : options.host;

  return {
    port,
    url: `${options.tls ? 'https' : 'http'}://${shownHost}:${port}`,
    get connections() {
      return connections.size;
    },
    async close(graceMs) {
      closing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const connection of connections.values()) connection.end();
      let cut = 0;
      const timer = setTimeout(() => {
        for (const connection of connections.values()) {
          cut += connection.active;
          connection.destroy();
        }
      }, graceMs);
      await closed;
      clearTimeout(timer);
      return cut;
    },
  };
}

function openServer(
  { tls }: ListenOptions,
  onConnection: (socket: Socket, alpn: 'h1' | 'h2' | undefined) => void,
): Server {
  if (tls === undefined) return createTcpServer((socket) => onConnection(socket, undefined));
  try {
    const server = createTlsServer({ ...tls, ALPNProtocols: ['h2', 'http/1.1'], handshakeTimeout: 10_000 });
    server.on('secureConnection', (socket: TLSSocket) =>
      onConnection(socket, socket.alpnProtocol === 'h2' ? 'h2' : 'h1'),
    );
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ListenError(`the TLS certificate or key cannot be used: ${why}`, 'Both must be PEM files.', cause);
  }
}

function listening(server: Server, { host, port }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new ListenError(
          `cannot listen on ${host} port ${port}: ${cause.message}`,
          'Choose another --port or --host.',
          cause,
        ),
      ),
    );
    server.listen(port, host, () => resolve());
  });
}

/** Lets an answer with its trailers through before the rest of its request is refused. */
function lingering(request: Http2ServerRequest): void {
  request.resume();
  const timer = setTimeout(() => request.stream.close(), LINGER_MS);
  timer.unref();
  request.on('close', () => clearTimeout(timer));
}

const HTTP2_BEGIN = 'PRI';

/** Looks at a clear-text connection's first bytes: HTTP/2 begins with a fixed preface. */
function sniff(socket: Socket, found: (protocol: 'h1' | 'h2') => void): void {
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return void socket.once('readable', look);
    socket.unshift(chunk);
    const start = chunk.subarray(0, HTTP2_BEGIN.length).toString('latin1');
    if (start.length < HTTP2_BEGIN.length && HTTP2_BEGIN.startsWith(start)) {
      // Too little to tell: the header timer bounds the wait.
      const timer = setTimeout(() => void socket.once('readable', look).read(0), 20);
      timer.unref();
      return;
    }
    found(start === HTTP2_BEGIN ? 'h2' : 'h1');
  };
  socket.once('readable', look);
}

function toWebRequest(
  request: IncomingMessage | Http2ServerRequest,
  body: AsyncIterable<Uint8Array>,
  secure: boolean,
  signal: AbortSignal,
): WebRequest | undefined {
  const headers = new Headers();
  const { headers: raw, httpVersion } = request;
  try {
    for (const [name, value] of Object.entries(raw))
      if (!name.startsWith(':') && value !== undefined)
        for (const item of Array.isArray(value) ? value : [value]) headers.append(name, item);
    // HTTP/2 names the host in a field of its own.
    if ('authority' in request && !headers.has('host') && request.authority) headers.set('host', request.authority);
    // The host is nobody's business here; only path and query are looked at.
    const url = new URL(`${secure ? 'https' : 'http'}://server${request.url?.startsWith('/') ? request.url : '/'}`);
    const address = request.socket.remoteAddress ?? 'unknown';
    return { httpVersion, method: request.method ?? 'GET', url, headers, address, body, signal };
  } catch {
    return undefined;
  }
}
