/** @file The entry files that package.json names, as sources. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '../..');

type Target = string | { readonly [condition: string]: Target };
export const manifest = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, Target>>;
  readonly browser: Readonly<Record<string, false | string>>;
};

/** Subpaths that are code: `.`, `./ir`, `./onnx` … */
export const subpaths = Object.keys(manifest.exports).filter((path) => !path.endsWith('.json'));

/** The file that a host with these conditions gets, relative to the package; `undefined` where there is none. */
export function resolveTarget(subpath: string, conditions: readonly string[]): string | undefined {
  const walk = (target: Target): string | undefined => {
    if (typeof target === 'string') return target;
    for (const [condition, inner] of Object.entries(target))
      if (condition === 'default' || conditions.includes(condition)) {
        const found = walk(inner);
        if (found !== undefined) return found;
      }
    return undefined;
  };
  return walk(manifest.exports[subpath]!);
}

/** `./dist/ir/index.js` → `src/ir/index.ts`. */
export function sourceOf(target: string): string {
  return target.replace(/^\.\/dist\//, 'src/').replace(/\.d\.ts$|\.js$/, '.ts');
}
