/** @file One exchange over HTTP/1.1 or HTTP/2: a body read within limits of size and patience, an answer written with back-pressure. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { CuttleError } from '../../ir/error.js';
import type { WebLimits, WebResponse } from './web-messages.js';

/** Why a body was not read to its end. */
export type BodyFault = 'too-large' | 'too-slow' | 'gone';

/** A request body that is too large, comes too slowly, or ends before it is whole. Exit code 3. */
export class BodyError extends CuttleError {
  readonly fault: BodyFault;

  constructor(fault: BodyFault, message: string, cause?: unknown) {
    super('invalid', `platform/body-${fault}`, message, { hint: 'Send the request again, smaller or faster.', cause });
    this.fault = fault;
  }
}

/** The body of a request as chunks, and whether it has been read to its end. Throws BodyError while it is read. */
export function readBody(
  request: IncomingMessage | Http2ServerRequest,
  limits: Pick<WebLimits, 'bodyBytes' | 'stallMs' | 'bytesPerSecond'>,
): { readonly chunks: AsyncIterable<Uint8Array>; ended(): boolean } {
  const tooLarge = (): BodyError =>
    new BodyError('too-large', `the request's body is larger than the limit of ${limits.bodyBytes} bytes`);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    if (Number(request.headers['content-length'] ?? 0) > limits.bodyBytes) throw tooLarge();
    const started = performance.now();
    let received = 0;
    // The stream's own iterator would destroy it on an early end, and with it the way back for an answer.
    for (;;) {
      const chunk = request.read() as Buffer | null;
      if (chunk !== null) {
        received += chunk.length;
        if (received > limits.bodyBytes) throw tooLarge();
        const elapsed = performance.now() - started;
        if (elapsed > limits.stallMs && received < (elapsed / 1000) * limits.bytesPerSecond)
          throw new BodyError(
            'too-slow',
            `the request's body comes too slowly: ${received} bytes in ${Math.round(elapsed)} ms`,
          );
        yield chunk;
      } else if (request.readableEnded) return;
      else await more(request, limits.stallMs);
    }
  }
  return { chunks: chunks(), ended: () => request.readableEnded || request.complete };
}

/** Resolves when there is something to read or the end has come. */
function more(request: IncomingMessage | Http2ServerRequest, stallMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: BodyError): void => {
      clearTimeout(timer);
      request.off('readable', ready).off('end', ready).off('close', closed).off('error', closed);
      if (error) reject(error);
      else resolve();
    };
    const ready = (): void => finish();
    const closed = (): void =>
      request.readableEnded
        ? finish()
        : finish(new BodyError('gone', 'the client has gone before its request was whole'));
    const timer = setTimeout(
      () => finish(new BodyError('too-slow', `nothing of the request's body has come for ${stallMs} ms`)),
      stallMs,
    );
    if (request.destroyed && !request.readableEnded) return closed();
    request.on('readable', ready).on('end', ready).on('close', closed).on('error', closed);
  });
}

/** How long what a client still sends is read and thrown away after its answer, so that the answer reaches it, ms. */
export const LINGER_MS = 5000;

/**
 * Writes an answer; resolves when it is handed over. `last`: no other request can follow on an HTTP/1.1 connection.
 * Rejects where the client takes nothing for `stallMs`.
 */
export async function sendResponse(
  response: ServerResponse | Http2ServerResponse,
  { status, headers, body, trailers }: WebResponse,
  { last, stallMs }: { readonly last: boolean; readonly stallMs: number },
): Promise<void> {
  if (response.destroyed || response.closed) {
    await dropped(body);
    return;
  }
  const fields = Object.fromEntries(headers);
  const http2 = 'stream' in response;
  if (last && !http2) fields['connection'] = 'close';
  if (body instanceof Uint8Array) fields['content-length'] = String(body.length);
  else if (body === undefined && trailers === undefined) fields['content-length'] = '0';
  if (http2) response.writeHead(status, fields);
  else response.writeHead(status, fields);
  if (body instanceof Uint8Array) await written(response, body, stallMs);
  else if (body !== undefined)
    for await (const chunk of body) {
      if (response.destroyed || response.closed) break;
      await written(response, chunk, stallMs);
    }
  if (trailers !== undefined) response.addTrailers(Object.fromEntries(trailers));
  // A socket that is closed while bytes arrive is reset, and the answer with it.
  if (!http2 && last && !response.req.complete) await discarded(response.req);
  response.end();
}

function discarded(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LINGER_MS);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    request.on('end', done).on('close', done).resume();
  });
}

function written(response: ServerResponse | Http2ServerResponse, chunk: Uint8Array, stallMs: number): Promise<void> {
  if (chunk.length === 0 || response.destroyed) return Promise.resolve();
  const full = !(response as ServerResponse).write(chunk);
  if (!full) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      response.off('drain', done).off('close', done);
      if (error) reject(error);
      else resolve();
    };
    const done = (): void => finish();
    const timer = setTimeout(() => finish(new BodyError('too-slow', 'the client does not take its answer')), stallMs);
    response.on('drain', done).on('close', done);
  });
}

/** Runs an answer's generator to its end, so that whatever it holds is let go. */
async function dropped(body: WebResponse['body']): Promise<void> {
  if (body !== undefined && !(body instanceof Uint8Array)) for await (const chunk of body) void chunk;
}
