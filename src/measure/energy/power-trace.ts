/** @file Power over time, and the energy under it. */
import { CuttleError } from '../../ir/index.js';

/** A power trace or an interval of it that gives no energy. Exit code 3. */
export class PowerTraceError extends CuttleError {
  constructor(message: string, hint: string) {
    super('invalid', 'measure/power-trace', message, { hint });
  }
}

/** Samples of the power that a device draws; times rise. */
export interface PowerTrace {
  /** Seconds from an origin of the trace's own. */
  readonly seconds: Float64Array;
  readonly watts: Float64Array;
}

/** A stretch of a trace, in its seconds. */
export interface TraceInterval {
  readonly from: number;
  readonly to: number;
}

/** Energy of a stretch, with what the device would have drawn anyway taken off. */
export interface TraceEnergy {
  readonly seconds: number;
  /** Everything drawn. */
  readonly totalJoules: number;
  /** What the idle device draws in the same time. */
  readonly idleJoules: number;
  /** totalJoules − idleJoules; below zero where the idle power was overrated. */
  readonly joules: number;
}

/** Checks samples and makes a trace of them. Throws PowerTraceError for fewer than two, for falling times and for what is no number. */
export function powerTrace(seconds: ArrayLike<number>, watts: ArrayLike<number>): PowerTrace {
  if (seconds.length !== watts.length || seconds.length < 2)
    throw new PowerTraceError(
      `a power trace needs two samples or more; there are ${Math.min(seconds.length, watts.length)}`,
      'Record for longer, or check the separator and the columns of the file.',
    );
  for (let i = 0; i < seconds.length; i++) {
    if (!Number.isFinite(seconds[i]) || !Number.isFinite(watts[i]))
      throw new PowerTraceError(`sample ${i + 1} of the power trace is no number`, 'Check that row of the file.');
    if (i > 0 && seconds[i]! < seconds[i - 1]!)
      throw new PowerTraceError(
        `the times of the power trace fall at sample ${i + 1}`,
        'Give one recording at a time, in the order in which it was taken.',
      );
  }
  return { seconds: Float64Array.from(seconds), watts: Float64Array.from(watts) };
}

/**
 * Joules drawn in an interval: the area under straight lines between samples, cut exactly at both ends.
 * Throws PowerTraceError where the trace does not cover the interval.
 */
export function energyBetween({ seconds, watts }: PowerTrace, { from, to }: TraceInterval): number {
  const first = seconds[0]!;
  const last = seconds.at(-1)!;
  if (!(from <= to)) throw new PowerTraceError(`the interval from ${from} s to ${to} s is empty`, 'Swap its ends.');
  if (from < first || to > last)
    throw new PowerTraceError(
      `the power trace covers ${first} s to ${last} s, not ${from} s to ${to} s`,
      'Start recording before the runs and stop after them, and check the offset between the two clocks.',
    );
  let joules = 0;
  for (let i = lowerBound(seconds, from); i < seconds.length; i++) {
    if (i === 0) continue;
    const start = Math.max(seconds[i - 1]!, from);
    const end = Math.min(seconds[i]!, to);
    if (end > start) {
      const slope = (watts[i]! - watts[i - 1]!) / (seconds[i]! - seconds[i - 1]!);
      const middle = watts[i - 1]! + slope * ((start + end) / 2 - seconds[i - 1]!);
      joules += middle * (end - start);
    }
    if (seconds[i]! >= to) break;
  }
  return joules;
}

/** Mean power of an interval, W. Throws as `energyBetween` does, and for an interval without length. */
export function meanPower(trace: PowerTrace, interval: TraceInterval): number {
  const joules = energyBetween(trace, interval);
  if (interval.to === interval.from)
    throw new PowerTraceError('the mean power of a moment is not defined', 'Give an interval with a length.');
  return joules / (interval.to - interval.from);
}

/**
 * Energy of `active` beyond that of the idle device, E = ∫P dt − P_idle·t (gaugeNN §4.5), the idle power in W being given or the
 * mean of a stretch in which nothing ran. Throws as `energyBetween` does.
 */
export function activeEnergy(trace: PowerTrace, active: TraceInterval, idle: number | TraceInterval): TraceEnergy {
  const seconds = active.to - active.from;
  const totalJoules = energyBetween(trace, active);
  const idleJoules = (typeof idle === 'number' ? idle : meanPower(trace, idle)) * seconds;
  return { seconds, totalJoules, idleJoules, joules: totalJoules - idleJoules };
}

/** The first index whose value is not below `value`. */
function lowerBound(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
