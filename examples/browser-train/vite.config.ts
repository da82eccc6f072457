/** @file How the page is served and built: cross-origin isolated, so that WebAssembly may use threads. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { embeddedDigits } from './embedded-digits.js';

/** Without these two a page gets no shared memory, and training runs on one thread. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [embeddedDigits()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  server: { headers: isolation },
  preview: { headers: isolation },
  worker: { format: 'es' },
  build: { target: 'esnext', reportCompressedSize: false },
  // ONNX Runtime finds its .wasm files beside its own module: it must stay where it is.
  optimizeDeps: { exclude: ['onnxruntime-web', 'cuttle'] },
});
