/** @file One model on one Android device: put there, cooled, run by the framework's program, metered, taken away again. */
import type { AndroidDevice } from '../../platform/node/adb.js';
import { meterWork, type EnergyMeter, type InferenceEnergy } from '../energy/meter.js';
import { fastestMask, threadPlanName, type ThreadPlan } from './affinity.js';
import { androidState, type AndroidDescription, type AndroidState } from './properties.js';
import { toolArguments, ToolError, toolTimes, type BenchmarkTool, type ToolSettings, type ToolTimes } from './tools.js';

/** A file of the model, by the name that it needs on the device: ncnn's `.param` has a `.bin` beside it. */
export interface DeviceFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What is run, the same for all settings. */
export interface AndroidJob {
  readonly tool: BenchmarkTool;
  /** The tool's program for this device's ABI. */
  readonly program: Uint8Array;
  /** The model first. */
  readonly files: readonly [DeviceFile, ...DeviceFile[]];
  readonly input?: ToolSettings['input'];
}

export interface AndroidConfiguration {
  readonly plan: ThreadPlan;
  readonly batch?: number;
  readonly delegate: string;
  readonly warmup: number;
  readonly runs: number;
}

export interface AndroidMeasurement {
  readonly plan: string;
  readonly batch: number | undefined;
  readonly delegate: string;
  readonly times: ToolTimes;
  readonly energy: InferenceEnergy | undefined;
  readonly before: AndroidState;
  readonly after: AndroidState;
  /** What makes the figures doubtful. */
  readonly remarks: readonly string[];
}

export interface ExperimentOptions {
  readonly wait: (milliseconds: number) => Promise<void>;
  /** Waits until the device is at most this warm, °C. */
  readonly coolTo?: number;
  /** Gives up waiting after this long and says so. 300 s. */
  readonly coolSeconds?: number;
  readonly meter?: EnergyMeter;
  /** Idle power is metered for this long before each run. 5 s. */
  readonly idleSeconds?: number;
}

const FOLDER = '/data/local/tmp/cuttle';
/** The program's place on the device. */
export const DEVICE_PROGRAM = `${FOLDER}/program`;
const COOLING_STEP_MS = 2000;

/** A word of a shell command, whatever it holds. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** The command line of one run on the device, in its folder. Throws ToolError and AffinityError. */
export function commandOf(
  job: AndroidJob,
  { plan, batch, delegate, warmup, runs }: AndroidConfiguration,
  device: Pick<AndroidDescription, 'clusters'>,
): string {
  const settings: ToolSettings = {
    threads: plan.threads,
    delegate,
    warmup,
    runs,
    ...(batch === undefined ? {} : { batch }),
    ...(job.input === undefined ? {} : { input: job.input }),
  };
  const words = [DEVICE_PROGRAM, ...toolArguments(job.tool, `${FOLDER}/${job.files[0].name}`, settings)];
  const pinned = plan.fastest === undefined ? [] : ['taskset', fastestMask(device.clusters, plan.fastest)];
  return `cd ${FOLDER} && ${[...pinned, ...words].map(shellWord).join(' ')} 2>&1`;
}

/** Puts program and model on the device. Throws AdbError, ToolError where the device has no room. */
export async function prepareDevice(device: AndroidDevice, job: AndroidJob): Promise<void> {
  const made = await device.shell(`rm -rf ${FOLDER} && mkdir -p ${FOLDER}`);
  if (made.exitCode !== 0)
    throw new ToolError(
      `${device.serial} gives no folder ${FOLDER}: ${made.stderr.trim() || made.stdout.trim()}`,
      'Free some space on the device.',
    );
  await device.push(job.program, DEVICE_PROGRAM, 0o755);
  for (const { name, bytes } of job.files) await device.push(bytes, `${FOLDER}/${name}`, 0o644);
}

/** Takes everything away again; a device that is gone is left as it is. */
export async function cleanDevice(device: AndroidDevice): Promise<void> {
  await device.shell(`rm -rf ${FOLDER}`).catch(() => undefined);
}

/**
 * Runs one configuration on a prepared device while it stays attached. Throws AdbError, ToolError, AffinityError, MeterError.
 */
export async function runOnDevice(
  device: AndroidDevice,
  description: AndroidDescription,
  job: AndroidJob,
  configuration: AndroidConfiguration,
  options: ExperimentOptions,
): Promise<AndroidMeasurement> {
  const command = commandOf(job, configuration, description);
  const remarks: string[] = [];
  const before = await cooled(device, options, remarks);
  const { meter, idleSeconds = 5, wait } = options;
  let times: ToolTimes | undefined;
  const work = async (): Promise<number> => {
    const { stdout, exitCode } = await device.shell(command);
    times = toolTimes(job.tool, stdout, exitCode);
    return configuration.warmup + (times.runs ?? configuration.runs);
  };
  const energy =
    meter === undefined
      ? void (await work())
      : await meterWork(meter, work, { idleSeconds, wait: (seconds) => wait(seconds * 1000) });
  const after = await androidState(device);
  if (energy?.coarse === true) remarks.push('energy is within ten steps of the meter: ask for more runs');
  if (energy !== undefined) remarks.push('energy covers loading and warm-up too, shared among all inferences');
  if ((after.thermalStatus ?? 0) > 0) remarks.push(`Android throttles for heat (status ${after.thermalStatus})`);
  return {
    plan: threadPlanName(configuration.plan),
    batch: configuration.batch,
    delegate: configuration.delegate,
    times: times!,
    energy,
    before,
    after,
    remarks,
  };
}

/** Waits until the device is cool enough; says so where it does not get there. */
async function cooled(
  device: AndroidDevice,
  { coolTo, coolSeconds = 300, wait }: ExperimentOptions,
  remarks: string[],
): Promise<AndroidState> {
  let state = await androidState(device);
  if (coolTo === undefined) return state;
  if (state.celsius === undefined) {
    remarks.push('the device shows no temperature, so it was not cooled');
    return state;
  }
  for (let waited = 0; state.celsius! > coolTo; waited += COOLING_STEP_MS) {
    if (waited >= coolSeconds * 1000) {
      remarks.push(`still ${state.celsius!.toFixed(1)} °C after ${coolSeconds} s of rest`);
      break;
    }
    await wait(COOLING_STEP_MS);
    state = await androidState(device);
  }
  return state;
}
