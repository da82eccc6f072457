/** @file A result as a flat table, one row per model and configuration: what CSV and Parquet hold. */
import type { BenchResult } from './schema.js';

/** SQL type of a column, as DuckDB names it. */
export type ColumnType = 'VARCHAR' | 'DOUBLE' | 'BIGINT';

export type Cell = string | number | undefined;

interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly value: (entry: BenchResult['entries'][number], result: BenchResult) => Cell;
}

const text = (name: string, value: Column['value']): Column => ({ name, type: 'VARCHAR', value });
const real = (name: string, value: Column['value']): Column => ({ name, type: 'DOUBLE', value });
const whole = (name: string, value: Column['value']): Column => ({ name, type: 'BIGINT', value });

/** Names carry their unit. An empty cell is a value that was not measured. */
export const benchColumns: readonly Column[] = [
  text('started_at', (_, result) => result.startedAt),
  text('device', (_, result) => result.device.cpu),
  text('fingerprint', (_, result) => result.device.fingerprint),
  text('runtime', (entry, result) => result.runtimes[entry.configuration.provider]),
  text('model', ({ model }) => model.name),
  text('model_sha256', ({ model }) => model.sha256),
  text('provider', ({ configuration }) => configuration.provider),
  whole('threads', ({ configuration }) => configuration.threads),
  whole('batch', ({ configuration }) => configuration.batch),
  text('precision', ({ configuration }) => configuration.precision),
  whole('height', ({ configuration }) => configuration.resolution?.[0]),
  whole('width', ({ configuration }) => configuration.resolution?.[1]),
  whole('model_bytes', ({ model }) => model.bytes),
  real('macs', ({ model }) => model.macs),
  real('params', ({ model }) => model.params),
  real('typical_ms', ({ typicalMs }) => typicalMs.value),
  real('typical_low_ms', ({ typicalMs }) => typicalMs.low),
  real('typical_high_ms', ({ typicalMs }) => typicalMs.high),
  real('p50_ms', ({ latencyMs }) => latencyMs.p50),
  real('p90_ms', ({ latencyMs }) => latencyMs.p90),
  real('p99_ms', ({ latencyMs }) => latencyMs.p99),
  real('mean_ms', ({ latencyMs }) => latencyMs.mean),
  real('min_ms', ({ latencyMs }) => latencyMs.min),
  whole('runs', ({ latencyMs }) => latencyMs.runs),
  whole('openings', ({ openings }) => openings.length),
  real('cv', ({ cv }) => cv),
  real('spread', ({ spread }) => spread),
  real('throughput_per_s', ({ throughput }) => throughput),
  real('cold_start_ms', ({ coldStartMs }) => coldStartMs),
  real('load_ms', ({ loadMs }) => loadMs),
  real('first_ms', ({ firstMs }) => firstMs),
  whole('peak_resident_bytes', ({ memory }) => memory?.peakResidentBytes),
  whole('added_bytes', ({ memory }) => memory?.addedBytes),
  real('background', ({ background }) => background),
  real('accuracy', ({ accuracy }) => accuracy),
  text('noise', ({ noise }) => noise.join(' ')),
  real('sustained_change', ({ sustained }) => sustained?.change),
  real('sustained_slope_per_min', ({ sustained }) => sustained?.slopePerMinute),
  real('sustained_p', ({ sustained }) => sustained?.p),
];

/** The rows of some results, one after the other. */
export function benchRows(results: readonly BenchResult[]): readonly (readonly Cell[])[] {
  return results.flatMap((result) =>
    result.entries.map((entry) => benchColumns.map(({ value }) => value(entry, result))),
  );
}

/** Comma-separated values (RFC 4180) with a line of names. */
export function benchCsv(results: readonly BenchResult[]): string {
  const lines = [benchColumns.map(({ name }) => name), ...benchRows(results)];
  return lines.map((cells) => `${cells.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(cell: Cell): string {
  if (cell === undefined) return '';
  const written = String(cell);
  return /[",\r\n]/.test(written) ? `"${written.replaceAll('"', '""')}"` : written;
}
