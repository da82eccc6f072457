/** @file A client of one HTTP/2 server: requests share a connection, which is replaced when it is dead or going away. */
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from 'node:http2';
import { CuttleError } from '../../ir/error.js';

/** A connection that broke, or a request that the other end reset. Exit code 1. */
export class Http2Error extends CuttleError {
  constructor(message: string, cause?: unknown) {
    super('failed', 'platform/http2', message, { hint: 'Check that the server is there and speaks HTTP/2.', cause });
  }
}

export interface Http2ClientOptions {
  /** Certificates to trust instead of the system's (PEM). */
  readonly ca?: string;
}

export interface Http2Request {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
  /** Most bytes of the reply's body; beyond them `tooLarge` is thrown. */
  readonly maxBytes: number;
  readonly tooLarge: () => Error;
}

export interface Http2Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly trailers: Headers;
  readonly body: Uint8Array;
}

/** After a request was given up, the connection must answer a ping within this time, or it is dead, ms. */
const PING_MS = 2000;

/** Requests to one origin. Nothing is connected until the first; an idle connection does not keep the process alive. */
export class Http2Client {
  readonly #origin: string;
  readonly #options: Http2ClientOptions;
  #session: ClientHttp2Session | undefined;
  /** Requests under way on each connection. */
  readonly #busy = new Map<ClientHttp2Session, number>();
  #pinging = false;

  /** `origin`: scheme, host and port. With `http:` the server must speak HTTP/2 at once (prior knowledge), as gRPC servers do. */
  constructor(origin: string, options: Http2ClientOptions = {}) {
    this.#origin = origin;
    this.#options = options;
  }

  /** Sends a request and reads the whole reply. Throws Http2Error, what `tooLarge` makes, and the signal's reason. */
  async request(request: Http2Request): Promise<Http2Reply> {
    request.signal.throwIfAborted();
    const session = this.#connected();
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(
        { ...request.headers, ':method': request.method, ':path': request.path },
        { endStream: request.body === undefined },
      );
    } catch (cause) {
      throw new Http2Error('the request could not be sent', cause);
    }
    this.#busy.set(session, (this.#busy.get(session) ?? 0) + 1);
    session.ref();
    try {
      return await exchange(stream, request);
    } catch (cause) {
      // A reset tells the server that nobody waits any more.
      if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL);
      this.#check(session);
      throw cause;
    } finally {
      if (stream.closed) this.#rest(session);
      else stream.once('close', () => this.#rest(session));
    }
  }

  /** Closes the connection once nothing is under way on it. */
  close(): void {
    this.#session?.close();
    this.#session = undefined;
  }

  #connected(): ClientHttp2Session {
    const old = this.#session;
    if (old !== undefined && !old.closed && !old.destroyed) return old;
    const session = connect(this.#origin, this.#options.ca === undefined ? {} : { ca: this.#options.ca });
    this.#session = session;
    const drop = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    // Requests on it hear of errors by their own streams.
    session.on('error', drop).on('close', drop);
    session.on('goaway', () => {
      drop();
      session.close();
    });
    return session;
  }

  /** A connection on which a request came to nothing may be dead, with nobody to say so: a ping tells. */
  #check(session: ClientHttp2Session): void {
    if (this.#pinging || session.closed || session.destroyed) return;
    if (session.connecting) {
      this.#discard(session);
      return;
    }
    const timer = setTimeout(() => this.#discard(session), PING_MS);
    timer.unref();
    this.#pinging = session.ping(() => {
      clearTimeout(timer);
      this.#pinging = false;
    });
    if (!this.#pinging) clearTimeout(timer);
  }

  #discard(session: ClientHttp2Session): void {
    this.#pinging = false;
    if (this.#session === session) this.#session = undefined;
    session.destroy();
  }

  /** One request fewer is under way: a connection without any does not keep the process alive. */
  #rest(session: ClientHttp2Session): void {
    const left = (this.#busy.get(session) ?? 1) - 1;
    if (left > 0) {
      this.#busy.set(session, left);
      return;
    }
    this.#busy.delete(session);
    if (!session.destroyed) session.unref();
  }
}

/** Writes the body and reads the reply of one stream. */
function exchange(stream: ClientHttp2Stream, { body, signal, maxBytes, tooLarge }: Http2Request): Promise<Http2Reply> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let headers = new Headers();
    let trailers = new Headers();
    const chunks: Uint8Array[] = [];
    let total = 0;
    const abort = (): void => fail(signal.reason as Error);
    const settle = (): void => signal.removeEventListener('abort', abort);
    const fail = (cause: Error): void => {
      settle();
      reject(cause);
    };
    signal.addEventListener('abort', abort, { once: true });
    stream.on('response', (fields) => {
      status = fields[':status'] ?? 0;
      headers = headersOf(fields);
    });
    stream.on('trailers', (fields: IncomingHttpHeaders) => (trailers = headersOf(fields)));
    stream.on('data', (chunk: Uint8Array) => {
      total += chunk.length;
      if (total > maxBytes) fail(tooLarge());
      else chunks.push(chunk);
    });
    stream.on('error', (cause: Error) => fail(new Http2Error(`the request broke: ${cause.message}`, cause)));
    stream.on('end', () => {
      settle();
      resolve({ status, headers, trailers, body: new Uint8Array(Buffer.concat(chunks, total)) });
    });
    stream.on('close', () => fail(new Http2Error('the connection closed before the reply was whole')));
    if (body !== undefined) stream.end(body);
  });
}

function headersOf(fields: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields))
    if (!name.startsWith(':') && value !== undefined)
      for (const one of Array.isArray(value) ? value : [value]) headers.append(name, one);
  return headers;
}
