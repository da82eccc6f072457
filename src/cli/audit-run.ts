/** @file Runs an audit for the command: sources → plan → workers → summary. */
import {
  DEFAULT_WORKER_BYTES,
  localExecutor,
  modelBytesWithin,
  queueExecutor,
  runAudit,
  RunFolder,
  type RunProgress,
  type RunSummary,
} from '../audit/node.js';
import { modelFormats, type ModelFormat } from '../audit/index.js';
import { describeNodeHost } from '../platform/node/cpu.js';
import { removeFolder } from '../platform/node/files.js';
import type { AuditOptions } from './audit-options.js';
import { openSources } from './audit-plan.js';
import { formatDuration } from './console.js';
import type { VerbContext, VerbResult } from './verb.js';

/** What `cuttle audit` does. */
export async function auditApps({ args, options, console, signal }: VerbContext<AuditOptions>): Promise<VerbResult> {
  const { out, memory = DEFAULT_WORKER_BYTES, timeLimit } = options;
  const sources = await openSources(args, options, signal);
  await using folder = await RunFolder.open(out, sources.asked, () => sources.plan());
  for (const { locator, reason } of folder.run.unreadable) console.warn(`'${locator}' is left out: it ${reason}`);
  await using executor =
    options.queue === undefined
      ? localExecutor({
          workers: options.workers ?? describeNodeHost().logicalCores,
          memoryBytes: memory,
          workFolder: folder.work,
          ...(timeLimit !== undefined && { timeMs: timeLimit * 1000 }),
        })
      : await queueExecutor({ url: options.queue, runId: folder.run.id });
  const { items, bytes } = folder.run;
  // Bytes tell better than items how long the rest takes; not every source says how many there are.
  const progress = console.progress('audit', bytes > 0 ? bytes : items);
  const summary = await runAudit(folder, {
    executor,
    maxModelBytes: modelBytesWithin(memory),
    ...(sources.fetch && { fetch: sources.fetch }),
    signal,
    onProgress: (now) => progress.update(bytes > 0 ? Math.min(now.bytes, bytes) : now.done, noteOf(now)),
  });
  progress.end(noteOf({ ...summary, done: summary.items, failed: summary.failed.length }));
  for (const { locator, reason } of summary.unavailable) console.warn(`'${locator}' was not audited: ${reason}`);
  // Parts of files that broke off stay for the next run.
  if (sources.passing !== undefined && summary.unavailable.length === 0) await removeFolder(sources.passing);
  return { json: { out, ...summary }, text: textOf(out, summary) };
}

const noteOf = ({ done, items, models, failed }: Pick<RunProgress, 'done' | 'items' | 'models' | 'failed'>): string =>
  `${done} of ${items} files, ${models} models${failed > 0 ? `, ${failed} failed` : ''}`;

function textOf(out: string, summary: RunSummary): string {
  const { apps, appsWithModels, models, formats, duplicates, nothing, failed, unavailable, doneNow, seconds } = summary;
  const lines = [
    `${apps} apps and models, ${appsWithModels} with ${models} models`,
    ...Object.entries(formats).map(([format, count]) => `  ${modelFormats[format as ModelFormat].title}: ${count}`),
  ];
  if (duplicates > 0) lines.push(`copies of other files: ${duplicates}`);
  if (nothing > 0) lines.push(`neither apps nor models: ${nothing}`);
  for (const { locator, reason } of failed) lines.push(`failed: ${locator}: ${reason}`);
  if (unavailable.length > 0) lines.push(`not there: ${unavailable.length}; the same command tries them again`);
  lines.push(`${doneNow} files in ${formatDuration(seconds * 1000)}; records in ${out}/records`);
  return lines.join('\n');
}
