/** @file Links between pages lead somewhere, and every page can be reached. */
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { anchors, pages, root } from './docs.js';

interface Link {
  readonly from: string;
  readonly target: string;
}

const links: readonly Link[] = pages.flatMap(({ path, text }) =>
  [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => ({ from: path, target: target! }))
    .filter(({ target }) => !/^[a-z]+:/.test(target)),
);
const fileOf = ({ from, target }: Link): string => {
  const file = target.split('#')[0]!;
  return file === '' ? from : normalize(join(dirname(from), file)).replaceAll('\\', '/');
};

test('every link leads to a file, and its anchor to a heading', () => {
  expect(links.length).toBeGreaterThan(30);
  const broken = links.filter((link) => {
    const anchor = link.target.split('#')[1];
    const page = pages.find(({ path }) => path === fileOf(link));
    return !existsSync(join(root, fileOf(link))) || (anchor !== undefined && !(page && anchors(page).has(anchor)));
  });
  expect(broken).toEqual([]);
});

test('every page of docs/ is in the index', () => {
  const indexed = new Set(links.filter(({ from }) => from === 'docs/README.md').map(fileOf));
  const missing = pages.filter(
    ({ path }) => path.startsWith('docs/') && path !== 'docs/README.md' && !indexed.has(path),
  );
  expect(missing.map(({ path }) => path)).toEqual([]);
});

test('files and folders that pages name exist', () => {
  const built = /^(dist|bench\/results|bench\/\.work|src\/onnx\/gen)\b/;
  const missing = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/`((?:src|test|bench|scripts|docs)\/[\w./-]*\w)(?:`|\/`)/g)]
      .map(([, named]) => named!)
      .filter((named) => !/NAME/.test(named) && !built.test(named) && !existsSync(join(root, named)))
      .map((named) => `${path}: ${named}`),
  );
  expect(missing).toEqual([]);
});

test('package scripts that pages name exist', async () => {
  const { default: manifest } = (await import('../../package.json', { with: { type: 'json' } })) as {
    default: { scripts: Readonly<Record<string, string>> };
  };
  const named = pages.flatMap(({ text }) => [...text.matchAll(/`npm run ([\w-]+)/g)].map(([, name]) => name!));
  expect(named.filter((name) => !(name in manifest.scripts))).toEqual([]);
});
