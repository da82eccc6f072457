/** @file `cuttle audit export`: what an audit found, as files that other tools read. */
import { z } from 'zod';
import { exportFormats, exportStore } from '../../audit/store/index.js';
import { defineVerb, option, UsageError } from '../verb.js';

export const auditExport = defineVerb({
  name: 'export',
  summary: 'Write what an audit found as Parquet or CSV tables, JSON records, or a CycloneDX 1.6 bill of materials.',
  args: [['<folder>', 'folder of an audit, or a store (audit.duckdb)']],
  flags: [
    ['--format <name>', `${exportFormats.join(', ')}`],
    ['--out <path>', 'a folder for the tables (parquet, csv), else a file'],
    ['--app <name>', 'cyclonedx: only this app, by identifier or SHA-256'],
    ['--force', 'replace files that are there'],
  ],
  options: z.object({
    format: z.enum(exportFormats, { error: `is required: one of ${exportFormats.join(', ')}` }),
    out: z.string({ error: 'is required: where the export goes' }),
    app: option.text().optional(),
    force: option.flag(),
  }),
  examples: [
    'cuttle audit export audit --format parquet --out tables',
    'cuttle audit export audit --format cyclonedx --app org.example.app --out bom.json',
  ],
  async run({ args, options, signal, console }) {
    const { format, out, app, force } = options;
    if (app !== undefined && format !== 'cyclonedx')
      throw new UsageError(`--app goes with --format cyclonedx, not ${format}`);
    const progress = console.progress('taking in records', 1);
    const files = await exportStore(args[0]!, format, out, {
      ...{ force, signal },
      ...(app !== undefined && { app }),
      onProgress: (done, total) => progress.update(done / total),
    });
    return { json: { format, files }, text: files.map((file) => `wrote ${file}`).join('\n') };
  },
});
