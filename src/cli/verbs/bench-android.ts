/** @file `cuttle bench android`: a model on an attached phone, run by its framework's own benchmark program over adb. */
import { z } from 'zod';
import {
  androidBatteryMeter,
  androidRailsMeter,
  benchmarkTools,
  describeAndroid,
  parseThreadPlan,
  runUnplugged,
  sweepConfigurations,
  sweepDevice,
  threadPlanName,
  type AndroidDescription,
  type AndroidJob,
  type AndroidMeasurement,
  type AndroidSweep,
  type EnergyMeter,
  type SweepResult,
  type ToolName,
} from '../../measure/node.js';
import { sleep } from '../../platform/index.js';
import { openAndroid, type AdbServerPlace, type AndroidDevice } from '../../platform/node/adb.js';
import { basename, readBytes, writeJson } from '../../platform/node/files.js';
import { listenFor } from '../../platform/node/notify.js';
import { runShell } from '../../platform/node/shell.js';
import { milliseconds, textTable } from '../../report/index.js';
import { countsOption } from '../list-options.js';
import { defineVerb, option, UsageError } from '../verb.js';

const names = Object.keys(benchmarkTools) as [ToolName, ...ToolName[]];

const options = z.object({
  program: z.string({ error: 'is required: the framework’s benchmark program, built for the phone' }),
  tool: z.enum(names).default('tflite'),
  with: z.array(z.string()).default([]),
  input: z.string().optional(),
  plans: z
    .string()
    .default('1,2,4')
    .transform((text) => text.split(',').map(parseThreadPlan)),
  batch: countsOption.optional(),
  delegates: z
    .string()
    .default('cpu')
    .transform((text) => text.split(',').map((name) => name.trim())),
  warmUp: option.count(0).default(2),
  runs: option.count().default(50),
  coolTo: option.positive().optional(),
  meter: z.enum(['none', 'rails', 'battery', 'unplugged']).default('none'),
  rails: z.string().optional(),
  idleSeconds: z.coerce.number('is not a number').min(0, 'must not be negative').default(5),
  powerOff: z.string().optional(),
  powerOn: z.string().optional(),
  report: z.string().optional(),
  serial: z.string().optional(),
  adb: z.string().default('127.0.0.1:5037'),
  out: z.string().optional(),
  force: option.flag(),
});
type AndroidOptions = z.infer<typeof options>;

export const benchAndroid = defineVerb({
  name: 'android',
  summary: 'Measure a model on an attached Android phone with its framework’s own benchmark program.',
  args: [['<model>', 'a file that the program runs: .tflite, .onnx, .param, .mnn']],
  flags: [
    ['--program <file>', 'the framework’s benchmark program, built for the phone’s ABI'],
    ['--tool <name>', `whose program it is: ${names.join(', ')} (default tflite)`],
    ['--with <file...>', 'files that lie beside the model on the phone, such as ncnn’s .bin'],
    ['--input <name:shape>', 'the model’s input, such as input:1x96x96x3, for batches and for ncnn and MNN'],
    ['--plans <list>', 'threads, and the fastest cores they may use: 1,2,4,4a2 (default 1,2,4)'],
    ['--batch <list>', 'batch sizes (default: the model’s own)'],
    ['--delegates <list>', 'what computes: cpu, xnnpack, gpu, nnapi, hexagon … by tool (default cpu)'],
    ['--warm-up <count>', 'runs before the clock counts (default 2)'],
    ['--runs <count>', 'counted runs (default 50)'],
    ['--cool-to <celsius>', 'wait before each configuration until the phone is this cool'],
    ['--meter <name>', 'energy from: rails, battery, unplugged, none (default none)'],
    ['--rails <pattern>', 'count only power rails whose name matches'],
    ['--idle-seconds <seconds>', 'how long idle power is metered before a run (default 5)'],
    ['--power-off <command>', 'unplugged: switches the USB port off, such as a hub’s tool'],
    ['--power-on <command>', 'unplugged: switches it on again'],
    ['--report <host:port>', 'unplugged: where the phone reaches this computer over Wi-Fi'],
    ['--serial <number>', 'which phone, where several are attached'],
    ['--adb <host:port>', 'the adb server (default 127.0.0.1:5037)'],
    ['--out <file>', 'write the result as JSON'],
    ['--force', 'replace an existing file'],
  ],
  options,
  examples: [
    'cuttle bench android model.tflite --program benchmark_model --plans 1,2,4,4a2 --delegates cpu,gpu,nnapi --cool-to 35',
  ],
  async run({ args, options: given, console, signal }) {
    const place = placeOf(given.adb, '--adb');
    const job = await jobOf(args[0]!, given);
    const device = await openAndroid(given.serial, { host: place.host, port: place.port });
    try {
      const description = await describeAndroid(device);
      const sweep: AndroidSweep = {
        plans: given.plans,
        batches: given.batch ?? [undefined],
        delegates: given.delegates,
        warmup: given.warmUp,
        runs: given.runs,
      };
      const progress = console.progress(`measuring on ${description.model}`, sweepConfigurations(sweep).length);
      const onDone = (done: number): void => progress.update(done);
      const result =
        given.meter === 'unplugged'
          ? await withoutCable(device, description, job, sweep, given, place, onDone)
          : await sweepDevice(device, description, job, sweep, {
              wait: (ms) => sleep(ms, signal),
              idleSeconds: given.idleSeconds,
              onDone,
              signal,
              ...(given.coolTo === undefined ? {} : { coolTo: given.coolTo }),
              ...(await meterOf(device, given)),
            });
      progress.end();
      const json = {
        kind: 'cuttle.android-bench' as const,
        version: 1,
        model: basename(args[0]!),
        tool: given.tool,
        device: description,
        ...result,
      };
      if (given.out !== undefined) await writeJson(given.out, json, { force: given.force });
      return { json, text: textOf(description, result) };
    } finally {
      await device.close();
    }
  },
});

async function jobOf(model: string, given: AndroidOptions): Promise<AndroidJob> {
  const tool = benchmarkTools[given.tool];
  const ending = /\.([^.]+)$/.exec(model)?.[1]?.toLowerCase();
  if (ending === undefined || !tool.models.includes(ending))
    throw new UsageError(`${tool.title} runs .${tool.models.join(' and .')} files, not ${basename(model)}`);
  const match = given.input === undefined ? undefined : /^(.+):(\d+(?:x\d+)*)$/.exec(given.input);
  if (match === null) throw new UsageError(`--input: '${given.input}' is not like input:1x96x96x3`);
  const read = async (path: string) => ({ name: basename(path), bytes: await readBytes(path) });
  return {
    tool,
    program: await readBytes(given.program),
    files: [await read(model), ...(await Promise.all(given.with.map(read)))],
    ...(match === undefined ? {} : { input: { name: match[1]!, shape: match[2]!.split('x').map(Number) } }),
  };
}

function placeOf(text: string, flag: string): { readonly host: string; readonly port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(text);
  if (match === null) throw new UsageError(`${flag}: '${text}' is not an address such as 127.0.0.1:5037`);
  return { host: match[1]!, port: Number(match[2]) };
}

async function meterOf(
  device: AndroidDevice,
  { meter, rails }: AndroidOptions,
): Promise<{ readonly meter?: EnergyMeter }> {
  if (meter === 'rails')
    return { meter: await androidRailsMeter(device, rails === undefined ? undefined : new RegExp(rails)) };
  if (meter === 'battery') return { meter: await androidBatteryMeter(device, { wait: sleep }) };
  return {};
}

/** The study's loop, once per configuration. */
async function withoutCable(
  device: AndroidDevice,
  description: AndroidDescription,
  job: AndroidJob,
  sweep: AndroidSweep,
  given: AndroidOptions,
  adb: AdbServerPlace,
  onDone: (done: number) => void,
): Promise<SweepResult> {
  const { powerOff, powerOn, report, serial = device.serial, idleSeconds } = given;
  if (powerOff === undefined || powerOn === undefined || report === undefined)
    throw new UsageError(
      '--meter unplugged needs --power-off, --power-on and --report',
      'The first two are commands that switch the USB port; the phone reports over Wi-Fi.',
    );
  const { host, port } = placeOf(report, '--report');
  const measurements: AndroidMeasurement[] = [];
  let current = device;
  for (const configuration of sweepConfigurations(sweep)) {
    const token = `cuttle-${crypto.randomUUID()}`;
    const listener = await listenFor(token, '0.0.0.0', port);
    try {
      const { times, energy, before, after } = await runUnplugged(current, description, job, configuration, {
        power: { off: () => runShell(powerOff), on: () => runShell(powerOn) },
        notification: { host, port: listener.port, token, heard: (ms) => listener.heard(ms) },
        reopen: async () => {
          current = await openAgain(serial, adb);
          return current;
        },
        idleSeconds,
      });
      measurements.push({
        plan: threadPlanName(configuration.plan),
        batch: configuration.batch,
        delegate: configuration.delegate,
        ...{ times, energy, before, after },
        remarks: [],
      });
    } finally {
      await listener.close();
    }
    onDone(measurements.length);
    current = await openAgain(serial, adb);
  }
  await current.close();
  return { measurements, failures: [] };
}

/** A phone needs some seconds to be listed again after its port was switched on. */
async function openAgain(serial: string, adb: AdbServerPlace): Promise<AndroidDevice> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await openAndroid(serial, adb);
    } catch (error) {
      if (attempt === 30) throw error;
      await sleep(1000);
    }
  }
}

function textOf(device: AndroidDescription, { measurements, failures }: SweepResult): string {
  return [
    `${device.manufacturer} ${device.model} (${device.soc}, Android ${device.release})`,
    '',
    textTable(
      [
        { name: 'delegate', value: ({ delegate }) => delegate },
        { name: 'threads', value: ({ plan }) => plan },
        { name: 'batch', align: 'right', value: ({ batch }) => `${batch ?? ''}` },
        { name: 'mean', align: 'right', value: ({ times }) => milliseconds(times.meanMs) },
        {
          name: 'first',
          align: 'right',
          value: ({ times }) => (times.firstMs === undefined ? '' : milliseconds(times.firstMs)),
        },
        {
          name: 'energy',
          align: 'right',
          value: ({ energy }) =>
            energy === undefined ? '' : `${(1000 * energy.joulesPerInference).toPrecision(3)} mJ (${energy.meter})`,
        },
        {
          name: 'heat',
          align: 'right',
          value: ({ before, after }) =>
            before.celsius === undefined ? '' : `${before.celsius.toFixed(0)} → ${after.celsius?.toFixed(0) ?? '?'} °C`,
        },
      ],
      measurements,
    ),
    ...[...new Set(measurements.flatMap(({ remarks }) => remarks))].map((remark) => `note: ${remark}`),
    ...failures.map(({ delegate, plan, reason }) => `not measured: ${delegate}, ${plan} threads: ${reason}`),
  ].join('\n');
}
