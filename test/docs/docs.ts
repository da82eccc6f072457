/** @file The pages that people read, and what is written in them as code. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export const root = resolve(import.meta.dirname, '../..');

export interface Page {
  /** Relative to the root, with `/`. */
  readonly path: string;
  readonly text: string;
}

const page = (path: string): Page => ({ path, text: readFileSync(join(root, path), 'utf8') });

/** README, CONTRIBUTING, CHANGELOG and every page of docs/. */
export const pages: readonly Page[] = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].map(page),
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => page(`docs/${name}`)),
];

/** The page with this path. Throws where there is none. */
export function pageNamed(path: string): Page {
  const found = pages.find((candidate) => candidate.path === path);
  if (found === undefined) throw new Error(`there is no page ${path}`);
  return found;
}

/** Fenced code blocks of one language. */
export function codeBlocks({ text }: Page, language: string): readonly string[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter(([, tag]) => tag === language)
    .map(([, , body]) => body!);
}

/** Inline code that begins with `cuttle `; code blocks are left out. */
export function inlineCommands({ text }: Page): readonly string[] {
  return [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/`(?:npx )?(cuttle [^`]+)`/g)].map(([, line]) => line!);
}

/** Command lines of the shell blocks that call the program, as words, without redirections and comments. */
export function shellCommands(source: Page): readonly (readonly string[])[] {
  return codeBlocks(source, 'sh')
    .flatMap((block) => block.split('\n'))
    .map((line) => line.replace(/\s+#.*$/, '').replace(/\s+>\s+\S+$/, ''))
    .filter((line) => /^(npx )?cuttle /.test(line))
    .map((line) => words(line.replace(/^(npx )?cuttle /, '').replace(' [flags]', '')));
}

/** Words as a shell parts them, double quotes alone. */
const words = (line: string): readonly string[] =>
  [...line.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);

/** A script of scripts/ as a module. */
export async function script(name: string): Promise<unknown> {
  return (await import(pathToFileURL(join(root, 'scripts', name)).href)) as unknown;
}

/** The anchors that headings of a page get on GitHub. */
export function anchors({ text }: Page): ReadonlySet<string> {
  const plain = text.replace(/^```[\s\S]*?^```$/gm, '');
  return new Set(
    [...plain.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );
}
