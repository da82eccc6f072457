/** @file The report of `cuttle adapt`: what was found for each budget, against what, and where the time goes. */
import { barPlot, layerPlot, type LayerBar } from './bar-plot.js';
import { count, magnitude, milliseconds, percent, points, significant } from './format.js';
import { facts, Html, html, page, responsive, section, table, type Column } from './html.js';
import { xyPlot, type SeriesStyle, type XYPoint, type XYSeries } from './xy-plot.js';

/** Predicted from profiles, and measured by running; `undefined` where it was not measured. */
export interface ReportLatency {
  readonly predicted: number;
  readonly measured?: number;
}

/** Shares 0..1 on the calibration set, which chose the design, and on the test set, which judges it. */
export interface ReportAccuracy {
  readonly calibration: number;
  readonly test?: number;
}

export interface ReportFrontSeries {
  readonly name: string;
  /** How it is drawn: Cuttle's designs, a baseline, the plain backbone, or the cloud of designs the search looked at. */
  readonly kind: 'designs' | 'baseline' | 'backbone' | 'explored';
  readonly points: readonly {
    /** ms per sample. */
    readonly latency: number;
    readonly accuracy: number;
    readonly label?: string;
    /** Drawn as an outline. */
    readonly predicted?: boolean;
  }[];
}

export interface ReportDesign {
  /** `50 %` or `4 ms`. */
  readonly budget: string;
  /** Names of the exits in order, the final one included where it is kept. */
  readonly exits: readonly string[];
  /** `confidence ≥ 0.83`. */
  readonly policy: string;
  readonly accuracy: ReportAccuracy;
  /** ms per sample, on average (or worst case, as the budget's constraint is). */
  readonly latency: ReportLatency;
  /** Whether the budget is met. */
  readonly feasible?: boolean;
}

export interface ReportBaseline {
  readonly name: string;
  readonly budget: string;
  readonly accuracy: ReportAccuracy;
  readonly latency: ReportLatency;
}

export interface ReportExitHistogram {
  /** Which design: its budget. */
  readonly design: string;
  readonly exits: readonly {
    readonly name: string;
    /** Share of the test samples that leave here. */
    readonly share: number;
    /** Accuracy among them. */
    readonly accuracy?: number;
  }[];
}

export interface ReportExamples {
  readonly exit: string;
  readonly images: readonly {
    /** A `data:` URI (see `pngDataUri`). */
    readonly src: string;
    readonly label: string;
    readonly predicted: string;
    readonly confidence: number;
  }[];
}

export interface ReportCurves {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Values are shares, shown in percent. */
  readonly shares?: boolean;
  readonly series: readonly { readonly name: string; readonly points: readonly (readonly [number, number])[] }[];
}

export interface AdaptReportData {
  /** `resnet56 adapted to this device`. */
  readonly title: string;
  /** When, as text; left out for reproducible files. */
  readonly date?: string;
  readonly command?: string;
  readonly model: {
    readonly name: string;
    readonly params: number;
    readonly macs: number;
    readonly accuracy: ReportAccuracy;
    /** ms per sample of the plain backbone. */
    readonly latencyMs: number;
  };
  readonly device: readonly (readonly [string, string])[];
  readonly dataset: {
    readonly name: string;
    readonly train: number;
    readonly calibration: number;
    readonly test: number;
    readonly classes: number;
  };
  /** `average` or `worst case`: what the budgets bound. */
  readonly constraint: string;
  readonly budgets: readonly { readonly label: string; readonly latencyMs: number }[];
  readonly front: readonly ReportFrontSeries[];
  readonly latencyScale?: 'linear' | 'log';
  readonly designs: readonly ReportDesign[];
  readonly baselines: readonly ReportBaseline[];
  readonly exitHistograms: readonly ReportExitHistogram[];
  readonly layers: readonly LayerBar[];
  readonly examplesByExit: readonly ReportExamples[];
  readonly training: readonly ReportCurves[];
  readonly artefacts?: readonly { readonly file: string; readonly what: string }[];
  readonly notes: readonly string[];
}

const styles = { designs: [0], baseline: [1, 2, 3], backbone: [4], explored: [5] } as const satisfies Record<
  ReportFrontSeries['kind'],
  readonly SeriesStyle[]
>;

/** Examples per exit, layers in the summary table. */
const MAX_EXAMPLES = 16;
const TOP_LAYERS = 10;

/** The whole report as one HTML file: no scripts, no references to other hosts; sections without data are left out. */
export function renderAdaptReport(data: AdaptReportData): string {
  return page(
    data.title,
    html`<header>
      <h1>${data.title}</h1>
      <p class="lead">${lead(data)}</p>
    </header>`,
    tiles(data),
    ...present(
      data.front.some(({ points }) => points.length > 0),
      () =>
        section(
          'Accuracy against latency',
          'Up and to the left is better. Filled marks were measured on the test set, outlined ones predicted from the calibration set; dashed lines are the budgets.',
          responsive((width) => xyPlot(frontPlot(data), width)),
        ),
    ),
    ...present(data.designs.length > 0, () => designsSection(data)),
    ...present(data.exitHistograms.length > 0, () => exitsSection(data.exitHistograms)),
    ...present(
      data.examplesByExit.some(({ images }) => images.length > 0),
      () => examplesSection(data.examplesByExit),
    ),
    ...present(data.layers.length > 0, () => layersSection(data.layers)),
    ...present(data.training.length > 0, () => trainingSection(data.training)),
    setupSection(data),
    ...present(data.notes.length > 0, () =>
      section(
        'Notes',
        undefined,
        html`<ul class="notes">
          ${data.notes.map((note) => html`<li>${note}</li>`)}
        </ul>`,
      ),
    ),
    html`<footer>Made by Cuttle.${data.date === undefined ? '' : ` ${data.date}.`}</footer>`,
  );
}

function present(condition: boolean, make: () => Html): readonly Html[] {
  return condition ? [make()] : [];
}

function lead({ model, dataset, constraint }: AdaptReportData): string {
  return `${model.name}: ${magnitude(model.macs)} MACs, ${magnitude(model.params)} parameters. ${dataset.name}: ${count(dataset.test)} test images in ${dataset.classes} classes. Budgets bound the ${constraint} latency.`;
}

/** Test accuracy where there is one, else the calibration value. */
const best = (accuracy: ReportAccuracy): number => accuracy.test ?? accuracy.calibration;
const real = (latency: ReportLatency): number => latency.measured ?? latency.predicted;

function tiles({ model, designs }: AdaptReportData): Html {
  const backbone = html`<div class="tile">
    <span class="what">Backbone</span><b>${percent(best(model.accuracy))}</b
    ><span class="more">${milliseconds(model.latencyMs)} per sample</span>
  </div>`;
  const chosen = designs.map((design) => {
    const change = best(design.accuracy) - best(model.accuracy);
    return html`<div class="tile">
      <span class="what">Budget ${design.budget}${design.feasible === false ? ' (not met)' : ''}</span
      ><b>${significant(model.latencyMs / real(design.latency))}× <small>faster</small></b
      ><span class="more"
        >${percent(best(design.accuracy))}
        <span class="${change < -0.01 ? 'bad' : 'good'}">${points(change)}</span></span
      >
    </div>`;
  });
  return html`<div class="tiles">${[backbone, ...chosen]}</div>`;
}

function frontPlot(data: AdaptReportData): Parameters<typeof xyPlot>[0] {
  let baselines = 0;
  const series = data.front.map((one): XYSeries => {
    const choices: readonly SeriesStyle[] = styles[one.kind];
    const style = choices[one.kind === 'baseline' ? baselines++ % choices.length : 0]!;
    const dots = one.points.map((point): XYPoint => ({
      x: point.latency,
      y: point.accuracy,
      label: point.label,
      hollow: point.predicted,
      title: `${one.name}${point.label === undefined ? '' : `, ${point.label}`}: ${percent(point.accuracy)} at ${milliseconds(point.latency)}${point.predicted ? ' (predicted)' : ''}`,
    }));
    return {
      name: one.name,
      style,
      points: one.kind === 'designs' || one.kind === 'baseline' ? [...dots].sort((a, b) => a.x - b.x) : dots,
      line: one.kind === 'designs' || one.kind === 'baseline',
      markers: one.kind === 'explored' ? 'faint' : 'normal',
    };
  });
  return {
    title: 'Accuracy against latency of all designs',
    xLabel: `latency per sample (ms${data.latencyScale === 'log' ? ', logarithmic' : ''})`,
    yLabel: 'accuracy',
    // The cloud is drawn first, so that nothing hides behind it.
    series: [
      ...series.filter(({ markers }) => markers === 'faint'),
      ...series.filter(({ markers }) => markers !== 'faint'),
    ],
    xScale: data.latencyScale ?? 'linear',
    yUnit: 'percent',
    guides: data.budgets.map(({ label, latencyMs }) => ({ x: latencyMs, label })),
  };
}

interface DesignRow {
  readonly name: string;
  readonly ours: boolean;
  readonly detail: string;
  readonly accuracy: ReportAccuracy;
  readonly latency: ReportLatency;
}

function designsSection({ designs, baselines, model }: AdaptReportData): Html {
  const rows = designs.flatMap((design): DesignRow[] => [
    {
      name: `Cuttle, ${design.budget}`,
      ours: true,
      detail: `${design.exits.join(' → ')}; ${design.policy}${design.feasible === false ? '; budget not met' : ''}`,
      accuracy: design.accuracy,
      latency: design.latency,
    },
    ...baselines
      .filter(({ budget }) => budget === design.budget)
      .map((baseline) => ({
        name: baseline.name,
        ours: false,
        detail: '',
        accuracy: baseline.accuracy,
        latency: baseline.latency,
      })),
  ]);
  rows.unshift({
    name: 'Backbone',
    ours: false,
    detail: 'no exits',
    accuracy: model.accuracy,
    latency: { predicted: model.latencyMs, measured: model.latencyMs },
  });
  const columns: readonly Column<DesignRow>[] = [
    { name: 'Design', value: (row) => row.name },
    {
      name: 'Test acc.',
      numeric: true,
      value: ({ accuracy }) => (accuracy.test === undefined ? '–' : percent(accuracy.test)),
    },
    { name: 'Calibration', numeric: true, value: ({ accuracy }) => percent(accuracy.calibration) },
    {
      name: 'Measured',
      numeric: true,
      value: ({ latency }) => (latency.measured === undefined ? '–' : milliseconds(latency.measured)),
    },
    { name: 'Predicted', numeric: true, value: ({ latency }) => milliseconds(latency.predicted) },
    { name: 'Speed-up', numeric: true, value: ({ latency }) => `${significant(model.latencyMs / real(latency))}×` },
  ];
  return section(
    'Designs and baselines',
    'The calibration set chose exits and thresholds; the test set was used once, to judge them.',
    table('Designs and baselines', columns, rows, (row) => (row.ours ? 'ours' : undefined)),
    html`<h3>What each design keeps</h3>`,
    facts(designs.map((design) => [`Budget ${design.budget}`, `${design.exits.join(' → ')}; ${design.policy}`])),
  );
}

function exitsSection(histograms: readonly ReportExitHistogram[]): Html {
  const plots = histograms.map(
    (histogram) =>
      html`<div>
        <h3>Budget ${histogram.design}</h3>
        ${Html.raw(
          barPlot(
            {
              title: `Share of test samples that leave at each exit, budget ${histogram.design}`,
              yLabel: 'samples',
              yUnit: 'percent',
              bars: histogram.exits.map(({ name, share, accuracy }) => ({
                label: name,
                value: share,
                text: percent(share, share > 0 && share < 0.1 ? 1 : 0),
                title: `${name}: ${percent(share)} of the samples${accuracy === undefined ? '' : `, ${percent(accuracy)} of them right`}`,
              })),
            },
            368,
          ),
        )}${
          histogram.exits.some(({ accuracy }) => accuracy !== undefined)
            ? table(
                `Exits of budget ${histogram.design}`,
                [
                  { name: 'Exit', value: (exit) => exit.name },
                  { name: 'Samples', numeric: true, value: (exit) => percent(exit.share) },
                  {
                    name: 'Accuracy there',
                    numeric: true,
                    value: (exit) => (exit.accuracy === undefined ? '–' : percent(exit.accuracy)),
                  },
                ],
                histogram.exits,
              )
            : undefined
        }
      </div>`,
  );
  return section(
    'Where samples leave',
    'Easy samples leave early; only hard ones pay for the whole network.',
    html`<div class="pair">${plots}</div>`,
  );
}

function examplesSection(groups: readonly ReportExamples[]): Html {
  return section(
    'Examples by exit',
    'Test images that left at each exit, with the answer and how sure it was. Wrong answers are framed and named with the right class.',
    ...groups
      .filter(({ images }) => images.length > 0)
      .map(
        ({ exit, images }) =>
          html`<h3>${exit}</h3>
            <ul class="examples">
              ${images.slice(0, MAX_EXAMPLES).map((image) => {
                const wrong = image.predicted !== image.label;
                return html`<li class="${wrong ? 'wrong' : ''}">
                  <img src="${dataUri(image.src)}" alt="${image.label}" />${image.predicted}
                  ${percent(image.confidence, 0)}${wrong ? html`<br /><span class="bad">is ${image.label}</span>` : undefined}
                </li>`;
              })}
            </ul>`,
      ),
  );
}

/** Only embedded pictures: a report must not load anything. */
function dataUri(src: string): string {
  return src.startsWith('data:image/') ? src : '';
}

function layersSection(layers: readonly LayerBar[]): Html {
  const total = layers.reduce((sum, { ms }) => sum + ms, 0);
  const columns: readonly Column<LayerBar>[] = [
    { name: 'Node', value: ({ name }) => name },
    { name: 'Operator', value: ({ op }) => op },
    { name: 'ms', numeric: true, value: ({ ms }) => significant(ms) },
    { name: 'Share', numeric: true, value: ({ ms }) => percent(total > 0 ? ms / total : 0) },
  ];
  const slowest = [...layers].sort((a, b) => b.ms - a.ms).slice(0, TOP_LAYERS);
  return section(
    'Where the time goes',
    `Time of each of the ${count(layers.length)} nodes, ${milliseconds(total)} in all, in execution order. Dashed lines mark the exits.`,
    responsive((width) => layerPlot(layers, width)),
    html`<details>
      <summary>The ${slowest.length} slowest nodes</summary>
      ${table('Slowest nodes', columns, slowest)}
    </details>`,
    html`<details>
      <summary>All nodes</summary>
      ${table('All nodes', columns, layers)}
    </details>`,
  );
}

function trainingSection(curves: readonly ReportCurves[]): Html {
  return section(
    'Training',
    undefined,
    html`<div class="pair">
      ${curves.map(
        (curve) =>
          html`<div>
            <h3>${curve.title}</h3>
            ${Html.raw(
              xyPlot(
                {
                  title: curve.title,
                  xLabel: curve.xLabel,
                  yLabel: curve.yLabel,
                  yUnit: curve.shares ? 'percent' : 'plain',
                  series: curve.series.map((one, i) => ({
                    name: one.name,
                    style: (i % 6) as SeriesStyle,
                    line: true,
                    markers: one.points.length > 1 ? 'none' : 'normal',
                    points: one.points.map(([x, y]) => ({ x, y })),
                  })),
                },
                368,
              ),
            )}
          </div>`,
      )}
    </div>`,
  );
}

function setupSection({ device, dataset, command, artefacts = [] }: AdaptReportData): Html {
  return section(
    'How this was made',
    undefined,
    facts([
      ...device,
      [
        'Data',
        `${dataset.name}: ${count(dataset.train)} training, ${count(dataset.calibration)} calibration, ${count(dataset.test)} test images; no image is in two of them`,
      ],
    ]),
    ...present(
      command !== undefined,
      () =>
        html`<h3>Command</h3>
          <pre>${command}</pre>`,
    ),
    ...present(
      artefacts.length > 0,
      () =>
        html`<h3>Files</h3>
          ${facts(artefacts.map(({ file, what }) => [file, what]))}`,
    ),
  );
}
