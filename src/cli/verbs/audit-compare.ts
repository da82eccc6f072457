/** @file `cuttle audit compare`: what changed between two audits. */
import { z } from 'zod';
import { compareRuns, type RunComparison } from '../../audit/store/index.js';
import { count, textTable } from '../../report/index.js';
import { defineVerb, option } from '../verb.js';

export const auditCompare = defineVerb({
  name: 'compare',
  summary:
    'Compare two audits: models added, removed, updated and kept, by category, framework and task; growth of services.',
  args: [
    ['<before>', 'folder of the earlier audit'],
    ['<after>', 'folder of the later audit'],
  ],
  flags: [['--top <count>', 'rows of a table to print at most']],
  options: z.object({ top: option.count().default(20) }),
  examples: ['cuttle audit compare audit-2020 audit-2021', 'cuttle audit compare audit-2020 audit-2021 --json'],
  async run({ args, options, signal, console }) {
    const progress = console.progress('reading records', 1);
    const comparison = await compareRuns(args[0]!, args[1]!, {
      signal,
      onProgress: (done, total) => progress.update(done / total),
    });
    if (comparison.rejected > 0) console.warn(`${count(comparison.rejected)} files are no records of apps`);
    return { json: comparison, text: comparisonText(comparison, options.top) };
  },
});

function comparisonText(comparison: RunComparison, top: number): string {
  const { apps, appsWithModels, appsWithCloud, models, uniqueModels, subjects } = comparison;
  const pair = (what: string, { before, after }: { readonly before: number; readonly after: number }) => ({
    what,
    before,
    after,
  });
  const totals = [
    pair('apps', apps),
    pair('apps with models', appsWithModels),
    pair('apps that use cloud services', appsWithCloud),
    pair('models', models),
    pair('different models', uniqueModels),
  ];
  const groups = [
    ['category', comparison.byCategory],
    ['framework', comparison.byFramework],
    ['task', comparison.byTask],
  ] as const;
  const grown = [...subjects].sort(
    (a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || (a.subject < b.subject ? -1 : 1),
  );
  return [
    changesTable('', totals),
    `apps: ${count(apps.added.length)} added, ${count(apps.removed.length)} removed, ${count(apps.updated.length)} updated, ${count(apps.same.length)} the same`,
    `models: ${count(models.added)} added, ${count(models.removed)} removed, ${count(models.updated)} updated, ${count(models.same)} the same`,
    ...groups.map(([by, rows]) =>
      textTable(
        [
          { name: by, value: ([name]: readonly [string, RunComparison['models']]) => name },
          ...(['before', 'after', 'added', 'removed', 'updated', 'same'] as const).map((key) => ({
            name: key,
            align: 'right' as const,
            value: ([, counts]: readonly [string, RunComparison['models']]) => count(counts[key]),
          })),
        ],
        Object.entries(rows)
          .sort(([, a], [, b]) => b.after - a.after || b.before - a.before)
          .slice(0, top),
      ),
    ),
    changesTable(
      'frameworks, services, accelerators',
      grown.slice(0, top).map((growth) => pair(growth.subject, growth)),
    ),
  ].join('\n\n');
}

const changesTable = (
  name: string,
  rows: readonly { readonly what: string; readonly before: number; readonly after: number }[],
): string =>
  textTable(
    [
      { name, value: ({ what }) => what },
      { name: 'before', align: 'right', value: ({ before }) => count(before) },
      { name: 'after', align: 'right', value: ({ after }) => count(after) },
      {
        name: 'factor',
        align: 'right',
        value: ({ before, after }) => (before === 0 ? '–' : `${(after / before).toFixed(2)}×`),
      },
    ],
    rows,
  );
