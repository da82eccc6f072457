/** @file Figures and tables as people read them on a terminal. */

/** `40.8 M`, `1.2 k`, `17`. */
export function formatCount(value: number): string {
  for (const [size, unit] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const)
    if (Math.abs(value) >= size) return `${digits(value / size)} ${unit}`;
  return digits(value);
}

/** `1.2 MiB`. */
export function formatBytes(value: number): string {
  for (const [size, unit] of [
    [2 ** 30, 'GiB'],
    [2 ** 20, 'MiB'],
    [2 ** 10, 'KiB'],
  ] as const)
    if (value >= size) return `${digits(value / size)} ${unit}`;
  return `${value} B`;
}

/** A share of one as `84.3 %`. */
export function formatPercent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** Milliseconds with three significant digits: `0.637 ms`, `12.4 ms`. */
export function formatMs(ms: number): string {
  return `${digits(ms)} ms`;
}

/** The first `count` items and how many more there are. */
export function shorten(items: readonly string[], count: number): string {
  const rest = items.length - count;
  return items.slice(0, count).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** Columns aligned by spaces; a column whose cells all begin with a digit is set to the right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const right = head.map((_, column) => rows.length > 0 && rows.every((row) => /^[-+]?\d|^$|^–$/.test(row[column]!)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n');
}

const digits = (value: number): string =>
  Number.isInteger(value) && Math.abs(value) < 1e4 ? String(value) : String(Number(value.toPrecision(3)));
