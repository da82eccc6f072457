/** @file The bundles that vite makes of the built package: free of Node, small, and without what a program does not use. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bundleEntry, root } from '../browser/harness.js';
import { subpaths } from './entries.js';

const built = existsSync(join(root, 'dist/index.js'));
if (!built) console.warn('skipped: dist/ is not built (npm run build)');

const ort = [/^onnxruntime-/];
type Chunks = Awaited<ReturnType<typeof bundleEntry>>;

const gzipped = (chunks: Chunks): number =>
  chunks.reduce((sum, { code }) => sum + gzipSync(code, { level: 9 }).byteLength, 0);

/** Files of the package and names of other packages that left code in a bundle. */
function contents(chunks: Chunks): readonly string[] {
  const kept = chunks.flatMap(({ modules }) =>
    Object.entries(modules).flatMap(([id, { renderedLength }]) => (renderedLength > 0 ? [id] : [])),
  );
  const named = kept.map(
    (id) => /node_modules\/((?:@[^/]+\/)?[^/]+)(?!.*node_modules)/.exec(id)?.[1] ?? id.replace(/^.*\/dist\//, ''),
  );
  return [...new Set(named)].sort();
}

describe.skipIf(!built)('bundles for browsers', { timeout: 240_000 }, () => {
  test('hold nothing of Node, whatever is imported', async () => {
    const entries = subpaths.filter((path) => !path.endsWith('/node'));
    const source = entries.map((path, i) => `export * as part${i} from 'cuttle${path.slice(1)}';`).join('\n');
    const chunks = await bundleEntry(source, ort);
    expect(contents(chunks).filter((id) => id.includes('platform/node') || id.endsWith('/node.js'))).toEqual([]);
    const imported = chunks.flatMap((chunk) => [...chunk.imports, ...chunk.dynamicImports]);
    expect(imported.filter((id) => id.startsWith('node:') || id === 'onnxruntime-node')).toEqual([]);
    for (const { code } of chunks) expect(code).not.toMatch(/\b(?:from|import|require)\s*\(?\s*["'`]node:/);
    // Such a module stands for one that vite had to take out; the only ones are those that package.json takes out by name.
    const absent = chunks
      .flatMap(({ modules }) => Object.keys(modules))
      .filter((id) => id.includes('browser-external:'));
    expect(absent).toEqual([]);
  });

  test('keep a program that inspects, runs, profiles, evaluates and trains below its limit', async () => {
    const chunks = await bundleEntry(
      `export { Tensor, CuttleError } from 'cuttle/ir';
       export { decodeModel, encodeModel } from 'cuttle/onnx';
       export { inferShapes, costOf } from 'cuttle/passes';
       export { openSession, profileModel, measureLatency, configureOrt } from 'cuttle/runtime';
       export { trainModel, evaluate } from 'cuttle/train';
       export { openClassifier, openProgressive, readProgressive, evaluateClassifier } from 'cuttle/exits';`,
      ort,
    );
    console.log(`core in use: ${(gzipped(chunks) / 1024).toFixed(1)} KB gzip`);
    expect(gzipped(chunks)).toBeLessThan(150 * 1024);
    // Beside it, for the record: every name of every folder at once, which no program imports.
    const core = ['ir', 'onnx', 'ops', 'passes', 'train', 'exits', 'runtime'];
    const all = await bundleEntry(core.map((name) => `export * as ${name} from 'cuttle/${name}';`).join('\n'), ort);
    console.log(`core with every name: ${(gzipped(all) / 1024).toFixed(1)} KB gzip`);
  });

  test('hold only what is used', async () => {
    const pass = await bundleEntry(`export { removeDeadNodes } from 'cuttle/passes';`, ort);
    expect(contents(pass).filter((id) => !/^(ir|passes)\/|^\0|entry\.js$/.test(id))).toEqual([]);
    expect(gzipped(pass)).toBeLessThan(4 * 1024);
    const session = await bundleEntry(`export { openSession } from 'cuttle/runtime';`, ort);
    expect(contents(session).filter((id) => /^(exits|train|data|zoo|ops\/gradients|zod)/.test(id))).toEqual([]);
    // The proof's own proof: what is used does appear.
    const trainer = await bundleEntry(`export { createTrainer, buildStep } from 'cuttle/train';`, ort);
    expect(contents(trainer).join()).toMatch(/ops\/gradients\/convolution\.js/);
    expect(contents(trainer).filter((id) => id.startsWith('exits/'))).toEqual([]);
  });
});
