/** @file Writes docs/coverage.md from the operator tables, or compares (`--check`). Run after `npm run build`. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { coverageMarkdown } from '../dist/ops/index.js';

const target = new URL('../docs/coverage.md', import.meta.url);
if (!process.argv.includes('--check')) {
  await mkdir(new URL('.', target), { recursive: true });
  await writeFile(target, coverageMarkdown());
} else if ((await readFile(target, 'utf8')) !== coverageMarkdown()) {
  console.error('docs/coverage.md is out of date: run npm run coverage');
  process.exitCode = 1;
}
