/** @file Which models share layers: families of models, each a ring whose chords are the pairs. */
import { element, escapeText, label, svgRoot, textWidth } from './svg.js';

export interface LineagePlot {
  readonly title: string;
  readonly models: readonly { readonly id: string; readonly name: string; readonly href?: string }[];
  readonly pairs: readonly {
    readonly a: string;
    readonly b: string;
    /** Bytes in common, 0 to 1: the thickness of the chord. */
    readonly share: number;
    readonly title: string;
    /** `from-a` and `from-b` end in an arrow at what was made. */
    readonly direction: string;
  }[];
}

/** Families drawn at most, the largest first; the rest is in the table beside. */
const MAX_FAMILIES = 12;

/** Draws every connected family of models as one ring, rings in rows. */
export function lineagePlot({ title, models, pairs }: LineagePlot, width = 720): string {
  const families = familiesOf(pairs).slice(0, MAX_FAMILIES);
  const named = new Map(models.map((model) => [model.id, model]));
  let [x, y, rowHeight] = [0, 0, 0];
  const drawn = families.map((family) => {
    const radius = Math.min(width / 2 - 90, Math.max(34, family.length * 9));
    const needed = { width: Math.min(width, 2 * radius + 190), height: 2 * radius + 56 };
    if (x > 0 && x + needed.width > width) [x, y, rowHeight] = [0, y + rowHeight, 0];
    const centre = { x: x + needed.width / 2, y: y + needed.height / 2 };
    x += needed.width;
    rowHeight = Math.max(rowHeight, needed.height);
    return ring(family, pairs, named, centre, radius);
  });
  return svgRoot(width, y + rowHeight, title, ARROW, ...drawn);
}

const ARROW =
  '<defs><marker id="made" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path class="m s1" d="M0 0L8 4L0 8z"/></marker></defs>';

type Point = { readonly x: number; readonly y: number };

function ring(
  family: readonly string[],
  pairs: LineagePlot['pairs'],
  named: ReadonlyMap<string, LineagePlot['models'][number]>,
  centre: Point,
  radius: number,
): string {
  const angle = (i: number): number => (2 * Math.PI * i) / family.length - Math.PI / 2;
  const at = new Map(
    family.map((id, i): [string, Point] => [
      id,
      { x: centre.x + radius * Math.cos(angle(i)), y: centre.y + radius * Math.sin(angle(i)) },
    ]),
  );
  const chords = pairs.flatMap((pair) => {
    const [from, to] =
      pair.direction === 'from-b' ? [at.get(pair.b), at.get(pair.a)] : [at.get(pair.a), at.get(pair.b)];
    if (from === undefined || to === undefined) return [];
    const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
    const end = { x: to.x - ((to.x - from.x) / length) * 6, y: to.y - ((to.y - from.y) / length) * 6 };
    return [
      element(
        'line',
        {
          ...{ class: 'l s1', x1: from.x, y1: from.y, x2: end.x, y2: end.y, 'stroke-width': 1 + 3 * pair.share },
          style: `stroke-width:${(1 + 2 * pair.share).toFixed(1)}px`,
          'marker-end': pair.direction === 'undirected' ? undefined : 'url(#made)',
        },
        `<title>${escapeText(pair.title)}</title>`,
      ),
    ];
  });
  const dots = family.map((id, i) => {
    const { x, y } = at.get(id)!;
    const { name, href } = named.get(id) ?? { name: id.slice(0, 8), href: undefined };
    const cos = Math.cos(angle(i));
    const anchor = Math.abs(cos) < 0.2 ? 'middle' : cos > 0 ? 'start' : 'end';
    const below = Math.sin(angle(i)) > 0 ? 16 : -9;
    const text = label(
      shortened(name),
      x + (anchor === 'middle' ? 0 : cos > 0 ? 8 : -8),
      anchor === 'middle' ? y + below : y + 4,
      { class: 'tick', 'text-anchor': anchor },
    );
    const dot = element('circle', { class: 'm s0', cx: x, cy: y, r: 4.5 }, `<title>${escapeText(name)}</title>`) + text;
    return href === undefined ? dot : element('a', { href }, dot);
  });
  return chords.join('') + dots.join('');
}

function shortened(name: string): string {
  let end = name.length;
  while (end > 1 && textWidth(name.slice(0, end), 11) > 78) end--;
  return end === name.length ? name : `${name.slice(0, end)}…`;
}

/** Models that are joined by pairs, directly or through others: largest families first, members in order of appearance. */
function familiesOf(pairs: LineagePlot['pairs']): readonly (readonly string[])[] {
  const family = new Map<string, string[]>();
  for (const { a, b } of pairs) {
    const [left, right] = [family.get(a) ?? [a], family.get(b) ?? [b]];
    if (left === right) continue;
    left.push(...right);
    for (const id of left) family.set(id, left);
  }
  return [...new Set(family.values())].sort((x, y) => y.length - x.length);
}
