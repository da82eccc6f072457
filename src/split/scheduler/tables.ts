/** @file What the scheduler looks up: costs, sizes and accuracy of every ⟨cut, threshold, bit-width⟩, as measured offline. */
import { SchedulerError } from './errors.js';

/**
 * Tables over C cuts, T thresholds and B bit-widths, row-major in that order. A network without exits has one threshold
 * (its number does not matter), SPINN's fixed packing is one bit-width; both papers are rows or columns of one table.
 */
export interface SplitTables {
  /** Cut numbers, as in `Cuts.cuts`; C of them. */
  readonly cuts: readonly number[];
  readonly thresholds: readonly number[];
  /** 1 to 16, or 32 for unchanged values. */
  readonly bits: readonly number[];
  /** C × T: device compute per sample, ms, exits taken into account, at scale 1. */
  readonly deviceMs: Float64Array;
  /** C × T: server compute per sample, ms, times the share that is sent, at scale 1. */
  readonly serverMs: Float64Array;
  /** C × T: share of the samples that are sent, 0 to 1; 0 where the device does everything. */
  readonly sent: Float64Array;
  /** C × B: bytes of one packed sample. */
  readonly bytes: Float64Array;
  /** C × B: time to pack one sample on the device and to unpack it on the server, ms, at scale 1. */
  readonly packMs: Float64Array;
  readonly unpackMs: Float64Array;
  /** C × T × B, 0 to 1. */
  readonly accuracy: Float64Array;
  /** Bytes of one answer. */
  readonly responseBytes: number;
  /** Where known: power of the device in watts while it computes, sends and waits. */
  readonly power?: { readonly compute: number; readonly send: number; readonly idle: number };
}

/** Throws SchedulerError unless the sizes fit and every number is finite and not negative. */
export function checkTables(tables: SplitTables): void {
  const [C, T, B] = [tables.cuts.length, tables.thresholds.length, tables.bits.length];
  if (C * T * B === 0) throw new SchedulerError('the tables hold no configuration');
  const sizes: readonly (readonly [keyof SplitTables, number])[] = [
    ['deviceMs', C * T],
    ['serverMs', C * T],
    ['sent', C * T],
    ['bytes', C * B],
    ['packMs', C * B],
    ['unpackMs', C * B],
    ['accuracy', C * T * B],
  ];
  for (const [name, size] of sizes) {
    const values = tables[name] as Float64Array;
    if (values.length !== size) throw new SchedulerError(`table '${name}' has ${values.length} values, not ${size}`);
    for (const value of values)
      if (!(value >= 0 && value < Infinity)) throw new SchedulerError(`table '${name}' holds ${value}`);
  }
}
