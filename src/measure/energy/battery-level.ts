/** @file Energy from the battery's level: what a browser or a laptop can tell, in steps of a hundredth. */
import { now } from '../../platform/index.js';
import { MeterError, type EnergyMeter } from './meter.js';
import { batteryJoules, type Battery } from './scenarios.js';

/** What the level is read from: the browser's Battery Status API, or the operating system. */
export interface LevelSource {
  readonly name: string;
  /** Level from 0 to 1, and whether it is being charged. */
  read(): Promise<{ readonly level: number; readonly charging: boolean }>;
}

/**
 * Level lost × capacity. The level moves in steps of `step` (0.01 in browsers), so a run must take long enough to lose several.
 * `stop` throws MeterError while charging and where the level did not move. The caller must know the battery: no interface tells it.
 */
export function batteryLevelMeter(source: LevelSource, battery: Battery, step = 0.01): EnergyMeter {
  const full = batteryJoules(battery);
  const refuse = (message: string, hint: string): MeterError => new MeterError('battery-level', message, hint);
  const level = async (): Promise<number> => {
    const state = await source.read();
    if (state.charging)
      throw refuse('the battery is being charged, so its level tells nothing of energy used', 'Unplug the device.');
    return state.level;
  };
  const name = `${source.name}, ${battery.milliampHours} mAh at ${battery.volts} V`;
  return {
    kind: 'battery-level',
    source: name,
    start: async () => {
      const before = await level();
      const started = now();
      return {
        stop: async () => {
          const lost = before - (await level());
          const seconds = (now() - started) / 1000;
          if (!(lost > 0))
            throw refuse(
              `the battery's level did not move in ${seconds.toFixed(0)} s`,
              `Run for longer: one step is ${(full * step).toFixed(0)} J.`,
            );
          const totalJoules = lost * full;
          return {
            meter: 'battery-level' as const,
            source: name,
            seconds,
            totalJoules,
            joules: totalJoules,
            resolutionJoules: step * full,
          };
        },
      };
    },
  };
}

/** The browser's Battery Status API (Chromium), or `undefined` where it is missing. */
export function browserBattery(): LevelSource | undefined {
  const { navigator } = globalThis as {
    readonly navigator?: { getBattery?(): Promise<{ readonly level: number; readonly charging: boolean }> };
  };
  if (navigator?.getBattery === undefined) return undefined;
  return {
    name: 'Battery Status API',
    read: async () => {
      const { level, charging } = await navigator.getBattery!();
      return { level, charging };
    },
  };
}
