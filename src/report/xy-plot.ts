/** @file Plots of points and lines over two axes: accuracy against latency, curves over epochs. */
import { linearScale, logScale, tickFormat, type Scale } from './scale.js';
import { element, escapeText, formatNumber, label, svgRoot, textWidth } from './svg.js';

export interface XYPoint {
  readonly x: number;
  readonly y: number;
  /** Written beside the marker. */
  readonly label?: string;
  /** Shown when pointed at. */
  readonly title?: string;
  /** An outline only: a prediction beside its measurement. */
  readonly hollow?: boolean;
}

/** The look of a series, one of the palette's slots; markers differ in shape too, so that colour is never the only sign. */
export type SeriesStyle = 0 | 1 | 2 | 3 | 4 | 5;

export interface XYSeries {
  readonly name: string;
  readonly points: readonly XYPoint[];
  readonly style: SeriesStyle;
  /** Join the points in the given order. */
  readonly line?: boolean;
  /** No markers (a curve), or small faint ones (a cloud of explored designs). */
  readonly markers?: 'normal' | 'none' | 'faint';
}

export interface XYPlot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly XYSeries[];
  readonly xScale?: 'linear' | 'log';
  readonly yFromZero?: boolean;
  readonly xFromZero?: boolean;
  /** Upper end of the y axis, e.g. 1 for shares. */
  readonly yTo?: number;
  /** Shares 0..1 may be written as percentages. */
  readonly yUnit?: 'plain' | 'percent';
  /** Vertical dashed lines with a name, e.g. budgets. */
  readonly guides?: readonly { readonly x: number; readonly label: string }[];
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const MARKER_RADIUS = 5;
const LABEL_HEIGHT = 14;

/** Draws an XY plot of a given width in CSS pixels. Series with no points still stand in the legend. */
export function xyPlot(plot: XYPlot, width = 720): string {
  const narrow = width < 480;
  const legend = legendRows(plot.series, width - 16);
  const legendHeight = legend.length * 20 + 8;
  const points = plot.series.flatMap((series) => series.points);
  const guides = plot.guides ?? [];
  const bottom = 46;
  const guideRoom = guides.length > 0 ? 16 : 4;
  const plotHeight = narrow ? 240 : 320;
  const top = legendHeight + guideRoom;
  const height = top + plotHeight + bottom;
  const y = linearScale(
    points.map((point) => point.y),
    [top + plotHeight, top],
    {
      count: narrow ? 5 : 6,
      from: plot.yFromZero ? 0 : undefined,
      to: plot.yTo,
    },
  );
  const formatY = tickFormat(y.ticks, plot.yUnit);
  const left = 30 + Math.max(...y.ticks.map((tick) => textWidth(formatY(tick), 11)));
  const right = width - 14;
  const xs = [...points.map((point) => point.x), ...guides.map((guide) => guide.x)];
  const x =
    plot.xScale === 'log'
      ? logScale(xs, [left, right])
      : linearScale(xs, [left, right], { count: narrow ? 4 : 8, from: plot.xFromZero ? 0 : undefined });
  const formatX = tickFormat(x.ticks);
  const taken: Box[] = [];
  return svgRoot(
    width,
    height,
    plot.title,
    ...legend.flatMap((row, r) => row.map((entry) => legendEntry(entry.series, entry.x + 8, 14 + r * 20))),
    axes(x, y, { left, right, top, bottom: top + plotHeight }, plot, formatX, formatY),
    ...guides.map((guide) => guideLine(guide, x, top, top + plotHeight, taken)),
    ...plot.series.map((series) => seriesLine(series, x, y)),
    ...plot.series.flatMap((series) => series.points.map((point) => pointMark(point, series, x, y, taken))),
    ...plot.series.flatMap((series) =>
      series.points.map((point) =>
        pointLabel(point, series, x, y, taken, { left, right, top, bottom: top + plotHeight }),
      ),
    ),
  );
}

/** A marker at a place, by style: circle, square, triangle, diamond, cross, inverted triangle. */
export function marker(style: SeriesStyle, cx: number, cy: number, hollow = false, radius = MARKER_RADIUS): string {
  const common = { class: `m s${style}${hollow ? ' hollow' : ''}` };
  const r = radius;
  const polygon = (...corners: readonly (readonly [number, number])[]): string =>
    element('path', {
      ...common,
      d: `M${corners.map(([dx, dy]) => `${formatNumber(cx + dx)} ${formatNumber(cy + dy)}`).join('L')}Z`,
    });
  switch (style) {
    case 0:
      return element('circle', { ...common, cx, cy, r });
    case 1:
      return polygon([-r * 0.9, -r * 0.9], [r * 0.9, -r * 0.9], [r * 0.9, r * 0.9], [-r * 0.9, r * 0.9]);
    case 2:
      return polygon([0, -r * 1.15], [r * 1.05, r * 0.8], [-r * 1.05, r * 0.8]);
    case 3:
      return polygon([0, -r * 1.25], [r * 1.25, 0], [0, r * 1.25], [-r * 1.25, 0]);
    case 4:
      return element('path', {
        class: `m cross s${style}`,
        d: `M${formatNumber(cx - r)} ${formatNumber(cy - r)}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`,
      });
    case 5:
      return polygon([0, r * 1.15], [r * 1.05, -r * 0.8], [-r * 1.05, -r * 0.8]);
  }
}

interface Area {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

function axes(
  x: Scale,
  y: Scale,
  area: Area,
  plot: XYPlot,
  formatX: (value: number) => string,
  formatY: (value: number) => string,
): string {
  const { left, right, top, bottom } = area;
  const parts: string[] = [];
  for (const tick of y.ticks) {
    const at = y.at(tick);
    parts.push(element('line', { class: 'grid', x1: left, x2: right, y1: at, y2: at }));
    parts.push(label(formatY(tick), left - 6, at + 4, { class: 'tick', 'text-anchor': 'end' }));
  }
  let free = -Infinity;
  for (const tick of x.ticks) {
    const at = x.at(tick);
    const text = formatX(tick);
    const half = textWidth(text, 11) / 2;
    parts.push(element('line', { class: 'axis', x1: at, x2: at, y1: bottom, y2: bottom + 4 }));
    // Log ticks crowd: a tick keeps its line but loses its number where the one before needs the room.
    if (at - half < free) continue;
    free = at + half + 6;
    parts.push(label(text, Math.min(at, right + 10 - half), bottom + 17, { class: 'tick', 'text-anchor': 'middle' }));
  }
  parts.push(element('line', { class: 'axis', x1: left, x2: right, y1: bottom, y2: bottom }));
  parts.push(label(plot.xLabel, (left + right) / 2, bottom + 37, { class: 'name', 'text-anchor': 'middle' }));
  parts.push(
    label(plot.yLabel, 0, 0, {
      class: 'name',
      'text-anchor': 'middle',
      transform: `translate(13 ${formatNumber((top + bottom) / 2)}) rotate(-90)`,
    }),
  );
  return parts.join('');
}

function guideLine(
  guide: { readonly x: number; readonly label: string },
  x: Scale,
  top: number,
  bottom: number,
  taken: Box[],
): string {
  const at = x.at(guide.x);
  const width = textWidth(guide.label, 11);
  const text: Box = { x: at - width / 2, y: top - 15, width, height: 12 };
  const clear = !taken.some((box) => overlaps(box, text));
  if (clear) taken.push(text);
  return (
    element('line', { class: 'guide', x1: at, x2: at, y1: top - 2, y2: bottom }) +
    (clear ? label(guide.label, at, top - 5, { class: 'tick', 'text-anchor': 'middle' }) : '')
  );
}

function seriesLine(series: XYSeries, x: Scale, y: Scale): string {
  if (!series.line || series.points.length < 2) return '';
  const path = series.points.map((point) => `${formatNumber(x.at(point.x))} ${formatNumber(y.at(point.y))}`).join('L');
  return element('path', { class: `l s${series.style}${isPrediction(series) ? ' dashed' : ''}`, d: `M${path}` });
}

/** A series of outlines only. */
function isPrediction(series: XYSeries): boolean {
  return series.points.length > 0 && series.points.every((point) => point.hollow) && series.markers !== 'faint';
}

function pointMark(point: XYPoint, series: XYSeries, x: Scale, y: Scale, taken: Box[]): string {
  if (series.markers === 'none') return '';
  const faint = series.markers === 'faint';
  const [cx, cy] = [x.at(point.x), y.at(point.y)];
  const radius = faint ? 2 : MARKER_RADIUS;
  if (!faint) taken.push({ x: cx - radius, y: cy - radius, width: 2 * radius, height: 2 * radius });
  const mark = faint
    ? element('circle', { class: `m s${series.style}`, cx, cy, r: radius })
    : marker(series.style, cx, cy, point.hollow, radius);
  const title = point.title === undefined ? '' : `<title>${escapeText(point.title)}</title>`;
  return element('g', { class: faint ? 'faint' : undefined }, title, mark);
}

/** Writes a point's label where it covers no marker and no other label: right, left, above, below; else not at all. */
function pointLabel(point: XYPoint, series: XYSeries, x: Scale, y: Scale, taken: Box[], area: Area): string {
  if (point.label === undefined) return '';
  const [cx, cy] = [x.at(point.x), y.at(point.y)];
  // Bold text is a tenth wider.
  const width = 1.1 * textWidth(point.label, 12);
  const gap = MARKER_RADIUS + 4;
  const places: readonly Box[] = (
    [
      [cx + gap, cy - LABEL_HEIGHT / 2],
      [cx - gap - width, cy - LABEL_HEIGHT / 2],
      [cx - width / 2, cy - gap - LABEL_HEIGHT],
      [cx - width / 2, cy + gap],
      [cx + gap, cy + gap / 2],
      [cx + gap, cy - gap / 2 - LABEL_HEIGHT],
    ] as const
  ).map(([left, top]) => ({ x: left, y: top, width, height: LABEL_HEIGHT }));
  const place = places.find(
    (box) =>
      box.x >= area.left &&
      box.x + box.width <= area.right + 10 &&
      box.y >= area.top &&
      box.y + box.height <= area.bottom &&
      !taken.some((other) => overlaps(box, other)),
  );
  if (place === undefined) return '';
  taken.push(place);
  return label(point.label, place.x, place.y + 11, { class: `point s${series.style}` });
}

function overlaps(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

interface LegendEntry {
  readonly series: XYSeries;
  readonly x: number;
}

function legendRows(series: readonly XYSeries[], width: number): readonly (readonly LegendEntry[])[] {
  const rows: LegendEntry[][] = [[]];
  let x = 0;
  for (const one of series) {
    const needed = 34 + textWidth(one.name, 12);
    if (x > 0 && x + needed > width) {
      rows.push([]);
      x = 0;
    }
    rows.at(-1)!.push({ series: one, x });
    x += needed;
  }
  return rows;
}

function legendEntry(series: XYSeries, x: number, y: number): string {
  const hollow = isPrediction(series);
  const style = `l s${series.style}${hollow ? ' dashed' : ''}`;
  const line = series.line ? element('line', { class: style, x1: x, x2: x + 18, y1: y - 4, y2: y - 4 }) : '';
  let mark = '';
  if (series.markers === 'faint')
    mark = element('circle', { class: `m s${series.style}`, cx: x + 9, cy: y - 4, r: 2.5 });
  else if (series.markers !== 'none') mark = marker(series.style, x + 9, y - 4, hollow, 4);
  return line + mark + label(series.name, x + 24, y, { class: 'legend' });
}
