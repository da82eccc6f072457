/** @file What an Android device is, and what state it is in: properties, processors, clocks, heat, battery. */
import type { AndroidDevice } from '../../platform/node/adb.js';

/** Cores that share a highest clock: `little`, `big` and `prime` clusters. */
export interface CoreCluster {
  readonly cores: readonly number[];
  readonly maxMegahertz: number;
}

export interface AndroidDescription {
  readonly serial: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly soc: string;
  /** Version of Android, and of its API. */
  readonly release: string;
  readonly sdk: number;
  readonly abis: readonly string[];
  readonly memoryBytes: number | undefined;
  /** Slowest first. */
  readonly clusters: readonly CoreCluster[];
  readonly batteryMilliampHours: number | undefined;
}

export interface AndroidState {
  /** 0 to 1. */
  readonly batteryLevel: number | undefined;
  readonly batteryVolts: number | undefined;
  readonly batteryCelsius: number | undefined;
  /** A cable feeds it: energy cannot be read from the battery. */
  readonly powered: boolean;
  /** The hottest thermal zone, °C. */
  readonly celsius: number | undefined;
  /** Android's throttling status: 0 none, 1 light … 6 shutdown. */
  readonly thermalStatus: number | undefined;
  /** Current clock of every core, MHz; 0 for one that is offline. */
  readonly megahertz: readonly number[];
}

const lines = (text: string): readonly string[] => text.split(/\r?\n/);

/** Reads properties, clusters, memory and battery capacity; what the device does not tell is `undefined`. Throws AdbError. */
export async function describeAndroid(device: AndroidDevice): Promise<AndroidDescription> {
  const properties = parseProperties((await device.shell('getprop')).stdout);
  const of = (...names: readonly string[]): string =>
    names.map((name) => properties.get(name)).find((value) => value !== undefined && value !== '') ?? '';
  const clocks = await device.shell(
    'for c in /sys/devices/system/cpu/cpu[0-9]*; do echo "$c $(cat $c/cpufreq/cpuinfo_max_freq 2>/dev/null)"; done',
  );
  const memory = /^MemTotal:\s+(\d+) kB/m.exec((await device.shell('cat /proc/meminfo')).stdout)?.[1];
  const charge = await device.shell('cat /sys/class/power_supply/battery/charge_full_design 2>/dev/null');
  const microampHours = Number(charge.stdout.trim());
  return {
    serial: device.serial,
    manufacturer: of('ro.product.manufacturer'),
    model: of('ro.product.model'),
    soc: of('ro.soc.model', 'ro.board.platform', 'ro.hardware'),
    release: of('ro.build.version.release'),
    sdk: Number(of('ro.build.version.sdk') || 0),
    abis: of('ro.product.cpu.abilist', 'ro.product.cpu.abi')
      .split(',')
      .filter((abi) => abi !== ''),
    memoryBytes: memory === undefined ? undefined : Number(memory) * 1024,
    clusters: parseClusters(clocks.stdout),
    batteryMilliampHours: microampHours > 0 ? microampHours / 1000 : undefined,
  };
}

/** Reads battery, heat and clocks. Throws AdbError. */
export async function androidState(device: AndroidDevice): Promise<AndroidState> {
  const battery = parseBattery((await device.shell('dumpsys battery')).stdout);
  const zones = await device.shell('cat /sys/class/thermal/thermal_zone*/temp 2>/dev/null');
  const thermal = /Thermal Status:\s*(\d+)/.exec((await device.shell('dumpsys thermalservice')).stdout)?.[1];
  const clocks = await device.shell(
    'for c in /sys/devices/system/cpu/cpu[0-9]*; do cat $c/cpufreq/scaling_cur_freq 2>/dev/null || echo 0; done',
  );
  const heat = lines(zones.stdout)
    .map((line) => Number(line.trim()))
    .filter((value) => Number.isFinite(value) && value > 0)
    // Most kernels say millidegrees, some degrees or tenths.
    .map((value) => (value > 1000 ? value / 1000 : value > 150 ? value / 10 : value))
    .filter((celsius) => celsius < 150);
  return {
    ...battery,
    celsius: heat.length > 0 ? Math.max(...heat) : undefined,
    thermalStatus: thermal === undefined ? undefined : Number(thermal),
    megahertz: lines(clocks.stdout)
      .filter((line) => /^\d+$/.test(line.trim()))
      .map((line) => Number(line) / 1000),
  };
}

/** `[name]: [value]` lines of getprop. */
export function parseProperties(text: string): ReadonlyMap<string, string> {
  return new Map([...text.matchAll(/^\[([^\]]+)\]: \[([^\]]*)\]\r?$/gm)].map((match) => [match[1]!, match[2]!]));
}

/** What `dumpsys battery` says: level over scale, millivolts, tenths of a degree, and whether anything feeds it. */
export function parseBattery(
  text: string,
): Pick<AndroidState, 'batteryLevel' | 'batteryVolts' | 'batteryCelsius' | 'powered'> {
  const number = (name: string): number | undefined => {
    const value = new RegExp(`^\\s*${name}: (-?\\d+)\\s*$`, 'm').exec(text)?.[1];
    return value === undefined ? undefined : Number(value);
  };
  const level = number('level');
  const millivolts = number('voltage');
  const tenths = number('temperature');
  return {
    batteryLevel: level === undefined ? undefined : level / (number('scale') ?? 100),
    batteryVolts: millivolts === undefined ? undefined : millivolts / 1000,
    batteryCelsius: tenths === undefined ? undefined : tenths / 10,
    powered: /^\s*(AC|USB|Wireless|Dock) powered: true\s*$/m.test(text),
  };
}

/** Cores grouped by their highest clock, slowest cluster first. */
function parseClusters(text: string): readonly CoreCluster[] {
  const clusters = new Map<number, number[]>();
  for (const match of text.matchAll(/cpu(\d+) (\d+)\r?$/gm)) {
    const maxMegahertz = Number(match[2]) / 1000;
    clusters.set(maxMegahertz, [...(clusters.get(maxMegahertz) ?? []), Number(match[1])]);
  }
  return [...clusters]
    .sort(([a], [b]) => a - b)
    .map(([maxMegahertz, cores]) => ({ maxMegahertz, cores: cores.sort((a, b) => a - b) }));
}
