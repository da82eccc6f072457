/** @file The report of `cuttle audit` as one HTML file: figures of the whole, what changed, every app, every model. */
import type { ModelStep, SnapshotComparison } from '../audit/analyse/compare-snapshots.js';
import type { AuditStudy } from '../audit/store/study.js';
import { entrySections } from './audit-entries.js';
import { figureSections } from './audit-figures.js';
import { binaryBytes, count, percent } from './format.js';
import { Html, html, scriptedPage, section, table, type Column } from './html.js';

export interface AuditReportData {
  readonly title: string;
  /** When, as text; left out for reproducible files. */
  readonly date?: string;
  readonly study: AuditStudy;
  /** The same collection earlier, compared with this one. */
  readonly change?: SnapshotComparison;
}

/** The whole page. It asks nothing of any host; its one script filters the lists and opens what an address names. */
export function renderAuditReport({ title, date, study, change }: AuditReportData): string {
  return scriptedPage(
    title,
    SCRIPT,
    Html.raw(`<style>${STYLE}</style>`),
    html`<header>
      <h1>${title}</h1>
      <p class="lead">
        ${count(study.totals.apps)} apps, ${binaryBytes(study.totals.bytes)}.
        <a href="#apps">Apps</a> and <a href="#models">models</a> one by one stand at the end.
      </p>
    </header>`,
    tiles(study),
    ...(change === undefined ? [] : changeSections(change)),
    ...figureSections(study),
    ...entrySections(study),
    html`<footer>Made by Cuttle.${date === undefined ? '' : ` ${date}.`}</footer>`,
  );
}

function tiles({ totals }: AuditStudy): Html {
  const of = (part: number, whole: number, what: string): string =>
    whole === 0 ? '' : `${percent(part / whole)} of ${what}`;
  const entries = [
    ['Apps with models', totals.appsWithModels, of(totals.appsWithModels, totals.apps, 'all apps')],
    ['Models', totals.models, totals.suspects === 0 ? '' : `and ${count(totals.suspects)} suspected`],
    ['Different models', totals.uniqueModels, of(totals.uniqueModels, totals.models, 'models')],
    ['Apps that ask the cloud', totals.cloudApps, of(totals.cloudApps, totals.apps, 'all apps')],
    ...(totals.damaged + totals.failed === 0
      ? []
      : [
          [
            'Damaged or not opened',
            totals.damaged + totals.failed,
            of(totals.damaged + totals.failed, totals.apps, 'all apps'),
          ] as const,
        ]),
  ] as const;
  return html`<div class="tiles">
    ${entries.map(
      ([what, value, more]) =>
        html`<div class="tile">
          <span class="what">${what}</span><b>${count(value)}</b><span class="more">${more}</span>
        </div>`,
    )}
  </div>`;
}

interface ChangeRow {
  readonly name: string;
  readonly counts: SnapshotComparison['models'];
}

function changeSections({
  apps,
  models,
  byFramework,
  byCategory,
  byTask,
  subjects,
  steps,
}: SnapshotComparison): readonly Html[] {
  const columns: readonly Column<ChangeRow>[] = [
    { name: '', value: ({ name }) => name },
    ...(['before', 'after', 'added', 'removed', 'updated', 'same'] as const).map((key): Column<ChangeRow> => ({
      name: key,
      numeric: true,
      value: ({ counts }) => count(counts[key]),
    })),
  ];
  const rowsOf = (groups: Readonly<Record<string, ChangeRow['counts']>>): readonly ChangeRow[] =>
    Object.entries(groups)
      .map(([name, counts]) => ({ name, counts }))
      .sort((a, b) => b.counts.after - a.counts.after || b.counts.before - a.counts.before)
      .slice(0, 16);
  const totals: readonly ChangeRow[] = [
    {
      name: 'apps',
      counts: {
        ...{ before: apps.before, after: apps.after, added: apps.added.length, removed: apps.removed.length },
        ...{ updated: apps.updated.length, same: apps.same.length },
      },
    },
    { name: 'models', counts: models },
  ];
  const groups = [
    ['By framework', byFramework],
    ['By category', byCategory],
    ['By task', byTask],
  ] as const;
  const moved = steps.filter(({ change }) => change !== 'same');
  const grown = subjects.filter(({ before, after }) => before !== after);
  return [
    section(
      'Since the earlier audit',
      'An updated model took the place of another in the same app: the same path, or weights in common.',
      table('Since the earlier audit', columns, totals),
      ...groups.flatMap(([title, counts]) => [html`<h3>${title}</h3>`, table(title, columns, rowsOf(counts))]),
      ...(grown.length === 0
        ? []
        : [
            html`<h3>Frameworks, services, accelerators</h3>`,
            table(
              'Frameworks, services, accelerators',
              [
                { name: '', value: ({ subject }) => subject },
                { name: 'before', numeric: true, value: ({ before }) => count(before) },
                { name: 'after', numeric: true, value: ({ after }) => count(after) },
              ],
              [...grown].sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before)).slice(0, 24),
            ),
          ]),
      ...(moved.length === 0 ? [] : [stepsList(moved)]),
    ),
  ];
}

/** Models that came, went or changed, at most. */
const MAX_STEPS = 500;

function stepsList(steps: SnapshotComparison['steps']): Html {
  const place = (at: ModelStep['before']): Html | string =>
    at === undefined ? '–' : html`${at.path} <span class="quiet">${at.sha256.slice(0, 12)}</span>`;
  return html`<details>
    <summary>
      ${steps.length > MAX_STEPS ? `The first ${count(MAX_STEPS)} of ` : ''}${count(steps.length)} models that were
      added, removed or updated
    </summary>
    ${table(
      'Models added, removed or updated',
      [
        { name: 'App', value: ({ app }) => app },
        { name: 'Change', value: ({ change, because }) => (because === undefined ? change : `${change} (${because})`) },
        { name: 'Before', value: ({ before }) => place(before) },
        { name: 'After', value: ({ after }) => place(after) },
      ],
      steps.slice(0, MAX_STEPS),
    )}
  </details>`;
}

const STYLE = `.entry{border-top:1px solid var(--rule);padding:2px 0}.entry>summary{color:var(--text);padding:8px 0;margin:0;overflow-wrap:anywhere}.entry[open]{padding-bottom:14px}
.entry td:first-child{white-space:normal;overflow-wrap:anywhere}.entry code{overflow-wrap:anywhere}.entry .scroll{margin-top:10px}
.entry:target>summary{color:var(--accent);font-weight:600}
.filter{display:block;font-size:14px;color:var(--quiet);margin:0 0 10px}.filter[hidden]{display:none}
.filter input{display:block;width:100%;font:inherit;color:var(--text);background:var(--page);border:1px solid var(--quiet);border-radius:6px;padding:8px 10px;margin:4px 0}
.filter input:focus-visible{outline:2px solid var(--accent);outline-offset:1px}`;

/** Filters lists by their text; opens the section that the address names, also when a link is followed. */
const SCRIPT = `
for (const list of document.querySelectorAll('.entries')) {
  const filter = list.querySelector('.filter');
  const entries = [...list.querySelectorAll('.entry')].map((entry) => ({ entry, text: entry.textContent.toLowerCase() }));
  if (entries.length < 8) continue;
  filter.hidden = false;
  const input = filter.querySelector('input');
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    for (const { entry, text } of entries) {
      entry.hidden = !words.every((word) => text.includes(word));
      if (!entry.hidden) shown++;
    }
    filter.querySelector('[role=status]').textContent = words.length === 0 ? '' : shown + ' of ' + entries.length;
  });
}
const open = () => {
  const target = location.hash === '' ? null : document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) { target.hidden = false; target.open = true; target.scrollIntoView(); }
};
addEventListener('hashchange', open);
open();
`;
