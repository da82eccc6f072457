/** @file `cuttle audit bench`: the models that an audit found, measured on this computer or on an attached phone. */
import { z } from 'zod';
import { modelFormats, type ModelFormat } from '../../audit/index.js';
import { extractModels, type ExtractedModel, type Measurement } from '../../audit/node.js';
import { CuttleError } from '../../ir/index.js';
import {
  benchmarkTools,
  describeAndroid,
  parseThreadPlan,
  runBench,
  sweepDevice,
  type ThreadPlan,
  type ToolName,
} from '../../measure/node.js';
import { describeHost, sleep } from '../../platform/index.js';
import { openAndroid } from '../../platform/node/adb.js';
import { fileInfo, joinPath, makeFolder, readBytes, writeJson } from '../../platform/node/files.js';
import { milliseconds, textTable } from '../../report/index.js';
import { hostMeasurement, phoneMeasurement, runnableFormats, runnableModel } from '../audit-measure.js';
import { countsOption, namesOption } from '../list-options.js';
import { defineVerb, option, UsageError } from '../verb.js';

const tools = Object.keys(benchmarkTools) as [ToolName, ...ToolName[]];
/** Formats that the programs of phones run. */
const toolFormats: Readonly<Record<ToolName, readonly ModelFormat[]>> = {
  tflite: ['tflite'],
  onnxruntime: ['onnx', 'ort'],
  ncnn: ['ncnn'],
  mnn: ['mnn'],
};

const options = z.object({
  threads: countsOption.optional(),
  batch: countsOption.default([1]),
  provider: namesOption(['native', 'wasm']).default(['native']),
  openings: option.count().default(3),
  runs: option.count().default(20),
  model: z.array(z.string()).optional(),
  downloads: option.text().optional(),
  android: option.flag(),
  program: option.text().optional(),
  tool: z.enum(tools).default('tflite'),
  plans: z
    .string()
    .default('1,4')
    .transform((text): readonly ThreadPlan[] => text.split(',').map(parseThreadPlan)),
  delegates: z
    .string()
    .default('cpu')
    .transform((text) => text.split(',').map((name) => name.trim())),
  coolTo: option.positive().optional(),
  serial: option.text().optional(),
  adbPort: option.count().default(5037),
  again: option.flag(),
});
type Options = z.infer<typeof options>;

/** Measures one model, one result per configuration. Throws CuttleError where the model cannot be run. */
type Measurer = (model: ExtractedModel) => Promise<readonly Measurement[]>;

export const auditBench = defineVerb({
  name: 'bench',
  summary: 'Measure the models that an audit found, on this computer or on an attached Android phone.',
  args: [['<run>', 'the folder of a run']],
  flags: [
    ['--threads <list>', 'thread counts on this computer (default: the physical cores)'],
    ['--batch <list>', 'batch sizes (default 1)'],
    ['--provider <list>', 'native, wasm, or both (default native)'],
    ['--openings <count>', 'sessions opened per configuration (default 3)'],
    ['--runs <count>', 'counted runs, at least (default 20)'],
    ['--model <sha256...>', 'only these models; the first characters of a checksum are enough'],
    ['--downloads <folder>', 'where downloaded apps were kept'],
    ['--android', 'on an attached phone, with the framework’s own program'],
    ['--program <file>', 'with --android: the program, built for the phone’s ABI'],
    ['--tool <name>', `with --android: whose program it is: ${tools.join(', ')} (default tflite)`],
    ['--plans <list>', 'with --android: threads, and the fastest cores they may use: 1,4,4a2 (default 1,4)'],
    ['--delegates <list>', 'with --android: what computes: cpu, xnnpack, gpu, nnapi … (default cpu)'],
    ['--cool-to <celsius>', 'with --android: wait until the phone is this cool'],
    ['--serial <number>', 'with --android: which phone, where several are attached'],
    ['--adb-port <number>', 'with --android: port of the adb server (default 5037)'],
    ['--again', 'measure anew what has been measured'],
  ],
  options,
  examples: [
    'cuttle audit bench audit --threads 1,2',
    'cuttle audit bench audit --android --program benchmark_model --delegates cpu,gpu',
  ],
  async run({ args, options: given, console, signal }) {
    const folder = joinPath(args[0]!, 'measurements');
    const target = given.android ? await phone(given, signal) : await host(given, signal);
    await makeFolder(folder);
    const all: Measurement[] = [];
    let skipped = 0;
    try {
      const { missed } = await extractModels(
        args[0]!,
        {
          formats: target.formats,
          ...(given.model && { only: given.model }),
          ...(given.downloads !== undefined && { downloads: given.downloads }),
          signal,
        },
        async (model) => {
          const { sha256, path } = model.record;
          const file = joinPath(folder, `${sha256.slice(0, 16)}-${target.key}.json`);
          if (!given.again && (await fileInfo(file)) !== undefined) {
            skipped++;
            return;
          }
          console.log(`${path} (${modelFormats[model.record.format].title})`);
          const measurements = await target.measure(model).catch((error: unknown): readonly Measurement[] => {
            if (!(error instanceof CuttleError) || error.kind === 'usage' || error.code === 'platform/adb') throw error;
            return [failure(sha256, target.device, error.message)];
          });
          await writeJson(file, measurements, { force: true });
          all.push(...measurements);
        },
      );
      return {
        json: { device: target.device, measurements: all, skipped, missed },
        text: textOf(target.device, all, skipped, missed),
      };
    } finally {
      await target.close();
    }
  },
});

interface Target {
  readonly device: string;
  /** Part of file names. */
  readonly key: string;
  readonly formats: readonly ModelFormat[];
  readonly measure: Measurer;
  close(): Promise<void>;
}

async function host(given: Options, signal: AbortSignal): Promise<Target> {
  const { cpu, physicalCores } = await describeHost();
  const threads = given.threads ?? [physicalCores];
  return {
    device: cpu,
    key: `host-${given.provider.join('+')}-t${threads.join('+')}-b${given.batch.join('+')}`,
    formats: runnableFormats,
    close: () => Promise.resolve(),
    measure: async (found) => {
      const { sha256 } = found.record;
      const result = await runBench({
        models: [{ name: sha256.slice(0, 16), model: runnableModel(found), sha256 }],
        sweep: {
          providers: given.provider,
          threads,
          batches: given.batch,
          precisions: ['fp32'],
          resolutions: [undefined],
        },
        openings: given.openings,
        plan: { runs: given.runs, minSeconds: 0.1 },
        signal,
      });
      return [
        ...result.entries.map((entry) => hostMeasurement(sha256, cpu, entry)),
        ...result.skipped.map(({ reason, configuration }) => ({
          ...failure(sha256, cpu, reason),
          threads: configuration.threads,
          batch: configuration.batch,
        })),
      ];
    },
  };
}

async function phone(given: Options, signal: AbortSignal): Promise<Target> {
  const { program: path, tool: name, coolTo } = given;
  if (path === undefined)
    throw new UsageError('--android needs --program', 'Name the framework’s benchmark program, built for the phone.');
  const program = await readBytes(path);
  const device = await openAndroid(given.serial, { port: given.adbPort });
  const description = await describeAndroid(device);
  const title = `${description.manufacturer} ${description.model}`;
  const tool = benchmarkTools[name];
  return {
    device: title,
    key: `${description.model.replaceAll(/[^A-Za-z0-9]+/g, '-')}-${name}-${given.delegates.join('+')}`,
    formats: toolFormats[name],
    close: () => device.close(),
    measure: async ({ record, bytes }) => {
      const input = record.content.status === 'read' ? record.content.inputs[0] : undefined;
      const shape = input?.shape?.every((size): size is number => size !== null) ? input.shape : undefined;
      const { measurements, failures } = await sweepDevice(
        device,
        description,
        {
          tool,
          program,
          files: [{ name: `model.${tool.models[0]}`, bytes }],
          ...(input !== undefined && shape !== undefined && { input: { name: input.name, shape } }),
        },
        {
          plans: given.plans,
          batches: given.batch.map((batch) => (batch === 1 ? undefined : batch)),
          delegates: given.delegates,
          warmup: 2,
          runs: given.runs,
        },
        { wait: (ms) => sleep(ms, signal), signal, ...(coolTo !== undefined && { coolTo }) },
      );
      return [
        ...measurements.map((measurement) => phoneMeasurement(record.sha256, title, measurement)),
        ...failures.map(({ reason, batch, delegate }) => ({
          ...failure(record.sha256, title, reason),
          backend: delegate,
          batch: batch ?? 1,
        })),
      ];
    },
  };
}

const failure = (model: string, device: string, reason: string): Measurement => ({
  schema: 1,
  model,
  device,
  backend: 'cpu',
  batch: 1,
  failure: reason,
});

function textOf(
  device: string,
  all: readonly Measurement[],
  skipped: number,
  missed: readonly { readonly path: string; readonly reason: string }[],
): string {
  return [
    `${device}: ${all.length} measurements`,
    '',
    textTable(
      [
        { name: 'model', value: ({ model }: Measurement) => model.slice(0, 16) },
        {
          name: 'on',
          value: ({ backend, threads, affinity }) =>
            `${backend}${threads === undefined ? '' : `, ${threads} threads`}${affinity === undefined ? '' : ` on ${affinity}`}`,
        },
        { name: 'batch', align: 'right', value: ({ batch }) => `${batch}` },
        {
          name: 'p50',
          align: 'right',
          value: ({ latencyMs }) => (latencyMs === undefined ? '–' : milliseconds(latencyMs.p50)),
        },
        {
          name: 'energy',
          align: 'right',
          value: ({ energyMj }) => (energyMj === undefined ? '' : `${energyMj.toPrecision(3)} mJ`),
        },
        { name: '', value: ({ failure: why }) => why ?? '' },
      ],
      all,
    ),
    ...(skipped > 0 ? [`measured before: ${skipped} (again with --again)`] : []),
    ...missed.map(({ path, reason }) => `not measured: ${path}: ${reason}`),
  ].join('\n');
}
