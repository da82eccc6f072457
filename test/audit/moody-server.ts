/** @file A file server on loopback with ranges and moods: connections that break, refusals, wrong bytes. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

export interface Seen {
  readonly path: string;
  readonly query: string;
  readonly range: string | undefined;
  readonly agent: string | undefined;
  readonly at: number;
}

/** What the next request for a path meets. */
export type Mood =
  /** The connection breaks after so many bytes. */
  | { readonly cutAfter: number }
  | { readonly status: number; readonly retryAfter?: string }
  /** Other bytes of the same length. */
  | { readonly wrong: true }
  /** The whole file, whatever range is asked for. */
  | { readonly noRange: true }
  /** A range that nobody asked for. */
  | { readonly shifted: true }
  /** Nothing comes any more after so many bytes. */
  | { readonly silentAfter: number };

export interface MoodyServer extends AsyncDisposable {
  readonly url: string;
  readonly seen: readonly Seen[];
  /** Most requests that were open at a time. */
  readonly most: number;
  /** Moods for the next requests of a path, one each. */
  expect(path: string, ...moods: readonly Mood[]): void;
  /** Answers a path with these bytes rather than the folder's. */
  give(path: string, bytes: Uint8Array): void;
}

export async function moodyServer(folder: string): Promise<MoodyServer> {
  const seen: Seen[] = [];
  const moods = new Map<string, Mood[]>();
  const given = new Map<string, Uint8Array>();
  let [open, most] = [0, 0];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname, search } = new URL(request.url!, 'http://host');
    const path = decodeURIComponent(pathname);
    const { range } = request.headers;
    seen.push({ path, query: search, range, agent: request.headers['user-agent'], at: performance.now() });
    open++;
    most = Math.max(most, open);
    response.on('close', () => open--);
    const mood = moods.get(path)?.shift();
    const file = join(folder, path);
    const whole = given.get(path) ?? (existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined);
    if (mood !== undefined && 'status' in mood) {
      response.writeHead(mood.status, mood.retryAfter === undefined ? {} : { 'retry-after': mood.retryAfter }).end();
      return;
    }
    if (whole === undefined) return void response.writeHead(404).end();
    const etag = `"${createHash('sha1').update(whole).digest('hex')}"`;
    const changed = request.headers['if-range'] !== undefined && request.headers['if-range'] !== etag;
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? NaN);
    const partial = Number.isFinite(start) && !changed && !(mood && 'noRange' in mood);
    if (partial && start >= whole.length)
      return void response.writeHead(416, { 'content-range': `bytes */${whole.length}` }).end();
    const shift = mood && 'shifted' in mood ? 1 : 0;
    const from = partial ? Math.max(0, start - shift) : 0;
    const bytes = whole.slice(from);
    if (mood && 'wrong' in mood) bytes.fill(7);
    response.writeHead(partial ? 206 : 200, {
      'content-length': String(bytes.length),
      etag,
      ...(partial && { 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}` }),
    });
    if (mood && 'cutAfter' in mood) {
      response.write(bytes.subarray(0, mood.cutAfter), () => setTimeout(() => response.destroy(), 20));
      return;
    }
    if (mood && 'silentAfter' in mood) return void response.write(bytes.subarray(0, mood.silentAfter));
    response.end(bytes);
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get most() {
      return most;
    },
    expect: (path, ...next) => void moods.set(path, [...(moods.get(path) ?? []), ...next]),
    give: (path, bytes) => void given.set(path, bytes),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
