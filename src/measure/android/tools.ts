/** @file The frameworks' own benchmark programs: how each is called, and what its output says. */
import { CuttleError } from '../../ir/index.js';

/** A program whose output says no time, or a setting that it does not have. Exit code 1. */
export class ToolError extends CuttleError {
  constructor(message: string, hint: string) {
    super('failed', 'measure/benchmark-tool', message, { hint });
  }
}

export interface ToolSettings {
  readonly threads: number;
  readonly batch?: number;
  /** One of the tool's `delegates`. */
  readonly delegate: string;
  readonly warmup: number;
  readonly runs: number;
  /** The model's input, for tools that must be told. */
  readonly input?: { readonly name: string; readonly shape: readonly number[] };
}

/** What a run took; a figure that the tool does not print is absent. */
export interface ToolTimes {
  readonly meanMs: number;
  readonly p50Ms?: number;
  readonly p90Ms?: number;
  readonly minMs?: number;
  readonly maxMs?: number;
  readonly stdMs?: number;
  readonly loadMs?: number;
  readonly firstMs?: number;
  readonly runs?: number;
  readonly peakMemoryBytes?: number;
}

export interface BenchmarkTool {
  readonly title: string;
  /** Where its source is, so that a user can build it. */
  readonly source: string;
  /** Extensions of model files that it runs. */
  readonly models: readonly string[];
  readonly delegates: Readonly<Record<string, readonly string[]>>;
  /** Arguments after the program's name. */
  arguments(model: string, settings: ToolSettings, delegate: readonly string[]): readonly string[];
  parse(output: string): ToolTimes | undefined;
}

const number = (text: string, pattern: RegExp): number | undefined => {
  const value = pattern.exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
};
const scaled = (value: number | undefined, factor: number): number | undefined =>
  value === undefined ? undefined : value * factor;
/** Drops what is undefined: records are written as JSON. */
const known = <Value extends object>(value: Value): Value =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Value;

const tflite: BenchmarkTool = {
  title: 'TensorFlow Lite benchmark_model',
  source: 'tensorflow/lite/tools/benchmark',
  models: ['tflite'],
  delegates: {
    cpu: ['--use_xnnpack=false'],
    xnnpack: ['--use_xnnpack=true'],
    gpu: ['--use_gpu=true'],
    nnapi: ['--use_nnapi=true', '--disable_nnapi_cpu=true'],
    hexagon: ['--use_hexagon=true'],
  },
  arguments: (model, { threads, batch, warmup, runs, input }, delegate) => [
    `--graph=${model}`,
    `--num_threads=${threads}`,
    `--warmup_runs=${warmup}`,
    // The default goes on for half a second at least, whatever the count says.
    '--warmup_min_secs=0',
    `--num_runs=${runs}`,
    '--min_secs=0',
    '--max_secs=150',
    '--report_peak_memory_footprint=true',
    ...(batch === undefined || input === undefined
      ? []
      : [`--input_layer=${input.name}`, `--input_layer_shape=${[batch, ...input.shape.slice(1)].join(',')}`]),
    ...delegate,
  ],
  parse: (output) => {
    const summary =
      /Inference timings in us: Init: ([\d.e+]+), First inference: ([\d.e+]+), Warmup \(avg\): [\d.e+]+, Inference \(avg\): ([\d.e+]+)/.exec(
        output,
      );
    if (summary === null) return undefined;
    // The last line of counts is the measured series, the one before it the warm-up.
    const series = output.match(/count=\d+ .*/g)?.at(-1) ?? '';
    return known({
      meanMs: Number(summary[3]) / 1000,
      p50Ms: scaled(number(series, /median=([\d.e+]+)/), 1e-3),
      minMs: scaled(number(series, /min=([\d.e+]+)/), 1e-3),
      maxMs: scaled(number(series, /max=([\d.e+]+)/), 1e-3),
      stdMs: scaled(number(series, /std=([\d.e+]+)/), 1e-3),
      loadMs: Number(summary[1]) / 1000,
      firstMs: Number(summary[2]) / 1000,
      runs: number(series, /count=(\d+)/),
      peakMemoryBytes: scaled(number(output, /Overall peak memory footprint \(MB\)[^:]*: ([\d.]+)/), 2 ** 20),
    });
  },
};

const onnxruntime: BenchmarkTool = {
  title: 'ONNX Runtime onnxruntime_perf_test',
  source: 'onnxruntime/test/perftest',
  models: ['onnx', 'ort'],
  delegates: { cpu: ['-e', 'cpu'], nnapi: ['-e', 'nnapi'], xnnpack: ['-e', 'xnnpack'], qnn: ['-e', 'qnn'] },
  arguments: (model, { threads, runs }, delegate) => [
    '-m',
    'times',
    '-r',
    `${runs}`,
    '-x',
    `${threads}`,
    // Random inputs: no test data lies beside the model.
    '-I',
    ...delegate,
    model,
  ],
  parse: (output) => {
    const meanMs = number(output, /Average inference time cost(?: total)?: ([\d.e-]+) ms/);
    if (meanMs === undefined) return undefined;
    const seconds = (name: string): number | undefined =>
      scaled(number(output, new RegExp(`${name} Latency: ([\\d.e-]+) s`)), 1000);
    return known({
      meanMs,
      p50Ms: seconds('P50'),
      p90Ms: seconds('P90'),
      minMs: seconds('Min'),
      maxMs: seconds('Max'),
      loadMs: scaled(number(output, /Session creation time cost: ([\d.e-]+) s/), 1000),
      firstMs: number(output, /First inference time cost: ([\d.e-]+) ms/),
      runs: number(output, /Total inference requests: (\d+)/),
      peakMemoryBytes: number(output, /Peak working set size: (\d+) bytes/),
    });
  },
};

const ncnn: BenchmarkTool = {
  title: 'ncnn benchncnn',
  source: 'benchmark/benchncnn.cpp of ncnn',
  models: ['param'],
  delegates: { cpu: ['-1'], vulkan: ['0'] },
  arguments: (model, { threads, runs, input }, delegate) => [
    `${runs}`,
    `${threads}`,
    // Use all cores: affinity is set from outside.
    '0',
    ...delegate,
    // Do not rest ten seconds before the run: cooling is ours.
    '0',
    `param=${model}`,
    ...(input === undefined ? [] : [`shape=[${[...input.shape].reverse().join(',')}]`]),
  ],
  parse: (output) => {
    const times = /min =\s*([\d.]+)\s+max =\s*([\d.]+)\s+avg =\s*([\d.]+)/.exec(output);
    if (times === null) return undefined;
    return { minMs: Number(times[1]), maxMs: Number(times[2]), meanMs: Number(times[3]) };
  },
};

const mnn: BenchmarkTool = {
  title: 'MNN timeProfile.out',
  source: 'tools/cpp of MNN: timeProfile.out',
  models: ['mnn'],
  delegates: { cpu: ['0'], opencl: ['3'], vulkan: ['7'] },
  arguments: (model, { threads, runs, input }, delegate) => [
    model,
    `${runs}`,
    ...delegate,
    input === undefined ? '0' : input.shape.join('x'),
    `${threads}`,
  ],
  parse: (output) => {
    const meanMs = number(output, /total time\s*:\s*([\d.]+)\s*ms/i) ?? number(output, /Avg=\s*([\d.]+)\s*ms/);
    if (meanMs === undefined) return undefined;
    return known({
      meanMs,
      minMs: number(output, /min=\s*([\d.]+)\s*ms/i),
      maxMs: number(output, /max=\s*([\d.]+)\s*ms/i),
    });
  },
};

/** By the name that `--tool` takes. */
export const benchmarkTools = { tflite, onnxruntime, ncnn, mnn } as const satisfies Readonly<
  Record<string, BenchmarkTool>
>;
export type ToolName = keyof typeof benchmarkTools;

/** The arguments of one run. Throws ToolError for a delegate that the tool does not have. */
export function toolArguments(tool: BenchmarkTool, model: string, settings: ToolSettings): readonly string[] {
  const delegate = tool.delegates[settings.delegate];
  if (delegate === undefined)
    throw new ToolError(
      `${tool.title} has no delegate '${settings.delegate}'`,
      `It has: ${Object.keys(tool.delegates).join(', ')}.`,
    );
  return tool.arguments(model, settings, delegate);
}

/** What a run's output says. Throws ToolError with the output's last line where it says no time. */
export function toolTimes(tool: BenchmarkTool, output: string, exitCode: number): ToolTimes {
  const times = tool.parse(output);
  if (times !== undefined && exitCode === 0) return times;
  const last = output.trim().split(/\r?\n/).at(-1)?.slice(0, 300) ?? '';
  throw new ToolError(
    `${tool.title} ended with code ${exitCode}${times === undefined ? ' and said no time' : ''}: ${last}`,
    'Run the same command in: adb shell',
  );
}
