/** @file How the studio's page is built: into dist/studio/app, from where its server takes it. Nothing is fetched from elsewhere. */
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

/** Leaves out files that no code of the page names: the runtime's WebAssembly, whose own code was shaken off. */
const withoutUnused: Plugin = {
  name: 'cuttle-without-unused',
  generateBundle(_, bundle) {
    const code = Object.values(bundle).map((part) => (part.type === 'chunk' ? part.code : ''));
    for (const [file, part] of Object.entries(bundle))
      if (
        part.type === 'asset' &&
        file.endsWith('.wasm') &&
        !code.some((text) => text.includes(file.split('/').at(-1)!))
      )
        delete bundle[file];
  },
};

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [withoutUnused],
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
