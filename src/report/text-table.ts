/** @file Tables and bars for the terminal, in plain characters. */

export interface TextColumn<Row> {
  readonly name: string;
  /** Numbers stand to the right. */
  readonly align?: 'left' | 'right';
  readonly value: (row: Row) => string;
}

/**
 * A table: a line of names, a rule, one line a row; columns two spaces apart and as wide as their widest cell.
 * Lines end without blanks, so that copies and diffs stay clean.
 */
export function textTable<Row>(columns: readonly TextColumn<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.value(row))));
  const widths = columns.map((column, c) => Math.max(width(column.name), ...cells.map((row) => width(row[c]!)), 0));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, c) => pad(text, widths[c]!, columns[c]!.align ?? 'left'))
      .join('  ')
      .trimEnd();
  return [
    line(columns.map((column) => column.name)),
    widths.map((size) => '─'.repeat(size)).join('  '),
    ...cells.map(line),
  ].join('\n');
}

/** Horizontal bars of shares 0..1: `exit 3  ███████▌   37.5 %`. */
export function textBars(bars: readonly { readonly label: string; readonly share: number }[], size = 30): string {
  const labels = Math.max(0, ...bars.map((bar) => width(bar.label)));
  return bars
    .map(({ label, share }) => {
      const eighths = Math.round(Math.min(1, Math.max(0, share)) * size * 8);
      const bar = '█'.repeat(eighths >> 3) + ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths & 7]!;
      return `${pad(label, labels, 'left')}  ${pad(bar, size, 'left')}  ${pad((share * 100).toFixed(1), 5, 'right')} %`;
    })
    .join('\n');
}

function pad(text: string, size: number, align: 'left' | 'right'): string {
  const fill = ' '.repeat(Math.max(0, size - width(text)));
  return align === 'left' ? text + fill : fill + text;
}

/** Characters as a terminal shows them: combining marks take no room. */
function width(text: string): number {
  return [...text.replace(/\p{Mark}/gu, '')].length;
}

function oneLine(text: string): string {
  // Names come from files: escape sequences in them must not reach a terminal.
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ');
}
