/** @file The scheduler's tables of a network without exits (DynO): one threshold, every measured cut and bit-width. */
import type { Cuts } from '../cuts.js';
import { SchedulerError } from '../scheduler/errors.js';
import type { SplitTables } from '../scheduler/tables.js';
import type { MeasuredCut } from './measure-packed.js';

/** What `measurePacked` does not know. */
export interface PlainMeasurements extends Pick<SplitTables, 'responseBytes' | 'power'> {
  /** Device time before each cut of the graph, ms: `cutTimes(cuts, profileOfTheDevice).prefix`. */
  readonly deviceMs: Float64Array;
  /** Server time behind each cut, ms: `cutTimes(cuts, profileOfTheServer).rest`. */
  readonly serverMs: Float64Array;
}

/**
 * Joins measurements into tables. `measured` must hold every bit-width for every cut, in the order in which `measurePacked`
 * gives them. Packing times are those of the machine that measured. Throws SchedulerError where something is missing.
 */
export function tablesWithoutExits(
  cuts: Cuts,
  measured: readonly MeasuredCut[],
  { deviceMs, serverMs, responseBytes, power }: PlainMeasurements,
): SplitTables {
  const numbers = [...new Set(measured.map(({ cut }) => cut))];
  const bits = [...new Set(measured.map(({ packing }) => packing.bits))];
  const grid = numbers.flatMap((cut) => bits.map((width) => ({ cut, width })));
  const complete =
    grid.length === measured.length &&
    grid.every(({ cut, width }, i) => measured[i]!.cut === cut && measured[i]!.packing.bits === width);
  if (!complete)
    throw new SchedulerError(
      'the measurements are not every bit-width at every cut, in order',
      'Measure with measurePacked.',
    );
  for (const [name, times] of Object.entries({ deviceMs, serverMs }))
    if (times.length !== cuts.cuts.length)
      throw new SchedulerError(`${times.length} values (${name}) for ${cuts.cuts.length} cuts`);
  const [device, server] = [deviceMs, serverMs].map((times) => Float64Array.from(numbers, (cut) => times[cut]!)) as [
    Float64Array,
    Float64Array,
  ];
  const serverOfWidths = Float64Array.from(measured, (_, i) => server[Math.floor(i / bits.length)]!);
  const sent = Float64Array.from(numbers, (cut) => (cuts.cuts[cut]!.frontier.length > 0 ? 1 : 0));
  return {
    cuts: numbers,
    // Nothing leaves early: no confidence is ever above it.
    thresholds: [Infinity],
    bits,
    deviceMs: device,
    serverMs: serverOfWidths,
    sent,
    bytes: Float64Array.from(measured, (row) => row.bytes),
    packMs: Float64Array.from(measured, (row) => row.packMs),
    unpackMs: Float64Array.from(measured, (row) => row.unpackMs),
    accuracy: Float64Array.from(measured, (row) => row.accuracy),
    responseBytes,
    // Every sample goes the same way.
    tail: { deviceMs: device, sent, serverMs: serverOfWidths },
    ...(power !== undefined && { power }),
  };
}
