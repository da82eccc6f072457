/** @file What a browser loads never reaches Node: neither its modules nor packages that stand on them. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { manifest, resolveTarget, root, sourceOf, subpaths } from './entries.js';

interface Reached {
  /** Files, each with the chain of imports that leads to it. */
  readonly files: ReadonlyMap<string, readonly string[]>;
  readonly packages: ReadonlyMap<string, string>;
  readonly dynamic: readonly { readonly file: string; readonly target: string }[];
}

const staticImport = /(?:^|\n)\s*(?:import|export)(\s+type)?\b[^;'"]*?from\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'/g;
const dynamicImport = /\bimport\(\s*'([^']+)'\s*\)/g;

/** Follows static imports of values from a source file; type-only imports vanish when compiled. */
function reach(entry: string): Reached {
  const files = new Map<string, readonly string[]>();
  const packages = new Map<string, string>();
  const dynamic: { file: string; target: string }[] = [];
  const locate = (file: string, target: string): string =>
    relative(root, resolve(root, dirname(file), target))
      .replaceAll('\\', '/')
      .replace(/\.js$/, '.ts');
  const visit = (file: string, chain: readonly string[]): void => {
    if (files.has(file)) return;
    files.set(file, chain);
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, typeOnly, from, bare] of text.matchAll(staticImport)) {
      const target = from ?? bare!;
      if (typeOnly !== undefined) continue;
      if (target.startsWith('.')) visit(locate(file, target), [...chain, file]);
      else packages.set(target, file);
    }
    for (const [, target] of text.matchAll(dynamicImport))
      dynamic.push({ file, target: target!.startsWith('.') ? locate(file, target!) : target! });
  };
  visit(entry, []);
  return { files, packages, dynamic };
}

const browserEntries = subpaths
  .filter((path) => !path.endsWith('/node'))
  .map((path) => [path, sourceOf(resolveTarget(path, ['browser', 'import'])!)] as const);

describe.each(browserEntries)('%s in a browser', (_, entry) => {
  const { files, packages, dynamic } = reach(entry);

  test('reaches no Node module statically', () => {
    expect(
      [...packages.keys()].filter((name) => !/^(zod|fflate|@noble\/hashes|@bufbuild\/protobuf)(\/|$)/.test(name)),
    ).toEqual([]);
    const node = [...files].filter(([file]) => file.startsWith('src/platform/node/') || file.endsWith('/node.ts'));
    expect(node.map(([file, chain]) => [...chain, file].join(' → '))).toEqual([]);
  });

  test('replaces what it would load of Node dynamically', () => {
    const replaced = Object.keys(manifest.browser).map(sourceOf);
    const allowed =
      /^(onnxruntime-web\/(wasm|webgpu|jspi)|@litertjs\/core|@hpcc-js\/wasm-zstd|src\/platform\/web\/[\w-]+\.ts|src\/runtime\/ort-web\.ts)$/;
    const offences = dynamic.filter(({ target }) => !replaced.includes(target) && !allowed.test(target));
    expect(offences).toEqual([]);
  });
});

test('the walk finds Node where it is', () => {
  const { files, packages } = reach('src/data/node.ts');
  expect([...files.keys()]).toContain('src/platform/node/files.ts');
  expect([...packages.keys()].some((name) => name.startsWith('node:'))).toBe(true);
});

test('everything that the browser field replaces exists', () => {
  const own = Object.keys(manifest.browser).filter((name) => name.startsWith('.'));
  expect(own.map(sourceOf).filter((file) => !existsSync(join(root, file)))).toEqual([]);
});
