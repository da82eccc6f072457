/** @file Results as a flat table, one row per job: what CSV, Parquet and the database hold. */
import type { ResultView } from './protocol.js';
import type { LatencyResult } from './results.js';

/** SQL type of a column, as DuckDB names it. */
export type ResultColumnType = 'VARCHAR' | 'DOUBLE' | 'BIGINT';
export type ResultCell = string | number | null;

interface Column {
  readonly name: string;
  readonly type: ResultColumnType;
  readonly value: (result: ResultView) => string | number | undefined;
}

const text = (name: string, value: Column['value']): Column => ({ name, type: 'VARCHAR', value });
const real = (name: string, value: Column['value']): Column => ({ name, type: 'DOUBLE', value });
const whole = (name: string, value: Column['value']): Column => ({ name, type: 'BIGINT', value });

/** What the values of all kinds have in common, each kind a part of it. */
type AnyValue = Partial<LatencyResult> & {
  readonly backboneMs?: number;
  readonly memory?: { readonly peakResidentBytes: number };
};
const valueOf = (result: ResultView): AnyValue => result.value as AnyValue;
const time = (ms: number): string => new Date(ms).toISOString();

/** Names carry their unit. An empty cell was not asked for or not measured. */
export const resultColumns: readonly Column[] = [
  text('job', ({ id }) => id),
  text('device', ({ runBy }) => runBy),
  text('kind', ({ spec }) => spec.kind),
  text('model', ({ spec }) => spec.name),
  text('model_sha256', ({ spec }) => spec.model),
  text('backend', ({ spec }) => spec.backend),
  text('provider', (result) => valueOf(result).device?.executionProvider),
  text('runtime', (result) => valueOf(result).device?.runtime),
  whole('threads', (result) => valueOf(result).device?.threads ?? result.spec.threads),
  whole('batch', ({ spec }) => spec.batch),
  real('p50_ms', (result) => valueOf(result).latencyMs?.p50),
  real('p90_ms', (result) => valueOf(result).latencyMs?.p90),
  real('p99_ms', (result) => valueOf(result).latencyMs?.p99),
  real('mean_ms', (result) => valueOf(result).latencyMs?.mean),
  real('min_ms', (result) => valueOf(result).latencyMs?.min),
  real('std_ms', (result) => valueOf(result).latencyMs?.std),
  whole('runs', (result) => valueOf(result).latencyMs?.runs),
  real('load_ms', (result) => valueOf(result).loadMs),
  real('first_ms', (result) => valueOf(result).firstMs),
  real('backbone_ms', (result) => valueOf(result).backboneMs),
  whole('peak_bytes', (result) => valueOf(result).peakBytes ?? valueOf(result).memory?.peakResidentBytes),
  real('battery_before', ({ before }) => before?.batteryLevel),
  real('battery_after', ({ after }) => after?.batteryLevel),
  real('celsius_before', ({ before }) => before?.celsius),
  real('celsius_after', ({ after }) => after?.celsius),
  text('pressure_after', ({ after }) => after?.pressure),
  real('load_before', ({ before }) => before?.load),
  whole('attempts', ({ attempts }) => attempts),
  text('submitted_at', ({ submittedAt }) => time(submittedAt)),
  text('settled_at', ({ settledAt }) => (settledAt === undefined ? undefined : time(settledAt))),
  text('value_json', ({ value }) => JSON.stringify(value)),
];

/** A result's cells, in the order of the columns. */
export function resultRow(result: ResultView): readonly ResultCell[] {
  return resultColumns.map(({ value }) => value(result) ?? null);
}

/** Comma-separated values (RFC 4180) with a line of names; without the JSON of the whole value. */
export function resultsCsv(results: readonly ResultView[]): string {
  const shown = resultColumns.filter(({ name }) => name !== 'value_json');
  const cell = (value: string | number | undefined): string => {
    const plain = value === undefined ? '' : String(value);
    // A cell that begins like a formula would be run as one by spreadsheets; names of devices come from others.
    const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = [
    shown.map(({ name }) => name),
    ...results.map((result) => shown.map(({ value }) => cell(value(result)))),
  ];
  return lines.map((cells) => `${cells.join(',')}\r\n`).join('');
}
