/** @file A web server's requests, answers and limits, whatever version of HTTP carries them. */

/** A request as it arrives. */
export interface WebRequest {
  /** `1.1` or `2.0`. */
  readonly httpVersion: string;
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  /** Address of the other end. */
  readonly address: string;
  /**
   * The body's chunks, to be read once. Throws BodyError where it exceeds the limit, comes too slowly, or stops.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborted when the client has gone before the answer was sent. */
  readonly signal: AbortSignal;
}

/** An answer. */
export interface WebResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  /** Sent behind the body over HTTP/2. */
  readonly trailers?: Headers;
}

/** What clients may take. Milliseconds and bytes. */
export interface WebLimits {
  /** Most of a request's body; 64 MiB where omitted. */
  readonly bodyBytes: number;
  /** Until a new connection's first request has its headers; 10 s where omitted. */
  readonly headerMs: number;
  /** Between the requests of a connection; 75 s where omitted. */
  readonly idleMs: number;
  /** Without any progress of a body, either way; 15 s where omitted. */
  readonly stallMs: number;
  /** Bytes per second that a body must come with on average once `stallMs` have passed; 1,024 where omitted. */
  readonly bytesPerSecond: number;
  /** Connections at a time; 1,024 where omitted. */
  readonly connections: number;
  /** Requests at a time on one HTTP/2 connection; 256 where omitted. */
  readonly streams: number;
}

export const WEB_LIMITS: WebLimits = {
  bodyBytes: 2 ** 26,
  headerMs: 10_000,
  idleMs: 75_000,
  stallMs: 15_000,
  bytesPerSecond: 1024,
  connections: 1024,
  streams: 256,
};
