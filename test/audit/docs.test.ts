/** @file The pages on apps and on the store say what the code does: subjects, limits, tables. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { defaultArchiveLimits, subjects } from '../../src/audit/index.js';
import { storeTables } from '../../src/audit/store/schema.js';

const page = readFileSync(join(import.meta.dirname, '../../docs/audit-apps.md'), 'utf8');

test('subjects', () => {
  expect(Object.keys(subjects).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

test('prefixes of classes end where packages or names end', () => {
  const classes = Object.values(subjects).flatMap((subject) => subject.classes ?? []);
  expect(classes.filter((prefix) => !/^L[\w/$]+[/;]$/.test(prefix))).toEqual([]);
});

test('limits', () => {
  const { ratioFreeBytes, ...stated } = defaultArchiveLimits;
  for (const [name, value] of Object.entries(stated))
    expect(page, name).toContain(` ${value.toLocaleString('en-GB')} `);
  expect(page).toContain(`the first ${ratioFreeBytes / 2 ** 20} MiB`);
});

test('tables of the store (node scripts/docs-store.mjs)', async () => {
  const place = join(import.meta.dirname, '../../docs/audit-store.md');
  const { fillStorePage } = (await import(join(import.meta.dirname, '../../scripts/docs-store.mjs'))) as {
    fillStorePage: (text: string, tables: typeof storeTables) => string;
  };
  const text = readFileSync(place, 'utf8');
  expect(fillStorePage(text, storeTables)).toBe(text);
  expect(text).toContain('### `measurements`');
});

test('the figures of the proof are those of the bench', () => {
  const at = (path: string): string => readFileSync(join(import.meta.dirname, '../..', path), 'utf8');
  const text = at('docs/audit-proof.md');
  const result = JSON.parse(at('bench/results/audit-truth.json')) as {
    readonly models: Readonly<Record<'expected' | 'found' | 'falseFindings', number>>;
    readonly evidence: Readonly<Record<'expected' | 'said' | 'right', number>>;
    readonly modelFree: Readonly<Record<'apps' | 'filesInside' | 'appsWithModelsReported', number>>;
    readonly byDisguise: Readonly<Record<string, { readonly expected: number; readonly found: number }>>;
    readonly wrong: readonly unknown[];
    readonly oracles: {
      readonly rows: Readonly<Record<string, { readonly compared: number; readonly equal: number }>>;
    };
  };
  const shown = (value: number): string => value.toLocaleString('en-GB');
  const { models, evidence, modelFree, byDisguise, oracles } = result;
  for (const row of [
    `| models | ${shown(models.expected)} | ${shown(models.found)} | ${models.falseFindings} |`,
    `| ${shown(evidence.expected)} | ${shown(evidence.right)} | ${evidence.said - evidence.right} |`,
    `models in ${modelFree.apps} apps without any (${shown(modelFree.filesInside)} files) | 0 | – | ${modelFree.appsWithModelsReported} |`,
    ...['none', 'embedded', 'renamed', 'nested', 'xor', 'encrypted'].map(
      (name) => `| ${shown(byDisguise[name]!.expected)} | ${shown(byDisguise[name]!.found)} |`,
    ),
    ...['package (aapt)', 'certificates (apksigner)', 'certificates (androguard)', 'called methods (dexdump)'].map(
      (name) => ` | ${oracles.rows[name]!.compared} `,
    ),
  ])
    expect(text).toContain(row);
  expect(result.wrong).toEqual([]);
});
