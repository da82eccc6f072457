/** @file What the scheduler looks up: costs, sizes and accuracy of every ⟨cut, rule, bit-width⟩, as measured offline. */
import { SchedulerError } from './errors.js';
import type { ExitRule } from './rule.js';

/**
 * Tables over C cuts, R rules and B bit-widths, row-major in that order. A network without exits has one rule, SPINN's
 * fixed packing is one bit-width; both papers are rows or columns of one table.
 */
export interface SplitTables {
  /** Cut numbers, as in `Cuts.cuts`; C of them. */
  readonly cuts: readonly number[];
  /** When samples leave: thresholds (SPINN), or all at one exit (Edgent). */
  readonly rules: readonly ExitRule[];
  /** 1 to 16, or 32 for unchanged values. */
  readonly bits: readonly number[];
  /** C × R: device compute per sample, ms, exits taken into account, at scale 1. */
  readonly deviceMs: Float64Array;
  /**
   * C × R × B: server compute per sample, ms, times the share that is sent, at scale 1. The width matters where exits lie
   * behind the cut: they see quantised tensors, and where these make them unsure more samples go on.
   */
  readonly serverMs: Float64Array;
  /** C × R: share of the samples that are sent, 0 to 1; 0 where the device does everything. */
  readonly sent: Float64Array;
  /** C × B: bytes of one packed sample. */
  readonly bytes: Float64Array;
  /** C × B: time to pack one sample on the device and to unpack it on the server, ms, at scale 1. */
  readonly packMs: Float64Array;
  readonly unpackMs: Float64Array;
  /** C × R × B, 0 to 1. */
  readonly accuracy: Float64Array;
  /** Bytes of one answer. */
  readonly responseBytes: number;
  /** What the slowest of the fastest 95 % of the samples take: the metric `latency95`. Means do not tell it. */
  readonly tail?: TailTables;
  /** Where known: power of the device in watts while it computes, sends and waits. */
  readonly power?: { readonly compute: number; readonly send: number; readonly idle: number };
}

/** The 95th percentile over samples: the sample with so much work that 95 % have no more. */
export interface TailTables {
  /** C × R: its device compute, ms. */
  readonly deviceMs: Float64Array;
  /** C × R: 1 where it is sent, else 0. */
  readonly sent: Float64Array;
  /** C × R × B: its server compute, ms; 0 where it is not sent. */
  readonly serverMs: Float64Array;
}

/** Throws SchedulerError unless the sizes fit and every number is finite and not negative. */
export function checkTables(tables: SplitTables): void {
  const [C, R, B] = [tables.cuts.length, tables.rules.length, tables.bits.length];
  if (C * R * B === 0) throw new SchedulerError('the tables hold no configuration');
  const { tail } = tables;
  const sizes: readonly (readonly [string, Float64Array, number])[] = [
    ['deviceMs', tables.deviceMs, C * R],
    ['serverMs', tables.serverMs, C * R * B],
    ['sent', tables.sent, C * R],
    ['bytes', tables.bytes, C * B],
    ['packMs', tables.packMs, C * B],
    ['unpackMs', tables.unpackMs, C * B],
    ['accuracy', tables.accuracy, C * R * B],
    ...(tail
      ? ([
          ['tail.deviceMs', tail.deviceMs, C * R],
          ['tail.sent', tail.sent, C * R],
          ['tail.serverMs', tail.serverMs, C * R * B],
        ] as const)
      : []),
  ];
  for (const [name, values, size] of sizes) {
    if (values.length !== size) throw new SchedulerError(`table '${name}' has ${values.length} values, not ${size}`);
    for (const value of values)
      if (!(value >= 0 && value < Infinity)) throw new SchedulerError(`table '${name}' holds ${value}`);
  }
}
