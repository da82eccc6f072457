/** @file How the page is served and built: cross-origin isolated, so that WebAssembly may use threads. The digits are those of the page beside it. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { embeddedDigits } from '../browser-train/embedded-digits.js';

/** Without these two a page gets no shared memory, and everything runs on one thread. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/**
 * ONNX Runtime's threads load its own chunk as their script. A helper of the bundler that this chunk shares with the page's
 * would make every thread run the page, which ends at the first `document`: so the
 * bundler's helpers get chunks of their own.
 */
const apart = { codeSplitting: { groups: [{ name: 'bundler', test: /preload-helper/ }] } };

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [embeddedDigits()],
  server: { headers: isolation },
  preview: { headers: isolation },
  worker: { format: 'es' },
  build: { target: 'esnext', reportCompressedSize: false, rolldownOptions: { output: apart } },
  // ONNX Runtime finds its .wasm files beside its own module: it must stay where it is.
  optimizeDeps: { exclude: ['onnxruntime-web', 'cuttle'] },
});
