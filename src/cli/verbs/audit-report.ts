/** @file `cuttle audit report`: what an audit found, as one page. */
import { z } from 'zod';
import { compareRuns, defaultStudyLimits, studyOf } from '../../audit/store/index.js';
import { joinPath, writeFileAtomic } from '../../platform/node/files.js';
import { count, renderAuditReport } from '../../report/index.js';
import { defineVerb, option } from '../verb.js';

export const auditReport = defineVerb({
  name: 'report',
  summary: 'Write what an audit found as one HTML file: figures of the whole, every app, every model.',
  args: [['<folder>', 'folder of an audit, or a store (audit.duckdb)']],
  flags: [
    ['--out <file>', 'the page (default report.html in the folder)'],
    ['--before <folder>', 'an earlier audit of the same collection: what changed since'],
    ['--title <text>', 'heading of the page'],
    ['--apps <count>', 'apps with a section of their own, at most'],
    ['--models <count>', 'models with a section of their own, at most'],
    ['--force', 'replace a file that is there'],
  ],
  options: z.object({
    out: option.text().optional(),
    before: option.text().optional(),
    title: option.text().default('Neural networks in apps'),
    apps: option.count().default(defaultStudyLimits.apps),
    models: option.count().default(defaultStudyLimits.models),
    force: option.flag(),
  }),
  examples: [
    'cuttle audit report audit',
    'cuttle audit report audit-2021 --before audit-2020 --out market.html --apps 2000',
  ],
  async run({ args, options, signal, console }) {
    const { before, title, apps, models, force } = options;
    const folder = args[0]!;
    const out = options.out ?? joinPath(folder.endsWith('.duckdb') ? `${folder}/..` : folder, 'report.html');
    const progress = console.progress('taking in records', 1);
    const onProgress = (done: number, total: number): void => progress.update(done / total);
    const limits = { ...defaultStudyLimits, apps, models };
    const { study, update } = await studyOf(folder, limits, { signal, onProgress });
    const change = before === undefined ? undefined : await compareRuns(before, folder, { signal });
    const { totals } = study;
    for (const { file, reason } of update.rejected) console.warn(`${file} is not in the report: ${reason}`);
    const page = renderAuditReport({
      ...{ title, study, date: new Date().toISOString().slice(0, 10) },
      ...(change && { change }),
    });
    await writeFileAtomic(out, page, { force });
    return {
      json: { file: out, bytes: new TextEncoder().encode(page).length, totals },
      text: `wrote ${out}: ${count(totals.apps)} apps, ${count(totals.models)} models, ${count(totals.uniqueModels)} different`,
    };
  },
});
