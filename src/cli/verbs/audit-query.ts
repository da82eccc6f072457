/** @file `cuttle audit query`: SQL on what an audit found, read-only. */
import { z } from 'zod';
import { count, textTable } from '../../report/index.js';
import { queryStore } from '../../audit/store/index.js';
import { defineVerb, option } from '../verb.js';

export const auditQuery = defineVerb({
  name: 'query',
  summary: 'Ask the store of an audit in SQL. It only reads: no other files, no network, no extensions.',
  args: [
    ['<folder>', 'folder of an audit, or a store (audit.duckdb)'],
    ['<sql>', 'one statement of DuckDB'],
  ],
  flags: [['--limit <rows>', 'rows to print at most']],
  options: z.object({ limit: option.count().default(1000) }),
  examples: [
    'cuttle audit query audit "SELECT framework, count(*) FROM found GROUP BY ALL"',
    'cuttle audit query audit "DESCRIBE" --json',
  ],
  async run({ args, options, signal, console }) {
    const { columns, rows, isCut } = await queryStore(args[0]!, args[1]!, { limit: options.limit, signal });
    if (isCut) console.warn(`only the first ${count(options.limit)} rows are shown; --limit gives more`);
    const text = textTable(
      columns.map((name, i) => ({
        name,
        align: rows.every((row) => row[i] === null || typeof row[i] === 'number') ? 'right' : 'left',
        value: (row: (typeof rows)[number]) => cellText(row[i]),
      })),
      rows,
    );
    return { json: { columns, rows, isCut }, text };
  },
});

function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
