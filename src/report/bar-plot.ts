/** @file Bars: shares of samples per exit, and times of layers in network order. */
import { linearScale, tickFormat } from './scale.js';
import { element, escapeText, formatNumber, label, svgRoot, textWidth } from './svg.js';
import { type SeriesStyle } from './xy-plot.js';

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Written above the bar. */
  readonly text?: string;
  readonly title?: string;
  readonly style?: SeriesStyle;
}

export interface BarPlot {
  readonly title: string;
  readonly yLabel: string;
  readonly bars: readonly Bar[];
  /** Shares 0..1 may be written as percentages. */
  readonly yUnit?: 'plain' | 'percent';
  readonly yTo?: number;
}

/** Columns with a label below each; labels that would touch are left out evenly. */
export function barPlot(plot: BarPlot, width = 720): string {
  const top = 18;
  const plotHeight = width < 480 ? 170 : 200;
  const bottom = top + plotHeight;
  const y = linearScale([0, ...plot.bars.map((bar) => bar.value)], [bottom, top], { count: 5, from: 0, to: plot.yTo });
  const formatY = tickFormat(y.ticks, plot.yUnit);
  const left = 30 + Math.max(...y.ticks.map((tick) => textWidth(formatY(tick), 11)));
  const right = width - 8;
  const pitch = (right - left) / Math.max(1, plot.bars.length);
  const barWidth = Math.min(64, pitch * 0.72);
  const widest = Math.max(0, ...plot.bars.map((bar) => textWidth(bar.label, 11)));
  const every = Math.max(1, Math.ceil((widest + 4) / pitch));
  const widestText = Math.max(0, ...plot.bars.map((bar) => textWidth(bar.text ?? '', 11)));
  const columns = plot.bars.map((bar, i) => {
    const centre = left + (i + 0.5) * pitch;
    const height = Math.max(bar.value > 0 ? 1 : 0, bottom - y.at(bar.value));
    return [
      element(
        'g',
        {},
        `<title>${escapeText(bar.title ?? `${bar.label}: ${bar.text ?? formatY(bar.value)}`)}</title>`,
        element('rect', {
          class: `b s${bar.style ?? 0}`,
          x: centre - barWidth / 2,
          y: bottom - height,
          width: barWidth,
          height,
          rx: Math.min(2, barWidth / 4),
        }),
      ),
      bar.text !== undefined && widestText <= pitch + 2
        ? label(bar.text, centre, bottom - height - 5, { class: 'value', 'text-anchor': 'middle' })
        : '',
      i % every === 0 ? label(bar.label, centre, bottom + 16, { class: 'tick', 'text-anchor': 'middle' }) : '',
    ].join('');
  });
  return svgRoot(
    width,
    bottom + 26,
    plot.title,
    yAxis(y, left, right, top, bottom, plot.yLabel, formatY),
    ...columns,
    base(left, right, bottom),
  );
}

/** One node of the network, in execution order. */
export interface LayerBar {
  readonly name: string;
  readonly op: string;
  readonly ms: number;
  /** Name of an exit that hangs after this node. */
  readonly exit?: string;
}

/** The op types that have a colour of their own, by total time; the rest share one. */
const COLOURED_OPS = 4;

/** Which style each op type has: the four that take most time, then one for all others. */
export function opStyles(layers: readonly LayerBar[]): ReadonlyMap<string, SeriesStyle> {
  const totals = new Map<string, number>();
  for (const { op, ms } of layers) totals.set(op, (totals.get(op) ?? 0) + ms);
  const ranked = [...totals].sort((a, b) => b[1] - a[1]).map(([op]) => op);
  return new Map(ranked.map((op, i) => [op, (i < COLOURED_OPS ? i : 5) as SeriesStyle]));
}

/** One thin column per node in execution order, coloured by operator, with a line wherever an exit hangs. */
export function layerPlot(layers: readonly LayerBar[], width = 720): string {
  const styles = opStyles(layers);
  const shown = [...styles].filter(([, style]) => style < COLOURED_OPS);
  const others = styles.size > shown.length;
  const names = [
    ...shown.map(([op, style]) => ({ name: op, style })),
    ...(others ? [{ name: 'others', style: 5 as SeriesStyle }] : []),
  ];
  const legend: string[] = [];
  let lx = 8;
  let ly = 14;
  for (const { name, style } of names) {
    const needed = 30 + textWidth(name, 12);
    if (lx > 8 && lx + needed > width) {
      lx = 8;
      ly += 20;
    }
    legend.push(
      element('rect', { class: `b s${style}`, x: lx, y: ly - 10, width: 11, height: 11, rx: 2 }),
      label(name, lx + 17, ly, { class: 'legend' }),
    );
    lx += needed;
  }
  const exits = layers.flatMap((layer, index) => (layer.exit === undefined ? [] : [{ index, name: layer.exit }]));
  const top = ly + (exits.length > 0 ? 28 : 14);
  const plotHeight = width < 480 ? 170 : 210;
  const bottom = top + plotHeight;
  const y = linearScale([0, ...layers.map((layer) => layer.ms)], [bottom, top], { count: 5, from: 0 });
  const formatY = tickFormat(y.ticks);
  const left = 30 + Math.max(...y.ticks.map((tick) => textWidth(formatY(tick), 11)));
  const right = width - 8;
  const pitch = (right - left) / Math.max(1, layers.length);
  const columns = layers.map((layer, i) =>
    element(
      'g',
      {},
      `<title>${escapeText(`${layer.name} (${layer.op}): ${layer.ms.toPrecision(3)} ms`)}</title>`,
      element('rect', {
        class: `b s${styles.get(layer.op) ?? 5}`,
        x: left + i * pitch + Math.min(1, pitch * 0.1),
        y: y.at(layer.ms),
        width: Math.max(0.5, pitch - Math.min(2, pitch * 0.2)),
        height: bottom - y.at(layer.ms),
      }),
    ),
  );
  let free = -Infinity;
  const guides = exits.map(({ index, name }) => {
    const at = left + (index + 1) * pitch;
    const half = textWidth(name, 11) / 2;
    const line = element('line', { class: 'guide', x1: at, x2: at, y1: top - 4, y2: bottom });
    if (at - half < free) return line;
    free = at + half + 4;
    return line + label(name, Math.min(at, right - half), top - 9, { class: 'tick', 'text-anchor': 'middle' });
  });
  return svgRoot(
    width,
    bottom + 26,
    'Time of each node in execution order',
    ...legend,
    yAxis(y, left, right, top, bottom, 'ms', formatY),
    ...columns,
    ...guides,
    base(left, right, bottom),
    label('nodes in execution order →', (left + right) / 2, bottom + 18, { class: 'name', 'text-anchor': 'middle' }),
  );
}

function yAxis(
  y: ReturnType<typeof linearScale>,
  left: number,
  right: number,
  top: number,
  bottom: number,
  name: string,
  format: (value: number) => string,
): string {
  const ticks = y.ticks.map(
    (tick) =>
      element('line', { class: 'grid', x1: left, x2: right, y1: y.at(tick), y2: y.at(tick) }) +
      label(format(tick), left - 6, y.at(tick) + 4, { class: 'tick', 'text-anchor': 'end' }),
  );
  return (
    ticks.join('') +
    label(name, 0, 0, {
      class: 'name',
      'text-anchor': 'middle',
      transform: `translate(13 ${formatNumber((top + bottom) / 2)}) rotate(-90)`,
    })
  );
}

function base(left: number, right: number, bottom: number): string {
  return element('line', { class: 'axis', x1: left, x2: right, y1: bottom, y2: bottom });
}
