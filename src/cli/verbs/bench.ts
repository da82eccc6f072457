/** @file `cuttle bench`: models measured over threads, batches, providers, precisions and sizes, with what can be said of the figures. */
import { z } from 'zod';
import { CuttleError } from '../../ir/index.js';
import { precisions } from '../../measure/index.js';
import { defaultPlan, runBench, type BenchModel } from '../../measure/node.js';
import { loadModel } from '../../onnx/node.js';
import { describeHost } from '../../platform/index.js';
import { basename } from '../../platform/node/files.js';
import { sha256OfFile } from '../../platform/node/hash.js';
import { milliseconds } from '../../report/index.js';
import { withData } from '../bench-data.js';
import { checkOutputs, writeOutputs } from '../bench-files.js';
import { benchText } from '../bench-text.js';
import { dataFlags, dataOptions, preprocessingFlags, preprocessingOptions } from '../data-options.js';
import { dimOptions } from '../dims.js';
import { countsOption, durationOption, namesOption, sizesOption } from '../list-options.js';
import { defineVerb, option, UsageError } from '../verb.js';
import { benchAndroid } from './bench-android.js';
import { benchCompare } from './bench-compare.js';
import { benchEnergy } from './bench-energy.js';
import { benchFit } from './bench-fit.js';
import { benchPredict } from './bench-predict.js';

/** No configuration could be measured. Exit code 4. */
export class NothingMeasuredError extends CuttleError {
  constructor(reason: string | undefined) {
    super('unsupported', 'cli/bench', `nothing could be measured${reason === undefined ? '' : `: ${reason}`}`);
  }
}

/** About what an opening takes beyond its runs. */
const START_SECONDS = 0.7;

export const bench = defineVerb({
  name: 'bench',
  summary: 'Measure models over threads, batches, providers, precisions and sizes, each session opened several times.',
  args: [['[model...]', 'ONNX files']],
  flags: [
    ['--provider <list>', 'native, wasm, or both (default native)'],
    ['--threads <list>', 'thread counts, such as 1,2 (default: the physical cores)'],
    ['--batch <list>', 'batch sizes, such as 1,8,32 (default 1)'],
    ['--precision <list>', `${precisions.join(', ')} (default fp32)`],
    ['--resolution <list>', 'sizes of the images, such as 96,128x96 (width x height); the model’s own where not given'],
    ['--dim <name=size...>', 'size of a symbolic dimension other than the batch; 1 on the first axis where not given'],
    ['--openings <count>', 'sessions opened per configuration, each in a process of its own (default 5)'],
    ['--runs <count>', `counted runs per opening, at least (default ${defaultPlan.runs})`],
    ['--warm-up <count>', `runs before the clock counts (default ${defaultPlan.warmup})`],
    ['--min-seconds <seconds>', `measure every opening for at least this long (default ${defaultPlan.minSeconds})`],
    ['--max-seconds <seconds>', `and for at most this long (default ${defaultPlan.maxSeconds})`],
    [
      '--sustained <duration>',
      'then run each configuration without pause, such as 10m, and show how its speed changes',
    ],
    ['--samples', 'keep every single run in the JSON'],
    ...dataFlags.map(([notation, what]) =>
      notation.startsWith('--data')
        ? ([notation, `${what}: calibrates int8-static, and measures accuracy in every precision`] as const)
        : ([notation, what] as const),
    ),
    ...preprocessingFlags,
    ['--seed <number>', 'seed of the split, where the data names no test part (default 0)'],
    ['--out <file...>', 'write the result as .json, .csv, .parquet or .html'],
    ['--force', 'replace existing files'],
  ],
  options: z.object({
    provider: namesOption(['native', 'wasm']).default(['native']),
    threads: countsOption.optional(),
    batch: countsOption.default([1]),
    precision: namesOption(precisions).default(['fp32']),
    resolution: sizesOption.optional(),
    dim: dimOptions,
    openings: option.count().default(5),
    runs: option.count().default(defaultPlan.runs),
    warmUp: option.count(0).default(defaultPlan.warmup),
    minSeconds: z.coerce.number('is not a number').min(0, 'must not be negative').default(defaultPlan.minSeconds),
    maxSeconds: option.positive().default(defaultPlan.maxSeconds),
    sustained: durationOption.optional(),
    samples: option.flag(),
    ...dataOptions,
    data: z.string().optional(),
    ...preprocessingOptions,
    seed: option.seed(),
    out: z.array(z.string()).default([]),
    force: option.flag(),
  }),
  examples: [
    'cuttle bench cuttle-demo/progressive.onnx --threads 1,2 --openings 2 --min-seconds 0.1',
    'cuttle bench cuttle-demo/progressive.onnx --provider native,wasm --precision fp32,int8-dynamic --openings 2 --out bench.json bench.html',
  ],
  verbs: [benchAndroid, benchCompare, benchEnergy, benchFit, benchPredict],
  async run(context) {
    const { args, options, console, signal } = context;
    if (args.length === 0)
      throw new UsageError('no model is given', 'Name ONNX files, or say android, compare, energy, fit or predict.');
    await checkOutputs(options.out, options.force);
    const models: BenchModel[] = [];
    for (const path of args) {
      const named = {
        name: basename(path).replace(/\.onnx$/i, ''),
        model: await loadModel(path),
        sha256: await sha256OfFile(path),
      };
      const { data } = options;
      models.push({ ...named, ...(data !== undefined && (await withData(context, named, { ...options, data }))) });
    }
    if (options.precision.includes('int8-static') && options.data === undefined)
      console.warn('int8-static is calibrated on noise: its times mean something, its answers do not (give --data)');
    const progress = console.progress('measuring', 1000);
    const result = await runBench({
      models,
      sweep: {
        providers: options.provider,
        threads: options.threads ?? [(await describeHost()).physicalCores],
        batches: options.batch,
        precisions: options.precision,
        resolutions: options.resolution ?? [undefined],
      },
      openings: options.openings,
      plan: {
        ...{ runs: options.runs, warmup: options.warmUp },
        ...{ minSeconds: options.minSeconds, maxSeconds: options.maxSeconds },
      },
      symbols: options.dim,
      ...(options.data !== undefined && { calibrationName: basename(options.data) }),
      ...(options.sustained !== undefined && { sustained: { seconds: options.sustained } }),
      samples: options.samples,
      signal,
      onProgress: ({ done, total, label, window }) => {
        const sustained = options.sustained ?? 0;
        // Openings come first; a sustained run takes as long as many of them.
        const opening = options.minSeconds + START_SECONDS;
        const cases = total / (options.openings + (sustained > 0 ? 1 : 0));
        const opened = Math.min(done, cases * options.openings);
        const within = (done - opened) * sustained + Math.min(sustained, window?.at ?? 0);
        const all = cases * (options.openings * opening + sustained);
        const note =
          window === undefined ? label : `${label}: ${milliseconds(window.p50)} after ${Math.round(window.at)} s`;
        progress.update(((opened * opening + within) / all) * 1000, note);
      },
    });
    progress.end();
    if (result.entries.length === 0) throw new NothingMeasuredError(result.skipped[0]?.reason);
    await writeOutputs(options.out, result);
    return { json: result, text: benchText(result) };
  },
});
