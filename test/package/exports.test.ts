/** @file The public names of every subpath, pinned: a name that goes is a break for users, one that comes is a promise. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { resolveTarget, root, sourceOf, subpaths } from './entries.js';

const variants = subpaths.flatMap((path) => {
  const [node, browser] = [['node'], ['browser']].map((conditions) => resolveTarget(path, [...conditions, 'import'])!);
  return node === browser
    ? [{ name: path, target: node! }]
    : [
        { name: `${path} (node)`, target: node! },
        { name: `${path} (browser)`, target: browser! },
      ];
});

test('every target has a source, and types beside it', () => {
  for (const { name, target } of variants) expect(existsSync(join(root, sourceOf(target))), name).toBe(true);
  for (const path of subpaths)
    for (const host of ['node', 'browser'])
      expect(resolveTarget(path, ['types', host])?.replace(/\.d\.ts$/, '.js'), `types of ${path}`).toBe(
        resolveTarget(path, [host]),
      );
});

test('public names (run with -u after a wanted change)', async () => {
  const entries = variants.map(({ target }) => join(root, sourceOf(target)));
  const program = ts.createProgram(entries, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    skipLibCheck: true,
    noLib: true,
    types: [],
  });
  const checker = program.getTypeChecker();
  const listed = new Map<string, readonly string[]>();
  variants.forEach(({ name }, index) => {
    const symbol = checker.getSymbolAtLocation(program.getSourceFile(entries[index]!)!)!;
    const names = checker.getExportsOfModule(symbol).map((exported) => {
      const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0;
      const { flags } = isAlias ? checker.getAliasedSymbol(exported) : exported;
      return (flags & ts.SymbolFlags.Value) === 0 ? `type ${exported.name}` : exported.name;
    });
    listed.set(name, names.sort());
  });
  // A Node variant holds everything of the browser's: only what it adds is listed.
  const lines = [...listed].flatMap(([name, names]) => {
    const less = listed.get(name.replace('(node)', '(browser)').replace(/\/node$/, ' (browser)'));
    if (less !== names) expect(names, name).toEqual(expect.arrayContaining([...(less ?? [])]));
    const shown = less === names ? names : names.filter((entry) => !less?.includes(entry));
    return [name, ...shown.map((entry) => `  ${entry}`), ''];
  });
  await expect(lines.join('\n')).toMatchFileSnapshot('exports.snapshot.txt');
});
