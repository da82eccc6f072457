/**
 * @file The agent's page as the lab serves it: this package's own modules and those that they import, straight from where they
 * are installed. Browsers know no bare names in workers, so these are replaced by addresses on the way; nothing is bundled.
 */
import { joinPath, readBytes } from '../../platform/node/files.js';
import { ownFile, packageFolder } from '../../platform/node/places.js';
import { randomToken } from '../../platform/node/private-file.js';
import type { WebResponse } from '../../platform/node/web-messages.js';
import { LabError } from './errors.js';
import { plainHeaders } from './headers.js';
import { AGENT_CSS, AGENT_HTML } from './page/html.js';

/** Packages that the modules import: where they lie and what a bare name means. */
const PACKAGES = {
  zod: '',
  '@bufbuild/protobuf': 'dist/esm',
  'onnxruntime-web': 'dist',
  '@litertjs/core': '',
  '@litertjs/wasm-utils': '',
} as const;

/** Modules lie below a folder of this process's own: browsers may keep them for good, and never mix two versions. */
const MODULES = `/modules/${randomToken(6)}`;

/** Bare names as they stand in import statements. */
const NAMES: Readonly<Record<string, string>> = {
  zod: 'zod/index.js',
  'zod/mini': 'zod/mini/index.js',
  'zod/v4/locales/en.js': 'zod/v4/locales/en.js',
  '@bufbuild/protobuf': '@bufbuild/protobuf/index.js',
  '@bufbuild/protobuf/codegenv2': '@bufbuild/protobuf/codegenv2/index.js',
  '@litertjs/core': '@litertjs/core/dist/index.js',
  '@litertjs/wasm-utils': '@litertjs/wasm-utils/dist/index.js',
  'onnxruntime-web/wasm': 'onnxruntime-web/ort.wasm.min.mjs',
  'onnxruntime-web/webgpu': 'onnxruntime-web/ort.webgpu.min.mjs',
  'onnxruntime-web/jspi': 'onnxruntime-web/ort.jspi.min.mjs',
};

const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  wasm: 'application/wasm',
};

/** Folders of this package whose modules the page may load; Node's own stay out. */
const OWN = /^(ir|onnx|ops|passes|runtime|exits|measure|platform|data|train|zoo)(\/(?!node\/)[\w.-]+)+\.js$/;
const FOREIGN = /^[\w.-]+(\/[\w.-]+)*\.(js|mjs|wasm)$/;

/** A file of the page by its path, or `undefined`. No path leads out of the folders above. */
export async function servePage(path: string): Promise<WebResponse | undefined> {
  if (path === '/') return answer('text/html; charset=utf-8', AGENT_HTML.replaceAll('/modules', MODULES));
  if (path === '/agent.css') return answer('text/css; charset=utf-8', AGENT_CSS);
  if (path === '/favicon.ico') return { status: 204, headers: pageHeaders('image/x-icon') };
  if (!path.startsWith(`${MODULES}/`)) return undefined;
  const module = path.slice(MODULES.length + 1);
  const own = /^cuttle\/(.+)$/.exec(module)?.[1];
  if (own !== undefined) {
    if (!OWN.test(own) || own.includes('..')) return undefined;
    const text = await textOf(ownFile(own));
    return text === undefined ? undefined : answer(TYPES['js']!, addressed(text), FOR_GOOD);
  }
  for (const [name, folder] of Object.entries(PACKAGES)) {
    if (!module.startsWith(`${name}/`)) continue;
    const inner = module.slice(name.length + 1);
    if (!FOREIGN.test(inner) || inner.includes('..')) return undefined;
    const root = packageFolder(name);
    if (root === undefined)
      throw new LabError('failed', 'lab/package', `'${name}' is not installed, which browsers need`, {
        hint: `On the lab's machine: npm install ${name}`,
      });
    const bytes = await bytesOf(joinPath(root, folder, inner));
    if (bytes === undefined) return undefined;
    const type = TYPES[inner.slice(inner.lastIndexOf('.') + 1)]!;
    // The others' modules import nothing by a bare name.
    const isNamed = name === '@litertjs/core' && inner === 'dist/index.js';
    return answer(type, isNamed ? addressed(new TextDecoder().decode(bytes)) : bytes, FOR_GOOD);
  }
  return undefined;
}

/** A module whose imports of bare names say where these lie. Dynamic imports with a literal count, too. */
export function addressed(text: string): string {
  return text.replace(
    /(\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)(['"])([^'"./][^'"]*)\2/g,
    (whole, before: string, quote: string, name: string) => {
      const address = NAMES[name];
      return address === undefined ? whole : `${before}${quote}${MODULES}/${address}${quote}`;
    },
  );
}

async function textOf(path: string): Promise<string | undefined> {
  const bytes = await bytesOf(path);
  return bytes && new TextDecoder().decode(bytes);
}

async function bytesOf(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readBytes(path);
  } catch {
    // Whatever cannot be read is not there for the page.
    return undefined;
  }
}

const FOR_GOOD = 'private, max-age=31536000, immutable';

function answer(type: string, content: string | Uint8Array, keep = 'no-cache'): WebResponse {
  const body = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const headers = pageHeaders(type);
  headers.set('cache-control', keep);
  return { status: 200, headers, body };
}

/** Shared memory, and so threads, need a page that shares its process with no other; scripts come from here alone. */
function pageHeaders(type: string): Headers {
  const headers = plainHeaders(type);
  headers.set('cross-origin-opener-policy', 'same-origin');
  headers.set('cross-origin-embedder-policy', 'require-corp');
  headers.set(
    'content-security-policy',
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; connect-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  );
  return headers;
}
