/** @file Writes docs/coverage.md from the operator tables. Run after `npm run build`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { coverageMarkdown } from '../dist/ops/index.js';

const target = new URL('../docs/coverage.md', import.meta.url);
await mkdir(new URL('.', target), { recursive: true });
await writeFile(target, coverageMarkdown());
