/** @file Which operators have which rules, as the text of docs/coverage.md. */
import { gradientNotes } from './gradients/notes.js';
import type { OpRecord } from './record.js';
import { knownOps, opKey } from './registry.js';

/** Operators whose cost is that of their sub-graphs: the cost pass walks into them. */
const COSTED_BY_WALK: ReadonlySet<string> = new Set(['If', 'Loop', 'Scan', 'SequenceMap']);

export interface OpCoverage {
  readonly op: string;
  /** `ai.onnx` for the default domain. */
  readonly domain: string;
  readonly shape: boolean;
  readonly cost: boolean;
  readonly gradient: boolean;
  /** Why there is no gradient, where somebody said so. */
  readonly note: string;
}

/** Every known operator, by domain (ai.onnx first) and name. */
export function operatorCoverage(records: readonly OpRecord[] = knownOps()): readonly OpCoverage[] {
  const rows = records.map(({ op, domain, infer, cost, vjp, expand }): OpCoverage => ({
    op,
    domain: domain === '' ? 'ai.onnx' : domain,
    shape: infer !== undefined,
    cost: cost !== undefined || COSTED_BY_WALK.has(opKey(op, domain)),
    gradient: (vjp ?? expand) !== undefined,
    note: (vjp ?? expand) === undefined ? (gradientNotes[opKey(op, domain)] ?? '') : '',
  }));
  return rows.sort((a, b) => compare(a.domain, b.domain) || compare(a.op, b.op));
}

/** The whole of docs/coverage.md: totals, then one row per operator. */
export function coverageMarkdown(rows: readonly OpCoverage[] = operatorCoverage()): string {
  const domains = [...new Set(rows.map((row) => row.domain))];
  const count = (domain: string | undefined, has: (row: OpCoverage) => boolean): string =>
    String(rows.filter((row) => (domain === undefined || row.domain === domain) && has(row)).length);
  const totals = [...domains, undefined].map((domain) => [
    domain ?? 'all',
    count(domain, () => true),
    count(domain, (row) => row.shape),
    count(domain, (row) => row.cost),
    count(domain, (row) => row.gradient),
  ]);
  const mark = (has: boolean): string => (has ? 'yes' : '–');
  return [
    '# Operator coverage',
    '',
    'Generated from the rule tables in `src/ops` by `node scripts/coverage.mjs`; a test fails where this file and the tables differ.',
    '',
    'An operator without the rule that a task needs is refused by name. How to add one: `docs/extending-operators.md`.',
    '',
    ...markdownTable(['domain', 'operators', 'shape', 'cost', 'gradient'], totals),
    '',
    ...markdownTable(
      ['operator', 'domain', 'shape', 'cost', 'gradient', 'why no gradient'],
      rows.map((row) => [row.op, row.domain, mark(row.shape), mark(row.cost), mark(row.gradient), row.note]),
    ),
    '',
  ].join('\n');
}

/** A table with columns padded to equal width, as Markdown formatters leave it. */
function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at]!)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
