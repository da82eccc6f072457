/** @file How the page is served and built. The digits are those of the page beside it. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { embeddedDigits } from '../browser-train/embedded-digits.js';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [embeddedDigits()],
  worker: { format: 'es' },
  build: { target: 'esnext', reportCompressedSize: false },
  // ONNX Runtime finds its .wasm files beside its own module: it must stay where it is.
  optimizeDeps: { exclude: ['onnxruntime-web', 'cuttle'] },
});
