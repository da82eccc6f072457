/** @file Plots of a split network: what was decided over time while link and loads changed; panels one above the other. */
import { svgFile } from './html.js';
import { element, escapeText, formatNumber } from './svg.js';
import { xyPlot, type XYPlot, type XYPoint } from './xy-plot.js';

/** One decision, from its time on. */
export interface PlottedDecision {
  /** Ms. */
  readonly at: number;
  readonly cut: number;
  /** When samples leave: where surer than a threshold (`Infinity`: no exit is run), or all at one exit. */
  readonly rule: { readonly threshold: number } | { readonly exit: number };
  readonly bits: number;
  readonly conditions: { readonly bytesPerMs: number; readonly deviceScale: number; readonly serverScale: number };
}

export interface PlottedDecisions {
  readonly title: string;
  /** How many cuts the network has; the last one sends nothing. */
  readonly cuts: number;
  readonly decisions: readonly PlottedDecision[];
  readonly frames: readonly { readonly start: number; readonly latencyMs: number }[];
  /** The link as it really is, Mbit/s at ms, where it is to be shown beside what was seen of it. */
  readonly link?: readonly { readonly at: number; readonly mbps: number }[];
}

/** Plots one above the other as one SVG file of a given width. */
export function stackedPlots(title: string, plots: readonly XYPlot[], width = 720): string {
  let y = 34;
  const parts = plots.map((plot) => {
    const svg = xyPlot(plot, width);
    const height = Number(/viewBox="0 0 [\d.]+ ([\d.]+)"/.exec(svg)![1]);
    const placed = svg.replace('<svg ', `<svg x="0" y="${formatNumber(y)}" `);
    y += height + 10;
    return placed;
  });
  const heading = element('text', { x: 8, y: 22, class: 'point' }, escapeText(title));
  return svgFile(
    `<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 ${width} ${formatNumber(y)}" width="${width}" height="${formatNumber(y)}" role="img" aria-label="${escapeText(title)}">${heading}${parts.join('')}</svg>`,
  );
}

/** Where, how surely and with how many bits frames were sent over time, with the link as it was seen, as one SVG file. */
export function splitDecisionsPlot({ title, cuts, decisions, frames, link }: PlottedDecisions): string {
  const end = Math.max(0, ...frames.map(({ start }) => start), ...decisions.map(({ at }) => at));
  const steps = (value: (decision: PlottedDecision) => number | undefined): readonly XYPoint[] =>
    decisions.flatMap((decision, i) => {
      const y = value(decision);
      return y === undefined
        ? []
        : [
            { x: decision.at / 1000, y },
            { x: (decisions[i + 1]?.at ?? end) / 1000, y },
          ];
    });
  const curve = (name: string, points: readonly XYPoint[], style: 0 | 1 | 2 | 3 | 4 | 5) =>
    ({ name, points, style, line: true, markers: 'none' }) as const;
  // A burst may look like any bandwidth; the axis keeps to what the link really does.
  const most = link ? 2 * Math.max(...link.map(({ mbps }) => mbps)) : Infinity;
  const early = decisions.some(({ rule }) => 'exit' in rule || rule.threshold !== Infinity);
  const panels: readonly (XYPlot | undefined)[] = [
    {
      title: 'link',
      xLabel: 's',
      yLabel: 'Mbit/s',
      yFromZero: true,
      series: [
        ...(link
          ? [
              curve(
                'the link',
                link.map(({ at, mbps }) => ({ x: at / 1000, y: mbps })),
                5,
              ),
            ]
          : []),
        curve(
          'as the client saw it',
          steps(({ conditions }) => Math.min(most, conditions.bytesPerMs / 125)),
          0,
        ),
      ],
    },
    {
      title: 'cut',
      xLabel: 's',
      yLabel: `cut (${cuts - 1}: device only)`,
      yFromZero: true,
      yTo: cuts - 1,
      series: [
        curve(
          'cut',
          steps(({ cut }) => cut),
          1,
        ),
      ],
    },
    {
      title: 'bits',
      xLabel: 's',
      yLabel: 'bits (0: nothing sent)',
      yFromZero: true,
      series: [
        curve(
          'bits',
          steps(({ cut, bits }) => (cut === cuts - 1 ? 0 : bits)),
          2,
        ),
      ],
    },
    early
      ? {
          title: 'threshold',
          xLabel: 's',
          yLabel: 'threshold (0: all at one exit, 1: no exits)',
          yFromZero: true,
          yTo: 1,
          series: [
            curve(
              'threshold',
              steps(({ rule }) => ('exit' in rule ? 0 : Math.min(1, rule.threshold))),
              3,
            ),
          ],
        }
      : undefined,
    {
      title: 'latency',
      xLabel: 's',
      yLabel: 'ms per frame',
      yFromZero: true,
      series: [
        {
          name: 'latency',
          points: thinned(frames).map(({ start, latencyMs }) => ({ x: start / 1000, y: latencyMs })),
          style: 4,
          markers: 'faint',
        },
      ],
    },
  ];
  return stackedPlots(
    title,
    panels.filter((panel) => panel !== undefined),
  );
}

/** At most 1,500 points, the slowest of their neighbours: more cannot be told apart. */
function thinned<T extends { readonly latencyMs: number }>(frames: readonly T[]): readonly T[] {
  const size = Math.ceil(frames.length / 1500);
  const kept: T[] = [];
  for (let i = 0; i < frames.length; i += size)
    kept.push(frames.slice(i, i + size).reduce((a, b) => (b.latencyMs > a.latencyMs ? b : a)));
  return kept;
}
