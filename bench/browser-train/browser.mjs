/** @file What both benches in Chromium share: build a page with vite, serve it cross-origin isolated, open it. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build, preview } from 'vite';

export const here = dirname(fileURLToPath(import.meta.url));
export const peers = join(here, '../peers/node_modules');

const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** Builds the page in `root` into `outDir` and serves it on a free port. Peers come from bench/peers. */
export async function servePage(root, outDir) {
  const config = { root, configFile: false, logLevel: 'error' };
  await build({
    ...config,
    base: './',
    resolve: { alias: [{ find: /^(@tensorflow\/.*|@jax-js\/jax)$/, replacement: join(peers, '$1') }] },
    worker: { format: 'es' },
    // A minifier breaks the threads of TensorFlow.js, whose worker is the text of a function.
    build: { outDir, emptyOutDir: true, target: 'esnext', minify: false, chunkSizeWarningLimit: 1e5 },
  });
  const server = await preview({
    ...config,
    build: { outDir },
    preview: { port: 0, host: '127.0.0.1', headers: isolation },
  });
  return { url: server.resolvedUrls.local[0], close: () => server.close() };
}

/** Chromium with software WebGL and WebGPU where there is no GPU. */
export function openChromium(flags = []) {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) throw new Error(`${executablePath} is not installed; name Chromium by CHROMIUM`);
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
      '--enable-features=Vulkan',
      '--use-gl=angle',
      '--use-angle=swiftshader',
      '--enable-unsafe-swiftshader',
      ...flags,
    ],
  });
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : sorted[sorted.length >> 1];
}
