/** @file How busy the machine is with other things than this process. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';

/** Processor time since some fixed moment, ms summed over all cores. Two readings make a share. */
export interface LoadReading {
  readonly busyMs: number;
  readonly totalMs: number;
  /** This process's part of `busyMs`. */
  readonly ownMs: number;
}

/** Reads the system's counters: /proc/stat on Linux (with time stolen by other guests), Node's own elsewhere. */
export function readLoad(): LoadReading {
  const { user, system } = process.cpuUsage();
  return { ...systemTimes(), ownMs: (user + system) / 1000 };
}

/** Share of all cores' time that others took between two readings, 0 to 1; `undefined` where too little time has passed to tell. */
export function backgroundShare(before: LoadReading, after: LoadReading): number | undefined {
  const total = after.totalMs - before.totalMs;
  if (total < 50) return undefined;
  const others = after.busyMs - before.busyMs - (after.ownMs - before.ownMs);
  return Math.min(1, Math.max(0, others / total));
}

/** Processes that ran or waited to run, averaged over one minute; 0 where the system keeps no such figure. */
export function loadAverage(): number {
  return loadavg()[0] ?? 0;
}

/** Milliseconds per tick of /proc/stat: USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

function systemTimes(): { readonly busyMs: number; readonly totalMs: number } {
  if (process.platform === 'linux')
    try {
      const line = /^cpu\s+(.*)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1];
      // user nice system idle iowait irq softirq steal; guest times are part of user's.
      const ticks = line?.trim().split(/\s+/).slice(0, 8).map(Number);
      if (ticks !== undefined && ticks.length >= 5 && ticks.every(Number.isFinite)) {
        const total = ticks.reduce((sum, value) => sum + value, 0);
        return { busyMs: (total - ticks[3]! - ticks[4]!) * TICK_MS, totalMs: total * TICK_MS };
      }
    } catch {
      // A sandbox may hide /proc; Node's own counters follow.
    }
  let [busyMs, totalMs] = [0, 0];
  for (const { times } of cpus()) {
    const sum = times.user + times.nice + times.sys + times.idle + times.irq;
    totalMs += sum;
    busyMs += sum - times.idle;
  }
  return { busyMs, totalMs };
}
