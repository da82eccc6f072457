/** @file The studio's server: guard, page, API, on one port of this machine. */
import { listenWeb } from '../platform/node/web-server.js';
import { Api, refusal } from './api.js';
import { openAppFiles, PAGE_HEADERS } from './app-files.js';
import { checkRequest, LOOPBACK_NAMES } from './guard.js';
import { Jobs } from './jobs.js';
import type { LabPlace } from './lab-view.js';
import { openWorkspace } from './workspace.js';

/** How a studio is opened. */
export interface StudioOptions {
  /** The folder to show. */
  readonly folder: string;
  /** Address to listen on; this machine alone where omitted. */
  readonly host?: string;
  /** 0 for any free one. */
  readonly port: number;
  /** What every question needs; must be given where others than this machine may ask. */
  readonly token?: string;
  readonly version: string;
  /** A device lab besides those whose folders lie in the open one. */
  readonly lab?: LabPlace;
  /** Largest upload, bytes; 512 MiB where omitted. */
  readonly uploadBytes?: number;
  /** Where the built page lies; beside this file where omitted. */
  readonly app?: string;
}

/** A studio that is open. */
export interface Studio extends AsyncDisposable {
  /** To be opened in a browser; with the token in its fragment, which no server is told. */
  readonly url: string;
  close(): Promise<void>;
}

/** Hosts that only this machine reaches. */
export const LOOPBACK_HOST = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;

/**
 * Opens a studio on a folder. Throws FileError where there is none, StudioNotBuiltError, ListenError.
 * Contract: a token is given for any host but this machine's own; the verb sees to that.
 */
export async function openStudio(options: StudioOptions): Promise<Studio> {
  const { host = '127.0.0.1', token, uploadBytes = 2 ** 29, version } = options;
  const files = await openWorkspace(options.folder);
  const page = await openAppFiles(options.app);
  const jobs = new Jobs(files);
  const api = new Api({ files, jobs, version, uploadBytes, lab: options.lab });
  const loopback = LOOPBACK_HOST.test(host);
  const names = loopback ? new Set([...LOOPBACK_NAMES, host.includes(':') ? `[${host}]` : host]) : undefined;
  let port = 0;
  const guard = { names, port: () => port, token };
  const listener = await listenWeb({
    ...{ host, port: options.port, limits: { bodyBytes: uploadBytes, connections: 128 } },
    async handle(request) {
      try {
        checkRequest(request, guard);
      } catch (error) {
        return withHeaders(refusal(error));
      }
      if (request.url.pathname.startsWith('/api/')) return withHeaders(await api.answer(request));
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return { status: 405, headers: new Headers(PAGE_HEADERS) };
      return await page(request.url.pathname);
    },
  });
  port = listener.port;
  const close = async (): Promise<void> => {
    await jobs.close();
    await listener.close(500);
    await api.close();
  };
  const shown = host === '0.0.0.0' || host === '::' ? listener.url.replace(/\/\/[^/]*:/, '//127.0.0.1:') : listener.url;
  return { url: `${shown}/${token === undefined ? '' : `#token=${token}`}`, close, [Symbol.asyncDispose]: close };
}

/** Every answer says what the page's own files say: nothing may be guessed, framed or embedded. */
function withHeaders<T extends { readonly headers: Headers }>(response: T): T {
  for (const [name, value] of Object.entries(PAGE_HEADERS)) response.headers.set(name, value);
  return response;
}
