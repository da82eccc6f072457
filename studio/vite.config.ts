/** @file How the studio's page is built: into dist/studio/app, from where its server takes it. Nothing is fetched from elsewhere. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: { format: 'es' },
  build: {
    outDir: fileURLToPath(new URL('../dist/studio/app', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    reportCompressedSize: false,
    // Data addresses would be refused by the page's own policy for scripts and workers.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
