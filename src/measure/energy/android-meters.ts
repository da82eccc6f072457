/** @file Energy of an Android device by its own gauges: power rails where the phone has them, else the battery's. */
import type { AndroidDevice } from '../../platform/node/adb.js';
import { now } from '../../platform/index.js';
import { androidState } from '../android/properties.js';
import { counterMeter, MeterError, type EnergyMeter } from './meter.js';
import { energyBetween, powerTrace } from './power-trace.js';

/** Pixel phones since the 6: counters of on-device power monitors, `CH3(T=123456)[S2M_VDD_CPUCL2], 789` in µW·s. */
const RAILS = 'cat /sys/bus/iio/devices/iio:device*/energy_value 2>/dev/null';

/** Energy of every rail, J. Counters of equal name (two monitors) are summed. */
export function parseRails(text: string): ReadonlyMap<string, number> {
  const rails = new Map<string, number>();
  for (const match of text.matchAll(/^CH\d+\(T=\d+\)\[([^\]]+)\],\s*(\d+)\s*$/gm))
    rails.set(match[1]!, (rails.get(match[1]!) ?? 0) + Number(match[2]) / 1e6);
  return rails;
}

/**
 * The sum of all rails that `only` matches (all where omitted). Works with a cable attached. Throws MeterError where the device has no
 * readable rails.
 */
export async function androidRailsMeter(device: AndroidDevice, only?: RegExp): Promise<EnergyMeter> {
  const read = async (): Promise<ReadonlyMap<string, number>> => {
    const rails = parseRails((await device.shell(RAILS)).stdout);
    return only === undefined ? rails : new Map([...rails].filter(([name]) => only.test(name)));
  };
  const first = await read();
  if (first.size === 0)
    throw new MeterError(
      'android-rails',
      `${device.serial} shows no power rails${only === undefined ? '' : ` that match ${only.source}`}`,
      'Pixel 6 and later have them (root or adb shell may read them); elsewhere use the battery gauge or a power monitor.',
    );
  return counterMeter('android-rails', [...first.keys()].join(' + '), {
    wrapJoules: 0,
    resolutionJoules: first.size * 1e-6,
    read: async () => [...(await read()).values()].reduce((sum, joules) => sum + joules, 0),
  });
}

/** Current in µA and voltage in µV, in one reading so that both are of one moment; some kernels say mA and mV. */
const GAUGE = 'cd /sys/class/power_supply/battery && cat current_now voltage_now';

/** The gauge's power, W: discharging is negative on some phones and positive on others, so the magnitude counts. `undefined` for unreadable text. */
export function parseGauge(text: string): number | undefined {
  const [current, voltage] = text.trim().split(/\s+/).map(Number);
  if (!Number.isFinite(current) || !Number.isFinite(voltage) || voltage === 0) return undefined;
  // No phone battery holds 100 V or gives 100 A: what is larger is in micro-units, else milli-units.
  const volts = voltage! > 100_000 ? voltage! / 1e6 : voltage! / 1e3;
  const amps = Math.abs(current!) > 20_000 ? current! / 1e6 : current! / 1e3;
  return Math.abs(amps * volts);
}

export interface GaugeOptions {
  /** Between two readings, ms. Gauges renew their figure about once a second, a few every 250 ms. */
  readonly intervalMs?: number;
  readonly wait: (milliseconds: number) => Promise<void>;
}

/**
 * Current × voltage of the battery, sampled while the meter runs. Throws MeterError where the gauge cannot be read, or where a
 * cable feeds the phone, since the battery then does not carry the load (switch USB power off, or use adb over Wi-Fi).
 */
export async function androidBatteryMeter(
  device: AndroidDevice,
  { intervalMs = 250, wait }: GaugeOptions,
): Promise<EnergyMeter> {
  const refuse = (message: string, hint: string): MeterError => new MeterError('android-battery', message, hint);
  const watts = async (): Promise<number> => {
    const power = parseGauge((await device.shell(GAUGE)).stdout);
    if (power === undefined)
      throw refuse(`${device.serial} shows no battery gauge`, 'Some vendors hide it: use a power monitor.');
    return power;
  };
  await watts();
  if ((await androidState(device)).powered)
    throw refuse(
      `${device.serial} is fed by a cable: its battery does not carry the load`,
      'Use adb over Wi-Fi (adb tcpip 5555; adb connect ADDRESS) and unplug it, or switch the hub’s port off during runs.',
    );
  return {
    kind: 'android-battery',
    source: `current and voltage of the fuel gauge every ${intervalMs} ms`,
    start: async () => {
      const seconds: number[] = [];
      const powers: number[] = [];
      let stopped = false;
      const started = now();
      const sample = async (): Promise<void> => {
        const power = await watts();
        seconds.push((now() - started) / 1000);
        powers.push(power);
      };
      await sample();
      const sampling = (async () => {
        while (!stopped) {
          await wait(intervalMs);
          if (!stopped) await sample();
        }
      })();
      // Its failure is told by stop(), not as an unhandled rejection.
      sampling.catch(() => undefined);
      return {
        stop: async () => {
          stopped = true;
          await sampling;
          await sample();
          const trace = powerTrace(seconds, powers);
          const [from, to] = [trace.seconds[0]!, trace.seconds.at(-1)!];
          const totalJoules = energyBetween(trace, { from, to });
          return {
            meter: 'android-battery' as const,
            source: `current × voltage of the fuel gauge, ${seconds.length} samples`,
            seconds: to - from,
            totalJoules,
            joules: totalJoules,
            // A gauge may stand still for a second.
            resolutionJoules: to === from ? 0 : totalJoules / (to - from),
          };
        },
      };
    },
  };
}
