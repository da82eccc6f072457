/** @file What all apps and models of an audit say together: the study's tables and plots. */
import { modelFormats, type ModelFormat } from '../audit/formats.js';
import type { AuditStudy, Counted, MeasuredModel, SizeBin, SubjectUse } from '../audit/store/study.js';
import { barPlot } from './bar-plot.js';
import { binaryBytes, count, magnitude, milliseconds, percent, significant } from './format.js';
import { facts, html, responsive, section, table, type Column, type Html } from './html.js';
import { lineagePlot } from './lineage-plot.js';
import { rankPlot, type RankRow } from './rank-plot.js';
import { xyPlot, type SeriesStyle, type XYPlot } from './xy-plot.js';

/** Where a model's section stands on the page. */
export const modelAnchor = (id: string): string => `model-${id.replace(/[^0-9a-z]/gi, '').slice(0, 24)}`;
/** Where an app's section stands on the page. */
export const appAnchor = (sha256: string): string => `app-${sha256.slice(0, 24)}`;

const TOP = 16;

const share = (part: number, whole: number): string => (whole === 0 ? '–' : percent(part / whole));

/** All sections that have something to show, in the order in which the study tells them. */
export function figureSections(study: AuditStudy): readonly Html[] {
  return [
    ...published(study),
    ...ranked('Frameworks', 'Models by the framework that their format belongs to.', study.frameworks),
    ...formats(study),
    ...tasks(study),
    ...categories(study),
    ...sizes(study),
    ...layers(study),
    ...optimisations(study),
    ...uniqueness(study),
    ...publicModels(study),
    ...lineage(study),
    ...uses(study),
    ...measured(study),
    ...problems(study),
  ];
}

/** Figures that the published study of 2021 states, beside the same of this audit. */
function published({ totals, frameworks }: AuditStudy): readonly Html[] {
  if (totals.models === 0) return [];
  const tflite = frameworks.find(({ name }) => name === 'TensorFlow Lite')?.count ?? 0;
  const rows = [
    { what: 'TensorFlow Lite, of all models', here: percent(tflite / totals.models), there: '86.2 %' },
    {
      what: 'models that are copies of another',
      here: percent(1 - totals.uniqueModels / totals.models),
      there: '80.9 %',
    },
  ];
  return [
    section(
      'Beside the study of 2021',
      'gaugeNN’s figures are of 16,000 popular apps of one store; a small or chosen collection need not resemble them.',
      table(
        'Beside the study of 2021',
        [
          { name: 'Figure', value: ({ what }) => what },
          { name: 'Here', numeric: true, value: ({ here }) => here },
          { name: 'gaugeNN', numeric: true, value: ({ there }) => there },
        ],
        rows,
      ),
    ),
  ];
}

function ranked(title: string, what: string, counts: readonly Counted[]): readonly Html[] {
  if (counts.length === 0) return [];
  const total = counts.reduce((sum, entry) => sum + entry.count, 0);
  return [section(title, what, rank(title, ['models'], shownOf(counts, total)))];
}

function rank(title: string, parts: readonly string[], rows: readonly RankRow[]): Html {
  return responsive((width) => rankPlot({ title, parts, rows }, width));
}

/** The first rows, and all others as one. */
function shownOf(counts: readonly Counted[], total: number): readonly RankRow[] {
  const rows = counts.slice(0, TOP).map(({ name, count: n }) => ({ name, n }));
  const rest = counts.slice(TOP).reduce((sum, entry) => sum + entry.count, 0);
  if (rest > 0) rows.push({ name: `${counts.length - TOP} others`, n: rest });
  return rows.map(({ name, n }) => ({ name, values: [n], text: `${count(n)} (${percent(n / total)})` }));
}

const titleOf = (name: string): string => (name in modelFormats ? modelFormats[name as ModelFormat].title : name);

function formats({ formats: counts, disguises }: AuditStudy): readonly Html[] {
  if (counts.length === 0) return [];
  const columns = (name: string): readonly Column<Counted>[] => [
    { name, value: (row) => titleOf(row.name) },
    { name: 'Models', numeric: true, value: (row) => count(row.count) },
  ];
  return [
    section(
      'Formats and disguises',
      'A disguise is what had to be seen through: another name, another file around it, compression, one repeated byte; encrypted models are suspected, not read.',
      html`<div class="pair">
        <div>${table('Formats', columns('Format'), counts)}</div>
        <div>${disguises.length > 0 ? table('Disguises', columns('Disguise'), disguises) : undefined}</div>
      </div>`,
    ),
  ];
}

function tasks({ tasks: rows, architectures }: AuditStudy): readonly Html[] {
  if (rows.length === 0) return [];
  const bars = rows.slice(0, TOP).map((row) => ({
    name: row.name === 'unknown' ? `unknown (${row.modality})` : row.name,
    values: [row.unique, row.count - row.unique],
    text: `${count(row.count)}, ${count(row.unique)} different`,
  }));
  return [
    section(
      'Tasks',
      'What the models do, from names, inputs, outputs and operators; each model’s section says from which.',
      rank('Models by task', ['different models', 'further copies'], bars),
      ...(architectures.length > 0
        ? [html`<h3>Architectures of different models</h3>`, rank('Architectures', ['models'], plain(architectures))]
        : []),
    ),
  ];
}

const plain = (counts: readonly Counted[]): readonly RankRow[] =>
  counts.slice(0, TOP).map((entry) => ({ name: entry.name, values: [entry.count], text: count(entry.count) }));

function categories({ categories: rows }: AuditStudy): readonly Html[] {
  if (rows.length === 0 || (rows.length === 1 && rows[0]!.category === 'unknown')) return [];
  return [
    section(
      'Categories',
      'Apps by the category that their manifest or their source states.',
      rank(
        'Models by category of app',
        ['models'],
        rows.slice(0, TOP).map((row) => ({
          name: row.category,
          values: [row.models],
          text: `${count(row.models)} in ${count(row.appsWithModels)} of ${count(row.apps)} apps`,
        })),
      ),
    ),
  ];
}

function sizes({ sizes: { bytes, params, macs } }: AuditStudy): readonly Html[] {
  const plots: readonly (readonly [string, readonly SizeBin[], (value: number) => string])[] = [
    ['File size', bytes, (value) => binaryBytes(Number(value.toPrecision(2)))],
    ['Parameters', params, (value) => magnitude(Number(value.toPrecision(2)))],
    ['Multiply–accumulates of one run', macs, (value) => magnitude(Number(value.toPrecision(2)))],
  ];
  const shown = plots.filter(([, bins]) => bins.length > 0);
  if (shown.length === 0) return [];
  return [
    section(
      'Sizes',
      'Different models, three bins to a power of ten, each named by its lower end.',
      ...shown.map(
        ([title, bins, format]) =>
          html`<h3>${title}</h3>
            ${responsive((width) =>
              barPlot(
                {
                  title,
                  yLabel: 'models',
                  bars: filled(bins).map((bin) => ({
                    label: format(bin.from),
                    value: bin.count,
                    text: bin.count === 0 ? '' : count(bin.count),
                    title: `from ${format(bin.from)}: ${count(bin.count)} models`,
                  })),
                },
                width,
              ),
            )}`,
      ),
    ),
  ];
}

/** Bins without models between others stand, too: an axis must not jump. */
function filled(bins: readonly SizeBin[]): readonly SizeBin[] {
  const at = (from: number): number => Math.round(Math.log10(from) * 3);
  const counts = new Map(bins.map((bin) => [at(bin.from), bin.count]));
  const [low, high] = [Math.min(...counts.keys()), Math.max(...counts.keys())];
  return Array.from({ length: high - low + 1 }, (_, i) => ({
    from: 10 ** ((low + i) / 3),
    count: counts.get(low + i) ?? 0,
  }));
}

function layers({ families, operators }: AuditStudy): readonly Html[] {
  if (families.length === 0) return [];
  return [
    section(
      'Layers',
      'Layers of different models by family, and by operator in the formats’ own words.',
      rank(
        'Layers by family',
        ['layers'],
        shownOf(
          families,
          families.reduce((sum, entry) => sum + entry.count, 0),
        ),
      ),
      html`<details>
        <summary>Operators</summary>
        ${rank(
          'Layers by operator',
          ['layers'],
          operators.map((entry) => ({ name: entry.name, values: [entry.count], text: count(entry.count) })),
        )}
      </details>`,
    ),
  ];
}

function optimisations({ optimisations: of }: AuditStudy): readonly Html[] {
  if (of.read === 0) return [];
  const rows = [
    ['8-bit weights', of.int8Weights],
    ['8-bit activations', of.int8Activations],
    ['half-precision weights', of.float16],
    ['layers that convert between integers and floats', of.converting],
    ['one scale per channel', of.perChannel],
    ['layers with at least half zeros', of.sparse],
    ['layers with clustered weights', of.clustered],
    ['marked as pruned or clustered by a tool', of.marked],
    ['can be trained on the device', of.trainable],
  ] as const;
  return [
    section(
      'Optimisation',
      `Of the ${count(of.read)} different models whose layers were read.${of.nearZeroShare === null ? '' : ` ${percent(of.nearZeroShare, 2)} of all learned numbers are next to zero.`}`,
      table(
        'Optimisation',
        [
          { name: 'Models with', value: ([what]) => what },
          { name: 'Models', numeric: true, value: ([, n]) => count(n) },
          { name: 'Share', numeric: true, value: ([, n]) => share(n, of.read) },
        ],
        rows,
      ),
    ),
  ];
}

function uniqueness({ uniqueness: of, mostReused }: AuditStudy): readonly Html[] {
  if (of.models === 0) return [];
  const rows = [
    ['models in apps', of.models],
    ['different files', of.files],
    ['different weights', of.weights],
    ['different architectures', of.architectures],
  ] as const;
  return [
    section(
      'Uniqueness',
      `${percent(of.reused)} of the models stand in more than one place.`,
      table(
        'Uniqueness',
        [
          { name: 'Counted', value: ([what]) => what },
          { name: 'Models', numeric: true, value: ([, n]) => count(n) },
          { name: 'Share', numeric: true, value: ([, n]) => share(n, of.models) },
        ],
        rows,
      ),
      ...(mostReused.length === 0
        ? []
        : [
            html`<h3>In most places</h3>`,
            table(
              'In most places',
              [
                { name: 'Model', value: (row) => html`<a href="#${modelAnchor(row.id)}">${row.title}</a>` },
                { name: 'Apps', numeric: true, value: (row) => count(row.apps) },
                { name: 'Places', numeric: true, value: (row) => count(row.models) },
              ],
              mostReused,
            ),
          ]),
    ),
  ];
}

function publicModels({ publicModels: rows, totals }: AuditStudy): readonly Html[] {
  if (rows.length === 0) return [];
  const sum = (key: 'asPublished' | 'madeFrom'): number => rows.reduce((total, row) => total + row[key], 0);
  return [
    section(
      'Public models',
      `${count(sum('asPublished'))} of ${count(totals.uniqueModels)} different models are public ones as published, ${count(sum('madeFrom'))} were made from one; the rest is not in the list of known models.`,
      table(
        'Public models',
        [
          { name: 'Public model', value: (row) => row.name },
          { name: 'Published in', value: (row) => row.source },
          { name: 'Licence', value: (row) => row.licence ?? '–' },
          { name: 'As it is', numeric: true, value: (row) => count(row.asPublished) },
          { name: 'Made from it', numeric: true, value: (row) => count(row.madeFrom) },
          { name: 'Apps', numeric: true, value: (row) => count(row.apps) },
        ],
        rows,
      ),
    ),
  ];
}

function lineage({ lineage: of, models }: AuditStudy): readonly Html[] {
  if (of.edges.length === 0) return [];
  const titles = new Map(models.map(({ id, title }) => [id, title]));
  const name = (id: string): string => titles.get(id) ?? id.slice(0, 12);
  const link = (id: string): string | Html =>
    titles.has(id) ? html`<a href="#${modelAnchor(id)}">${name(id)}</a>` : name(id);
  const ids = [...new Set(of.edges.flatMap(({ a, b }) => [a, b]))];
  return [
    section(
      'Lineage',
      `${count(of.related)} of ${count(of.models)} different models share at least a fifth of their weights with another (${share(of.related, of.models)}); ${count(of.fineTuned)} differ from another in three layers at most (${share(of.fineTuned, of.models)}). An arrow leads to the model that was made from the other, where that is known.`,
      responsive((width) =>
        lineagePlot(
          {
            title: 'Models that share layers',
            models: ids.map((id) => ({
              ...{ id, name: name(id) },
              ...(titles.has(id) && { href: `#${modelAnchor(id)}` }),
            })),
            pairs: of.edges.map((edge) => ({
              ...edge,
              title: `${name(edge.a)} and ${name(edge.b)}: ${percent(edge.share)} in common, ${edge.differingLayers} layers differ`,
            })),
          },
          width,
        ),
      ),
      html`<details>
        <summary>${count(of.edges.length)} of ${count(of.pairs)} pairs</summary>
        ${table(
          'Pairs of models',
          [
            { name: 'Model', value: ({ a }) => link(a) },
            { name: 'Model', value: ({ b }) => link(b) },
            { name: 'Relation', value: ({ kind }) => kind },
            { name: 'In common', numeric: true, value: (edge) => percent(edge.share) },
            { name: 'Layers that differ', numeric: true, value: (edge) => count(edge.differingLayers) },
          ],
          of.edges,
        )}
      </details>`,
    ),
  ];
}

const useKinds = [
  ['framework', 'Frameworks in code', 'Apps by how surely their code uses a framework.'],
  ['cloud', 'Cloud services', 'Machine learning that apps ask of servers.'],
  ['accelerator', 'Accelerators', 'Processors and delegates that apps ask for.'],
] as const;

const useParts = ['called', 'called by a library', 'named in code', 'present only'] as const;

function uses({ subjects, totals }: AuditStudy): readonly Html[] {
  return useKinds.flatMap(([kind, title, what]) => {
    const rows = subjects.filter((subject) => subject.kind === kind);
    const values = (row: SubjectUse): readonly number[] => [row.called, row.byLibrary, row.referenced, row.present];
    if (rows.length === 0) return [];
    return [
      section(
        title,
        `${what} Of ${count(totals.apps)} apps; each counts once, in its surest use.`,
        rank(
          title,
          useParts,
          rows.slice(0, 24).map((row) => ({
            ...{ name: row.title, values: values(row) },
            text: count(values(row).reduce((sum, n) => sum + n, 0)),
          })),
        ),
      ),
    ];
  });
}

const STYLES: readonly SeriesStyle[] = [0, 1, 2, 3, 4, 5];

function measured({ measurements }: AuditStudy): readonly Html[] {
  if (measurements.length === 0) return [];
  const place = ({ device, backend }: MeasuredModel): string => `${device}, ${backend}`;
  const places = [...new Set(measurements.map(place))];
  const failed = measurements.filter(({ failure }) => failure !== null);
  const done = measurements.filter(({ failure }) => failure === null);
  const plotted = done.filter(({ macs, p50Ms }) => (macs ?? 0) >= 1e4 && p50Ms !== null);
  return [
    section(
      'Latency and energy',
      `Measured on ${places.join('; ')}. Times of converted models are those of ONNX Runtime.`,
      ...(plotted.length < 2 ? [] : [responsive((width) => xyPlot(latencyPlot(plotted, places, place), width))]),
      html`<details>
        <summary>${count(done.length)} measurements</summary>
        ${table(
          'Measurements',
          [
            { name: 'Model', value: (row) => row.name },
            ...(places.length > 1 ? [{ name: 'Device', value: place }] : []),
            { name: 'Threads', numeric: true, value: (row) => (row.threads === null ? '–' : count(row.threads)) },
            { name: 'Batch', numeric: true, value: (row) => count(row.batch) },
            { name: 'Median', numeric: true, value: (row) => (row.p50Ms === null ? '–' : milliseconds(row.p50Ms)) },
            { name: '90th perc.', numeric: true, value: (row) => (row.p90Ms === null ? '–' : milliseconds(row.p90Ms)) },
            {
              name: 'Energy',
              numeric: true,
              value: (row) => (row.energyMj === null ? '–' : `${significant(row.energyMj)} mJ`),
            },
          ],
          done,
        )}
      </details>`,
      ...(failed.length === 0
        ? []
        : [
            html`<details>
              <summary>${count(failed.length)} that could not be measured</summary>
              ${facts(failed.map((row) => [row.name, row.failure ?? '']))}
            </details>`,
          ]),
    ),
  ];
}

function latencyPlot(
  rows: readonly MeasuredModel[],
  places: readonly string[],
  place: (row: MeasuredModel) => string,
): XYPlot {
  return {
    title: 'Latency against work',
    xLabel: 'multiply–accumulates of one run, in millions (logarithmic)',
    yLabel: 'ms a sample',
    xScale: 'log',
    yFromZero: true,
    series: places.slice(0, STYLES.length).map((name, i) => ({
      ...{ name, style: STYLES[i]! },
      points: rows
        .filter((row) => place(row) === name)
        .map((row) => ({
          ...{ x: row.macs! / 1e6, y: row.p50Ms! / row.batch },
          title: `${row.name}: ${milliseconds(row.p50Ms! / row.batch)}, ${row.threads ?? '?'} threads`,
        })),
    })),
  };
}

function problems({ problems: counts }: AuditStudy): readonly Html[] {
  if (counts.length === 0) return [];
  return [
    section(
      'Odd and damaged parts',
      'What apps hold that is not as their formats say. It is named, and the rest is read.',
      table(
        'Odd and damaged parts',
        [
          { name: 'What', value: (row) => row.name ?? '' },
          { name: 'Times', numeric: true, value: (row) => count(row.count) },
        ],
        counts,
      ),
    ),
  ];
}
