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
