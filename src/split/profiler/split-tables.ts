/** @file A split profile as the scheduler's tables: what each exit costs either side, weighted by who gets there. */
import type { Profile } from '../../runtime/index.js';
import { SchedulerError } from '../scheduler/errors.js';
import type { SplitTables, TailTables } from '../scheduler/tables.js';
import { sideTimes } from './side-times.js';
import { bitsOf, checkSplitProfile, cutsMeasured, type SideTimes, type SplitProfile } from './split-profile.js';

/** Other machines than those of the split profile: profiles of the same network made there. */
export interface SplitTablesOptions {
  readonly device?: Profile;
  readonly server?: Profile;
  /** Bit-widths to choose from; all measured ones where omitted. */
  readonly bits?: readonly number[];
  /** Thresholds to choose from; all measured ones and none (`Infinity`: exits are not run) where omitted. */
  readonly thresholds?: readonly number[];
}

/** What one sample costs that stops at an exit, at scale 1; packing not included. */
export interface PathCost {
  /** Place among the exits of the profile; the final one last. */
  readonly exit: number;
  readonly deviceMs: number;
  readonly sent: boolean;
  readonly serverMs: number;
}

/**
 * The scheduler's tables of a profile: all measured cuts and the one that sends nothing, all thresholds and running
 * without exits, all bit-widths. Throws SplitProfileError where the profile's parts do not fit.
 */
export function splitTables(profile: SplitProfile, options: SplitTablesOptions = {}): SplitTables {
  checkSplitProfile(profile);
  const device = options.device ? sideTimes(profile, options.device) : profile.device;
  const server = options.server ? sideTimes(profile, options.server) : profile.server;
  const last = profile.cuts.length - 1;
  const cuts = [...cutsMeasured(profile), last];
  const measured = bitsOf(profile);
  const bits = options.bits ?? measured;
  const exits = profile.exits.length === 0 ? [] : profile.thresholds;
  const thresholds = options.thresholds ?? [...exits, Infinity];
  const [C, T, B] = [cuts.length, thresholds.length, bits.length];
  const at = (size: number): Float64Array => new Float64Array(size);
  const tail = { deviceMs: at(C * T), sent: at(C * T), serverMs: at(C * T * B) } satisfies TailTables;
  const tables = {
    ...{ cuts, thresholds, bits, tail, responseBytes: profile.responseBytes },
    ...{ deviceMs: at(C * T), serverMs: at(C * T * B), sent: at(C * T), accuracy: at(C * T * B) },
    ...{ bytes: at(C * B), packMs: at(C * B), unpackMs: at(C * B) },
    ...(profile.power !== undefined && { power: profile.power }),
  } satisfies SplitTables;
  cuts.forEach((cut, c) => {
    const rows = bits.map((width) => packedAt(profile, cut, width));
    rows.forEach((row, b) => {
      tables.bytes[c * B + b] = row?.bytes ?? 0;
      tables.packMs[c * B + b] = row?.packMs ?? 0;
      tables.unpackMs[c * B + b] = row?.unpackMs ?? 0;
    });
    thresholds.forEach((threshold, t) => {
      const paths = pathCosts(profile, { device, server }, cut, threshold === Infinity ? 'none' : 'all');
      rows.forEach((row, b) => {
        const { accuracy, stops } = outcomeAt(profile, row, threshold);
        const cell = (c * T + t) * B + b;
        const mean = weighted(paths, stops);
        const slow = percentile(paths, stops, 0.95);
        tables.accuracy[cell] = accuracy;
        tables.serverMs[cell] = mean.serverMs;
        tail.serverMs[cell] = slow.serverMs;
        // What happens before the cut does not depend on the width.
        tables.deviceMs[c * T + t] = mean.deviceMs;
        tables.sent[c * T + t] = mean.sent;
        tail.deviceMs[c * T + t] = slow.deviceMs;
        tail.sent[c * T + t] = slow.sent ? 1 : 0;
      });
    });
  });
  return tables;
}

/** Accuracy and stops of one configuration: `row` is undefined where nothing is sent. Throws SchedulerError for unknown thresholds. */
export function outcomeAt(
  profile: SplitProfile,
  row: SplitProfile['packed'][number] | undefined,
  threshold: number,
): { readonly accuracy: number; readonly stops: readonly number[] } {
  if (threshold === Infinity)
    return {
      accuracy: row?.accuracy ?? profile.final.accuracy,
      stops: [...profile.exits.map(() => 0), 1],
    };
  const place = profile.thresholds.indexOf(threshold);
  if (place < 0) throw new SchedulerError(`threshold ${threshold} was not measured`);
  return (row?.outcomes ?? profile.local)[place]!;
}

/** The measurements of a ⟨cut, bits⟩; undefined for the cut that sends nothing. Throws SchedulerError for others that were not measured. */
export function packedAt(profile: SplitProfile, cut: number, bits: number): SplitProfile['packed'][number] | undefined {
  if (cut === profile.cuts.length - 1) return undefined;
  const row = profile.packed.find((one) => one.cut === cut && one.bits === bits);
  if (row === undefined) throw new SchedulerError(`cut ${cut} with ${bits} bits was not measured`);
  return row;
}

/**
 * What a sample costs, by the exit at which it stops; with `exits` none, only the final one is there and heads cost
 * nothing. A sample that stops before the cut never leaves the device.
 */
export function pathCosts(
  profile: Pick<SplitProfile, 'cuts' | 'exits' | 'final'>,
  { device, server }: Readonly<Record<'device' | 'server', Pick<SideTimes, 'cutMs' | 'exitMs'>>>,
  cut: number,
  exits: 'all' | 'none',
): readonly PathCost[] {
  const last = profile.cuts.length - 1;
  const upTo = (side: Pick<SideTimes, 'cutMs'>, end: number): number => sum(side.cutMs.slice(0, end + 1));
  const heads = (side: Pick<SideTimes, 'exitMs'>, from: number, to: number): number =>
    exits === 'none' ? 0 : sum(side.exitMs.slice(from, to));
  const before = profile.exits.filter(({ position }) => position <= cut).length;
  return [...profile.exits.map(({ position }) => position), last].map((position, exit) => {
    const own = exit === profile.exits.length ? exit : exit + 1;
    if (exit < before)
      return { exit, sent: false, deviceMs: upTo(device, position) + heads(device, 0, own), serverMs: 0 };
    const sent = cut < last;
    return {
      ...{ exit, sent },
      deviceMs: upTo(device, cut) + heads(device, 0, before),
      serverMs: sent ? upTo(server, position) - upTo(server, cut) + heads(server, before, own) : 0,
    };
  });
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function weighted(
  paths: readonly PathCost[],
  stops: readonly number[],
): Omit<PathCost, 'sent' | 'exit'> & { sent: number } {
  const mean = { deviceMs: 0, serverMs: 0, sent: 0 };
  paths.forEach(({ deviceMs, serverMs, sent }, i) => {
    mean.deviceMs += stops[i]! * deviceMs;
    mean.serverMs += stops[i]! * serverMs;
    if (sent) mean.sent += stops[i]!;
  });
  // A share of all samples, whatever the order in which parts were added.
  return { ...mean, sent: Math.min(1, mean.sent) };
}

/** The path of the sample that so large a share of the samples does not exceed; paths go from the least work to the most. */
function percentile(paths: readonly PathCost[], stops: readonly number[], level: number): PathCost {
  let reached = 0;
  for (const [i, path] of paths.entries()) {
    reached += stops[i]!;
    if (reached >= level - 1e-9) return path;
  }
  return paths.at(-1)!;
}
