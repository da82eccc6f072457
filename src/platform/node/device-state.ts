/** @file What Linux tells of a machine beyond its processor: model, battery, heat, clock. Everything is absent elsewhere. */
import { readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';

/** What changes from minute to minute; what the system does not tell is absent. */
export interface MachineState {
  /** 0 to 1. */
  readonly batteryLevel?: number;
  readonly charging?: boolean;
  /** The hottest thermal zone, °C. */
  readonly celsius?: number;
  readonly governor?: string;
  /** What the first processor runs at now. */
  readonly megahertz?: number;
  /** Processes ready to run, mean of the last minute. */
  readonly load?: number;
}

/** The machine's own name for its model: the device tree's (boards and phones), else the firmware's. */
export function machineModel(root = '/'): string | undefined {
  const tree = text(join(root, 'proc/device-tree/model'));
  if (tree !== undefined) return tree;
  const vendor = text(join(root, 'sys/class/dmi/id/sys_vendor'));
  const product = text(join(root, 'sys/class/dmi/id/product_name'));
  return [vendor, product].filter(Boolean).join(' ') || undefined;
}

/** Reads battery, thermal zones, governor and clock below `root` (/), and the load average. */
export function machineState(root = '/'): MachineState {
  const [load] = loadavg();
  const clock = number(join(root, 'sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq'));
  const governor = text(join(root, 'sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'));
  const heat = below(join(root, 'sys/class/thermal'))
    .filter((path) => path.includes('thermal_zone'))
    .flatMap((zone) => number(join(zone, 'temp')) ?? [])
    // Zones without a sensor report nonsense.
    .map((milli) => milli / 1000)
    .filter((celsius) => celsius > 0 && celsius < 150);
  return {
    ...battery(join(root, 'sys/class/power_supply')),
    ...(heat.length > 0 && { celsius: Math.max(...heat) }),
    ...(governor !== undefined && { governor }),
    ...(clock !== undefined && { megahertz: clock / 1000 }),
    // Windows has no load average and says 0.
    ...(process.platform !== 'win32' && load !== undefined && { load }),
  };
}

function battery(folder: string): Pick<MachineState, 'batteryLevel' | 'charging'> {
  for (const supply of below(folder)) {
    if (text(join(supply, 'type')) !== 'Battery') continue;
    const percent = number(join(supply, 'capacity'));
    const status = text(join(supply, 'status'));
    if (percent === undefined) continue;
    return { batteryLevel: percent / 100, ...(status !== undefined && { charging: status !== 'Discharging' }) };
  }
  return {};
}

function below(folder: string): readonly string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function text(path: string): string | undefined {
  try {
    // Device tree strings end with a zero byte.
    return readFileSync(path, 'utf8').replaceAll('\0', '').trim() || undefined;
  } catch {
    return undefined;
  }
}

function number(path: string): number | undefined {
  const value = Number(text(path) ?? NaN);
  return Number.isFinite(value) ? value : undefined;
}
