/** @file The built page: its files from dist/, with the headers that keep it to itself. */
import { exists, fileInfo, joinPath, readBytes } from '../platform/node/files.js';
import { CuttleError } from '../ir/index.js';
import type { WebResponse } from '../platform/node/web-server.js';
import { pathOfUrl } from '../platform/node/places.js';

/** The page was not built. Exit code 1. */
export class StudioNotBuiltError extends CuttleError {
  constructor(folder: string) {
    super('failed', 'studio/not-built', `the studio's page is not built: '${folder}' is missing`, {
      hint: 'In a checkout: npm run setup. In an installed package: install it again.',
    });
  }
}

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  json: 'application/json',
};

/**
 * Nothing but this server may be asked or run; nobody may frame the page. Plots are SVG with inline style attributes,
 * which is why styles, and only these, may stand in the markup.
 */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'x-frame-options': 'DENY',
};

/** Where the page lies in the package; from sources, in the checkout's dist/. */
function defaultAppFolder(): string {
  const folder = pathOfUrl(new URL('./app/', import.meta.url));
  return import.meta.url.endsWith('.ts') ? folder.replace(/([\\/])src([\\/])studio/, '$1dist$2studio') : folder;
}

/** Serves the page's files. Throws StudioNotBuiltError where they are missing. */
export async function openAppFiles(folder = defaultAppFolder()): Promise<(path: string) => Promise<WebResponse>> {
  if (!(await exists(joinPath(folder, 'index.html')))) throw new StudioNotBuiltError(folder);
  return async (path) => {
    const name = path === '/' ? 'index.html' : path.slice(1);
    // Names as the build gives them: nothing else is looked for, so nothing can lead out.
    const file = /^[\w-]+(\.[\w-]+)*$|^assets\/[\w-]+(\.[\w-]+)*$/.test(name) ? joinPath(folder, name) : undefined;
    if (file === undefined || (await fileInfo(file))?.kind !== 'file')
      return { status: 404, headers: new Headers(PAGE_HEADERS) };
    const extension = name.slice(name.lastIndexOf('.') + 1);
    const headers = new Headers({
      ...PAGE_HEADERS,
      'content-type': TYPES[extension] ?? 'application/octet-stream',
      // The names of assets change with their content.
      'cache-control': name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    return { status: 200, headers, body: await readBytes(file) };
  };
}
