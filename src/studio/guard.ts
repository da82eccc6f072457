/** @file Who may ask: this machine under its own name, its own page alone, and with a token where others could reach it. */
import type { WebRequest } from '../platform/node/web-server.js';
import { sameSecret } from '../platform/node/hash.js';
import { RefusedError } from './errors.js';

/** What the guard knows of its own server. */
export interface GuardOptions {
  /** Names under which this server is reached, without port, lower case. Any where `undefined`: the token alone decides. */
  readonly names: ReadonlySet<string> | undefined;
  readonly port: () => number;
  readonly token: string | undefined;
}

/** Names of this machine for itself. */
export const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Header that the page adds to whatever changes something: a foreign page cannot without asking first, and is refused. */
export const OWN_HEADER = 'x-cuttle-studio';

/**
 * Throws RefusedError unless the request
 * - names this server in `Host`, so that a foreign name that was made to point here (DNS rebinding) learns nothing;
 * - comes from its own page, as `Origin` and `Sec-Fetch-Site` say, where a browser says anything;
 * - carries the page's own header where it is no plain reading (CSRF);
 * - carries the token, where there is one and it asks for more than the page itself.
 */
export function checkRequest(request: WebRequest, { names, port, token }: GuardOptions): void {
  const { headers, method, url } = request;
  const host = headers.get('host')?.toLowerCase();
  const own = host !== undefined && isOwn(host, names, port());
  if (!own)
    throw new RefusedError(
      421,
      'host',
      'this studio is not called that',
      `Open it as http://127.0.0.1:${port()}/ on this machine.`,
    );
  const origin = headers.get('origin');
  const site = headers.get('sec-fetch-site');
  const opening = headers.get('sec-fetch-mode') === 'navigate' && method === 'GET' && !url.pathname.startsWith('/api/');
  const foreign =
    (origin !== null && origin !== `http://${host}`) ||
    (site !== null && site !== 'same-origin' && site !== 'none' && !opening);
  if (foreign) throw new RefusedError(403, 'origin', 'another page may not use this studio');
  if (!['GET', 'HEAD'].includes(method) && headers.get(OWN_HEADER) === null)
    throw new RefusedError(403, 'header', 'only the page of this studio may change something');
  if (token !== undefined && url.pathname.startsWith('/api/')) {
    const given = /^Bearer (.+)$/.exec(headers.get('authorization') ?? '')?.[1];
    if (given === undefined || !sameSecret(token, given))
      throw new RefusedError(
        401,
        'token',
        'this studio needs its token',
        'Open the address that `cuttle studio` printed, with its #token.',
      );
  }
}

function isOwn(host: string, names: ReadonlySet<string> | undefined, port: number): boolean {
  if (names === undefined) return true;
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d+))?$/.exec(host);
  return match !== null && names.has(match[1]!) && Number(match[2] ?? 80) === port;
}
