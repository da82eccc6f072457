/** @file Bars that lie: one row per name, for names that are too long to stand under columns. */
import { element, escapeText, label, svgRoot, textWidth } from './svg.js';
import type { SeriesStyle } from './xy-plot.js';

/** A row's bar is the sum of its parts, laid end to end. */
export interface RankRow {
  readonly name: string;
  /** One value per part, in the order of `RankPlot.parts`. */
  readonly values: readonly number[];
  /** Written behind the bar. */
  readonly text: string;
}

export interface RankPlot {
  readonly title: string;
  /** What the parts of each bar are; the legend is left out where there is only one. */
  readonly parts: readonly string[];
  readonly rows: readonly RankRow[];
}

const ROW = 24;
const BAR = 14;
const STYLES: readonly SeriesStyle[] = [0, 1, 2, 4, 5];

/** Draws rows in their order, longest names cut to two fifths of the width. Five parts at most have a colour of their own. */
export function rankPlot({ title, parts, rows }: RankPlot, width = 720): string {
  const [legend, top] = parts.length > 1 ? legendOf(parts, width) : ['', 4];
  const room = Math.max(0, ...rows.map(({ text }) => textWidth(text, 11))) + 10;
  const left = Math.min(width * 0.4, Math.max(0, ...rows.map(({ name }) => textWidth(name, 12))) + 10);
  const most = Math.max(1e-9, ...rows.map(({ values }) => total(values)));
  const scale = (width - left - room) / most;
  const bars = rows.map(({ name, values, text }, row) => {
    const y = top + row * ROW;
    let x = left;
    const pieces = values.map((value, part) => {
      const at = x;
      x += value * scale;
      return value <= 0
        ? ''
        : element('rect', {
            ...{
              class: `b s${STYLES[part % STYLES.length]!}`,
              x: at,
              y,
              width: Math.max(1, value * scale),
              height: BAR,
            },
            rx: 2,
          });
    });
    const said = parts.length > 1 ? `: ${parts.map((part, i) => `${part} ${values[i]}`).join(', ')}` : `: ${text}`;
    return element(
      'g',
      {},
      `<title>${escapeText(name + said)}</title>`,
      label(fitted(name, left - 8), left - 8, y + 11, { 'text-anchor': 'end' }),
      ...pieces,
      label(text, x + 6, y + 11, { class: 'value' }),
    );
  });
  return svgRoot(width, top + rows.length * ROW, title, legend, ...bars);
}

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

function legendOf(parts: readonly string[], width: number): readonly [string, number] {
  let [x, y] = [8, 14];
  const items = parts.map((name, part) => {
    const needed = 34 + textWidth(name, 12);
    if (x > 8 && x + needed > width) [x, y] = [8, y + 20];
    const at = x;
    x += needed;
    return (
      element('rect', {
        class: `b s${STYLES[part % STYLES.length]!}`,
        x: at,
        y: y - 10,
        width: 11,
        height: 11,
        rx: 2,
      }) + label(name, at + 17, y, { class: 'legend' })
    );
  });
  return [items.join(''), y + 14];
}

function fitted(name: string, width: number): string {
  if (textWidth(name, 12) <= width) return name;
  let end = name.length;
  while (end > 1 && textWidth(`${name.slice(0, end)}…`, 12) > width) end--;
  return `${name.slice(0, end)}…`;
}
