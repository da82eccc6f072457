/** @file A split profile as the scheduler's tables: what each exit costs either side, weighted by who gets there. */
import type { Profile } from '../../runtime/index.js';
import { SchedulerError } from '../scheduler/errors.js';
import type { ExitRule } from '../scheduler/rule.js';
import type { SplitTables, TailTables } from '../scheduler/tables.js';
import { sideTimes } from './side-times.js';
import {
  bitsOf,
  checkSplitProfile,
  cutsMeasured,
  placeOfExit,
  rulesOf,
  type SideTimes,
  type SplitProfile,
} from './split-profile.js';

/** Other machines than those of the split profile: profiles of the same network made there. */
export interface SplitTablesOptions {
  readonly device?: Profile;
  readonly server?: Profile;
  /** Bit-widths to choose from; all measured ones where omitted. */
  readonly bits?: readonly number[];
  /** When samples may leave; all measured thresholds, each exit alone and running none where omitted. */
  readonly rules?: readonly ExitRule[];
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
 * The scheduler's tables of a profile: all measured cuts and the one that sends nothing, all thresholds, each exit
 * alone, running without exits, all bit-widths. Throws SplitProfileError where the profile's parts do not fit, and
 * SchedulerError for rules and widths that were not measured.
 */
export function splitTables(profile: SplitProfile, options: SplitTablesOptions = {}): SplitTables {
  checkSplitProfile(profile);
  const device = options.device ? sideTimes(profile, options.device) : profile.device;
  const server = options.server ? sideTimes(profile, options.server) : profile.server;
  const last = profile.cuts.length - 1;
  const cuts = [...cutsMeasured(profile), last];
  const measured = bitsOf(profile);
  const bits = options.bits ?? measured;
  const rules = options.rules ?? rulesOf(profile);
  const [C, R, B] = [cuts.length, rules.length, bits.length];
  const at = (size: number): Float64Array => new Float64Array(size);
  const tail = { deviceMs: at(C * R), sent: at(C * R), serverMs: at(C * R * B) } satisfies TailTables;
  const tables = {
    ...{ cuts, rules, bits, tail, responseBytes: profile.responseBytes },
    ...{ deviceMs: at(C * R), serverMs: at(C * R * B), sent: at(C * R), accuracy: at(C * R * B) },
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
    rules.forEach((rule, r) => {
      const paths = pathCosts(profile, { device, server }, cut, rule);
      rows.forEach((row, b) => {
        const { accuracy, stops } = outcomeAt(profile, row, rule);
        const cell = (c * R + r) * B + b;
        const mean = weighted(paths, stops);
        const slow = percentile(paths, stops, 0.95);
        tables.accuracy[cell] = accuracy;
        tables.serverMs[cell] = mean.serverMs;
        tail.serverMs[cell] = slow.serverMs;
        // What happens before the cut does not depend on the width.
        tables.deviceMs[c * R + r] = mean.deviceMs;
        tables.sent[c * R + r] = mean.sent;
        tail.deviceMs[c * R + r] = slow.deviceMs;
        tail.sent[c * R + r] = slow.sent ? 1 : 0;
      });
    });
  });
  return tables;
}

/** Accuracy and stops of one configuration: `row` is undefined where nothing is sent. Throws SchedulerError for rules that were not measured. */
export function outcomeAt(
  profile: SplitProfile,
  row: SplitProfile['packed'][number] | undefined,
  rule: ExitRule,
): { readonly accuracy: number; readonly stops: readonly number[] } {
  const { exits, final } = profile;
  const allAt = (place: number): readonly number[] => [...exits, final].map((_, i) => (i === place ? 1 : 0));
  if ('exit' in rule) {
    const place = placeOfExit(profile, rule.exit);
    const accuracy = row === undefined ? exits[place]!.accuracy : row.exitAccuracy?.[place];
    if (accuracy === undefined) throw new SchedulerError(`exit ${rule.exit} alone was not measured`);
    return { accuracy, stops: allAt(place) };
  }
  if (rule.threshold === Infinity) return { accuracy: row?.accuracy ?? final.accuracy, stops: allAt(exits.length) };
  const place = profile.thresholds.indexOf(rule.threshold);
  if (place < 0) throw new SchedulerError(`threshold ${rule.threshold} was not measured`);
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
 * What a sample costs, by the exit at which it stops, the heads that a rule runs on the way included. A sample that stops
 * before the cut never leaves the device.
 */
export function pathCosts(
  profile: Pick<SplitProfile, 'cuts' | 'exits' | 'final'>,
  { device, server }: Readonly<Record<'device' | 'server', Pick<SideTimes, 'cutMs' | 'exitMs'>>>,
  cut: number,
  rule: ExitRule,
): readonly PathCost[] {
  const last = profile.cuts.length - 1;
  const upTo = (side: Pick<SideTimes, 'cutMs'>, end: number): number => sum(side.cutMs.slice(0, end + 1));
  const runs = (exit: number): boolean =>
    'exit' in rule ? profile.exits[exit]!.exit === rule.exit : rule.threshold !== Infinity;
  const heads = (side: Pick<SideTimes, 'exitMs'>, from: number, to: number): number =>
    sum(side.exitMs.slice(from, to).filter((_, i) => runs(from + i)));
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
