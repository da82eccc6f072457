/** @file The scheduler's tables with some of their cuts alone: where a server has no tail, no plan may cut. */
import type { SplitTables } from '../scheduler/index.js';

/** Tables of the cuts that `keep` says; the rest as before. Contract: every table has its cuts outermost. */
export function tablesOfCuts(tables: SplitTables, keep: (cut: number) => boolean): SplitTables {
  const places = [...tables.cuts.keys()].filter((place) => keep(tables.cuts[place]!));
  const rows = (table: Float64Array): Float64Array => {
    const row = table.length / tables.cuts.length;
    const kept = new Float64Array(places.length * row);
    places.forEach((place, i) => kept.set(table.subarray(place * row, (place + 1) * row), i * row));
    return kept;
  };
  const { tail } = tables;
  return {
    ...tables,
    cuts: places.map((place) => tables.cuts[place]!),
    deviceMs: rows(tables.deviceMs),
    serverMs: rows(tables.serverMs),
    sent: rows(tables.sent),
    bytes: rows(tables.bytes),
    packMs: rows(tables.packMs),
    unpackMs: rows(tables.unpackMs),
    accuracy: rows(tables.accuracy),
    ...(tail && {
      tail: { deviceMs: rows(tail.deviceMs), sent: rows(tail.sent), serverMs: rows(tail.serverMs) },
    }),
  };
}
