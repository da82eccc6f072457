/** @file The study's energy run: the phone measures alone, its cable dead and its radio off, and reports when done (gaugeNN §4.1). */
import type { AndroidDevice } from '../../platform/node/adb.js';
import { parseGauge } from '../energy/android-meters.js';
import { perInference, type InferenceEnergy } from '../energy/meter.js';
import { activeEnergy, powerTrace } from '../energy/power-trace.js';
import { cleanDevice, commandOf, prepareDevice, type AndroidConfiguration, type AndroidJob } from './experiment.js';
import { androidState, type AndroidDescription, type AndroidState } from './properties.js';
import { ToolError, toolTimes, type ToolTimes } from './tools.js';

/** Switches the USB port's power: a hub that can, a relay, a person. */
export interface PowerSwitch {
  off(): Promise<void>;
  on(): Promise<void>;
}

/** Where the phone reports to, over Wi-Fi. */
export interface Notification {
  readonly host: string;
  readonly port: number;
  readonly token: string;
  heard(timeoutMs: number): Promise<void>;
}

/** What happens, in this order. */
export const unpluggedSteps = [
  'prepare',
  'start',
  'wifi-off',
  'power-off',
  'reported',
  'power-on',
  'collect',
  'clean',
] as const;
export type UnpluggedStep = (typeof unpluggedSteps)[number];

export interface UnpluggedOptions {
  readonly power: PowerSwitch;
  readonly notification: Notification;
  /** Opens the device again when its cable is live: the old connection is gone. */
  readonly reopen: () => Promise<AndroidDevice>;
  /** Rest between power-off and the first run, in which idle power is read, s. */
  readonly idleSeconds?: number;
  readonly timeoutMs?: number;
  readonly onStep?: (step: UnpluggedStep) => void;
}

export interface UnpluggedMeasurement {
  readonly times: ToolTimes;
  /** From the gauge that the phone read itself; `undefined` where it has none (an external monitor has the energy then). */
  readonly energy: InferenceEnergy | undefined;
  readonly before: AndroidState;
  readonly after: AndroidState;
  /** The phone's clock, s: when its power went, when the runs began and ended. A monitor's trace is cut by these. */
  readonly clock: Readonly<Record<'powerOff' | 'begin' | 'end', number>>;
}

const FOLDER = '/data/local/tmp/cuttle';

/**
 * The phone's part, as a shell script: wait until no supply is online, rest, run, switch Wi-Fi on, report until heard.
 * Lines of `events` and `gauge` begin with the clock, s.
 */
export function unpluggedScript(
  command: string,
  { host, port, token }: Pick<Notification, 'host' | 'port' | 'token'>,
  idleSeconds: number,
): string {
  return `cd ${FOLDER}
tries=0
while cat /sys/class/power_supply/*/online 2>/dev/null | grep -q 1; do
  tries=$((tries + 1))
  [ $tries -gt 1200 ] && exit 9
  sleep 0.25
done
echo "$(date +%s.%N) power-off" >> events
while true; do
  echo "$(date +%s.%N) $(cat /sys/class/power_supply/battery/current_now) $(cat /sys/class/power_supply/battery/voltage_now)"
  sleep 0.25
done >> gauge 2>/dev/null &
sampler=$!
sleep ${idleSeconds}
echo "$(date +%s.%N) begin" >> events
( ${command} ) > output
echo "exit=$?" >> output
echo "$(date +%s.%N) end" >> events
sleep 1
kill $sampler
svc wifi enable
tries=0
until echo ${token} | nc -w 2 ${host} ${port}; do
  tries=$((tries + 1))
  [ $tries -gt 180 ] && break
  sleep 1
done
`;
}

/** Runs one configuration without a cable. Throws AdbError, ToolError, NotifyError; power is switched on again whatever happens. */
export async function runUnplugged(
  device: AndroidDevice,
  description: AndroidDescription,
  job: AndroidJob,
  configuration: AndroidConfiguration,
  options: UnpluggedOptions,
): Promise<UnpluggedMeasurement> {
  const { power, notification, idleSeconds = 10, timeoutMs = 15 * 60_000, onStep = () => undefined } = options;
  const command = commandOf(job, configuration, description);
  onStep('prepare');
  await prepareDevice(device, job);
  const script = unpluggedScript(command, notification, idleSeconds);
  await device.push(new TextEncoder().encode(script), `${FOLDER}/run.sh`, 0o755);
  const before = await androidState(device);
  onStep('start');
  await device.shell(`nohup sh ${FOLDER}/run.sh > /dev/null 2>&1 &`);
  onStep('wifi-off');
  await device.shell('svc wifi disable');
  onStep('power-off');
  await power.off();
  try {
    await notification.heard(timeoutMs);
    onStep('reported');
  } finally {
    onStep('power-on');
    await power.on();
  }
  const again = await options.reopen();
  try {
    onStep('collect');
    const read = async (name: string): Promise<string> =>
      new TextDecoder().decode(await again.pull(`${FOLDER}/${name}`));
    const output = await read('output');
    const clock = clockOf(await read('events'));
    const times = toolTimes(job.tool, output, Number(/exit=(\d+)\s*$/.exec(output)?.[1] ?? 1));
    const after = await androidState(again);
    const inferences = configuration.warmup + (times.runs ?? configuration.runs);
    const energy = gaugeEnergy(await read('gauge'), clock, inferences);
    onStep('clean');
    await cleanDevice(again);
    return { times, energy, before, after, clock };
  } finally {
    await again.close();
  }
}

function clockOf(events: string): UnpluggedMeasurement['clock'] {
  const at = (name: string): number => Number(new RegExp(`^([\\d.]+) ${name}\\s*$`, 'm').exec(events)?.[1]);
  const clock = { powerOff: at('power-off'), begin: at('begin'), end: at('end') };
  if (Object.values(clock).some(Number.isNaN))
    throw new ToolError(
      'the phone’s log of events is incomplete',
      'It may have been restarted during the run; try again.',
    );
  return clock;
}

/** Energy between begin and end, idle power being that between power-off and begin. `undefined` where the gauge said nothing. */
function gaugeEnergy(
  gauge: string,
  clock: UnpluggedMeasurement['clock'],
  inferences: number,
): InferenceEnergy | undefined {
  const seconds: number[] = [];
  const watts: number[] = [];
  for (const line of gauge.split(/\r?\n/)) {
    const match = /^([\d.]+) (.+)$/.exec(line);
    const power = match === null ? undefined : parseGauge(match[2]!);
    if (match === null || power === undefined) continue;
    seconds.push(Number(match[1]));
    watts.push(power);
  }
  if (seconds.length < 4) return undefined;
  const trace = powerTrace(seconds, watts);
  const within = (time: number): number => Math.min(trace.seconds.at(-1)!, Math.max(trace.seconds[0]!, time));
  const active = { from: within(clock.begin), to: within(clock.end) };
  if (active.to <= active.from) return undefined;
  const idle = { from: within(clock.powerOff), to: active.from };
  const energy = activeEnergy(trace, active, idle.to > idle.from ? idle : 0);
  return perInference(
    {
      meter: 'android-battery',
      source: `current × voltage of the fuel gauge, read by the phone, ${seconds.length} samples`,
      seconds: energy.seconds,
      totalJoules: energy.totalJoules,
      idleWatts: energy.idleJoules / energy.seconds,
      joules: energy.joules,
      resolutionJoules: energy.totalJoules / energy.seconds,
    },
    inferences,
  );
}
