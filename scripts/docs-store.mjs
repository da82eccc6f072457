/**
 * @file Fills the tables of docs/audit-store.md from the store's own schema. Run after `npm run build`.
 *
 * node scripts/docs-store.mjs
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const types = {
  'text[]': 'list of text',
  'count[]': 'list of whole numbers',
  count: 'whole number',
  flag: 'true or false',
};

/** Markdown: one section per table, one row per column. */
export const storeReference = (tables) =>
  tables
    .map(({ name, what, columns }) =>
      [
        `### \`${name}\``,
        '',
        `${what[0].toUpperCase()}${what.slice(1)}.`,
        '',
        '| column | type | meaning |',
        '| --- | --- | --- |',
        ...columns.map((column) => `| \`${column.name}\` | ${types[column.type] ?? column.type} | ${column.what} |`),
      ].join('\n'),
    )
    .join('\n\n');

/** The page with its tables filled in. */
export const fillStorePage = (text, tables) =>
  text.replace(
    /<!-- tables -->[\s\S]*?<!-- \/tables -->/,
    () => `<!-- tables -->\n\n${storeReference(tables)}\n\n<!-- /tables -->`,
  );

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { storeTables } = await import('../dist/audit/store/schema.js');
  const page = new URL('../docs/audit-store.md', import.meta.url);
  writeFileSync(page, fillStorePage(readFileSync(page, 'utf8'), storeTables));
}
