/**
 * @file Browser tests: bundles a page with vite as a user would, serves it with or without COOP/COEP, opens it in Chromium.
 *
 * How to use it:
 *
 *     import { browserTest, bundlePage, openChromium, serve } from './harness.js';
 *
 *     describe.skipIf(!browserTest)('…', () => {               // prints the reason where Chromium or dist/ is absent
 *       let site: Site, chromium: Chromium;
 *       beforeAll(async () => {
 *         site = await serve(await bundlePage(`import { openSession } from 'cuttle/runtime';
 *           expose('answer', async (x) => x + 1);`), { isolated: true });   // page code: TypeScript, any import of the package
 *         chromium = await openChromium();                       // { webgpu: true } for the software adapter
 *       });
 *       afterAll(async () => { await chromium.close(); await site.close(); });
 *       test('…', async () => {
 *         await using page = await chromium.open(site.url);      // a fresh page; console errors fail `page.call`
 *         expect(await page.call('answer', 41)).toBe(42);        // arguments and results are JSON (typed arrays as plain arrays)
 *       });
 *     });
 *
 * `bundlePage` takes the package as published, from dist/: rebuild it after a change (`npx tsc -p .`). `serve` takes any
 * folder, so it serves hand-written pages and examples too; several mounts may be given: `serve({ '/': page, '/ort/': ortDist })`.
 */
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize, resolve } from 'node:path';
import { chromium as playwright, type CDPSession, type Page } from 'playwright-core';
import { build, mergeConfig, type InlineConfig, type Rollup } from 'vite';

export const root = resolve(import.meta.dirname, '../..');

/** Where Debian puts Chromium; another one is named by CHROMIUM. Nothing is downloaded. */
const executable = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** False, with a printed reason, where browser tests cannot run. */
export const browserTest: boolean = (() => {
  const reason = !existsSync(executable)
    ? `${executable} is not installed`
    : !existsSync(join(root, 'dist/index.js'))
      ? 'dist/ is not built (npm run build)'
      : undefined;
  if (reason !== undefined) console.warn(`skipped: browser tests need Chromium and a build: ${reason}`);
  return reason === undefined;
})();

/** A folder outside the repository in which `cuttle` is installed; removed with the process. */
function consumerFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-browser-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/cuttle'), 'junction');
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }');
  return folder;
}

/** Makes `expose(name, function)`, by which a page offers a function to `page.call`. */
const EXPOSE = `const table = (globalThis.__exposed = {});
globalThis.expose = (name, job) => void (table[name] = job);`;

export interface PageOptions {
  /** Further source files of the page by name, such as a worker's. */
  readonly files?: Readonly<Record<string, string>>;
  /** Merged over the harness's own settings of vite. */
  readonly vite?: InlineConfig;
}

/**
 * Builds a page from TypeScript source as a user's project would (`import … from 'cuttle/…'`, vite, production mode) and
 * returns the folder with its index.html.
 */
export async function bundlePage(source: string, options: PageOptions = {}): Promise<string> {
  const folder = consumerFolder();
  const files: Readonly<Record<string, string>> = {
    'index.html': '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>',
    'main.js': "import './expose.js';\nawait import('./page.ts');\nglobalThis.__ready = true;\n",
    'expose.js': EXPOSE,
    'page.ts': source,
    ...options.files,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const outDir = join(folder, 'out');
  await build(baseConfig(folder, mergeConfig({ build: { outDir } }, options.vite ?? {})));
  return outDir;
}

/**
 * Builds one entry as a library, minified, and returns the chunks that vite makes, for tests that look into a bundle.
 * `external` stays out of it.
 */
export async function bundleEntry(
  source: string,
  external: readonly RegExp[] = [],
): Promise<readonly Rollup.OutputChunk[]> {
  const folder = consumerFolder();
  const entry = join(folder, 'entry.js');
  writeFileSync(entry, source);
  const result = await build(
    baseConfig(folder, {
      build: {
        write: false,
        rolldownOptions: { input: entry, preserveEntrySignatures: 'strict', external: [...external] },
      },
    }),
  );
  const outputs = (Array.isArray(result) ? result : [result]) as readonly Rollup.RollupOutput[];
  return outputs.flatMap(({ output }) => output.filter((part) => part.type === 'chunk'));
}

function baseConfig(folder: string, config: InlineConfig): InlineConfig {
  const base: InlineConfig = {
    root: folder,
    configFile: false,
    logLevel: 'error',
    build: { target: 'esnext', emptyOutDir: true, reportCompressedSize: false },
  };
  return mergeConfig(base, config);
}

export interface Site {
  /** With a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/**
 * Serves a folder, or several by URL prefix, on a free port of this machine. `isolated` (true where omitted) sends COOP and
 * COEP, which give the page shared memory, and so threads.
 */
export async function serve(
  mounts: string | Readonly<Record<string, string>>,
  { isolated = true }: { readonly isolated?: boolean } = {},
): Promise<Site> {
  const table = Object.entries(typeof mounts === 'string' ? { '/': mounts } : mounts).sort(
    ([a], [b]) => b.length - a.length,
  );
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    const mount = table.find(([prefix]) => path.startsWith(prefix));
    const inside = normalize('/' + path.slice(mount?.[0].length ?? 0));
    const file =
      mount === undefined ? undefined : join(mount[1], inside.endsWith('/') ? `${inside}index.html` : inside);
    if (file === undefined || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-length': statSync(file).size,
      'cross-origin-resource-policy': 'same-origin',
      ...(isolated && {
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
      }),
    });
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

export interface OpenPage extends AsyncDisposable {
  /** Calls a function that the page exposed. Throws what it throws, and where the console has shown an error. */
  call<Result = unknown>(name: string, ...given: readonly unknown[]): Promise<Result>;
  /** Everything that the page wrote to its console. */
  readonly console: readonly string[];
  readonly page: Page;
  /** Chromium's own debugging protocol. */
  cdp(): Promise<CDPSession>;
}

export interface Chromium {
  /** Opens a URL in a browsing context of its own. A page made by `bundlePage` is awaited until it is ready. */
  open(url: string, options?: { readonly awaitReady?: boolean }): Promise<OpenPage>;
  close(): Promise<void>;
}

/** What gives headless Chromium without a GPU a WebGPU adapter: SwiftShader, correct and slow. Keep models tiny. */
const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

/** Starts headless Chromium. `webgpu` gives its pages a software adapter; `flags` are passed on. */
export async function openChromium(
  options: { readonly webgpu?: boolean; readonly flags?: readonly string[] } = {},
): Promise<Chromium> {
  const browser = await playwright.launch({
    executablePath: executable,
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      ...(options.webgpu ? WEBGPU : ['--disable-gpu']),
      ...(options.flags ?? []),
    ],
  });
  return {
    async open(url, { awaitReady = true } = {}) {
      const context = await browser.newContext();
      const page = await context.newPage();
      const lines: string[] = [];
      const errors: string[] = [];
      page.on('console', (message) => {
        lines.push(`${message.type()}: ${message.text()}`);
        if (message.type() === 'error') errors.push(message.text());
      });
      page.on('pageerror', (error) => errors.push(error.message));
      await page.goto(url);
      const check = (): void => {
        if (errors.length > 0) throw new Error(`the page reports: ${errors.join('\n')}`);
      };
      if (awaitReady)
        await page
          .waitForFunction('globalThis.__ready === true', undefined, { timeout: 30_000 })
          .catch((cause: unknown) => {
            check();
            throw cause;
          });
      return {
        async call<Result>(name: string, ...given: readonly unknown[]): Promise<Result> {
          const result = await page.evaluate(
            async ([job, args]) => {
              const { __exposed } = globalThis as unknown as {
                readonly __exposed: Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;
              };
              return await __exposed[job]!(...args);
            },
            [name, given] as const,
          );
          check();
          return result as Result;
        },
        console: lines,
        page,
        cdp: () => context.newCDPSession(page),
        [Symbol.asyncDispose]: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}
