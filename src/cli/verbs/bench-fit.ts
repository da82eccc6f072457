/** @file `cuttle bench fit`: a latency predictor learned from profiles, with its error on networks that it has not seen. */
import { z } from 'zod';
import {
  fitPredictor,
  networkSample,
  parseSample,
  PredictorError,
  PROBES,
  probeNetworks,
  type NetworkSample,
  type Predictor,
} from '../../measure/index.js';
import { exists, FileExistsError, readJson, writeJson } from '../../platform/node/files.js';
import { milliseconds, percent, significant, textTable } from '../../report/index.js';
import { describeDevice, parseProfile, profileModel, type Profile } from '../../runtime/index.js';
import type { Console } from '../console.js';
import { defineVerb, option, UsageError } from '../verb.js';

export const benchFit = defineVerb({
  name: 'fit',
  summary: 'Learn a latency predictor from profiles of several networks on one device.',
  args: [['[profile...]', 'profiles written by cuttle profile --save']],
  flags: [
    ['--probes <count>', 'measure so many made-up networks here as well, such as 90, and learn from them (default 0)'],
    ['--threads <count>', 'threads of the probes, where no profile says it (default 1)'],
    ['--out <file>', 'write the predictor (JSON)'],
    ['--force', 'replace an existing file'],
  ],
  options: z.object({
    probes: option.count(0).default(0),
    threads: option.count().default(1),
    out: z.string({ error: 'is required: say where the predictor goes' }),
    force: option.flag(),
  }),
  examples: [
    'cuttle bench fit profiles/resnet-8.json profiles/resnet-20.json profiles/vgg-11.json --out predictor.json',
    'cuttle bench fit --probes 10 --out predictor.json',
  ],
  async run({ args, options, console, signal }) {
    if (args.length === 0 && options.probes === 0)
      throw new UsageError('there is nothing to learn from', 'Name saved profiles, or say --probes 90.');
    if (!options.force && (await exists(options.out))) throw new FileExistsError(options.out);
    const read = await Promise.all(
      args.map(async (file) => {
        const json = await readJson(file);
        return { file, profile: parseProfile(json), sample: parseSample(json, file) };
      }),
    );
    const [first] = read;
    for (const other of read.slice(1))
      for (const field of ['cpu', 'executionProvider', 'threads'] as const)
        if (other.profile.device[field] !== first!.profile.device[field])
          throw new PredictorError(
            'usage',
            `'${other.file}' and '${first!.file}' differ in ${field}: ${other.profile.device[field]} and ${first!.profile.device[field]}`,
          );
    const threads = first?.profile.device.threads ?? options.threads;
    const device = await describeDevice({ backend: 'native', threads });
    if (options.probes > 0 && first !== undefined && first.profile.device.cpu !== device.cpu)
      throw new PredictorError(
        'usage',
        `'${first.file}' is of ${first.profile.device.cpu}, and probes would be measured on ${device.cpu}`,
      );
    const probes = await measureProbes(options.probes, threads, console, signal);
    const predictor = fitPredictor([...read.map(({ sample }) => sample), ...probes], first?.profile.device ?? device);
    await writeJson(options.out, predictor, { force: options.force });
    return { json: predictor, text: fitText(predictor) };
  },
});

/** Profiles made-up networks on this machine. */
async function measureProbes(
  count: number,
  threads: number,
  console: Console,
  signal: AbortSignal,
): Promise<readonly NetworkSample[]> {
  if (count === 0) return [];
  const progress = console.progress('measuring probes', count);
  const samples: NetworkSample[] = [];
  for (const { name, model } of probeNetworks(count)) {
    const profile: Profile = await profileModel(model, {
      ...{ backend: 'native', threads, openings: 2, warmup: 2, runs: 16, signal },
    });
    samples.push(networkSample(name, PROBES, model, profile));
    progress.update(samples.length, name);
  }
  progress.end();
  return samples;
}

function fitText({ families, validation, networks, probes = 0, overhead }: Predictor): string {
  return [
    `learned from ${networks.length} networks${probes > 0 ? ` and ${probes} probes` : ''}; beyond its kernels a run takes ${milliseconds(overhead.runMs)}, and ${milliseconds(overhead.layerMs)} a layer`,
    '',
    textTable(
      [
        { name: 'layers', value: ([family]) => family },
        { name: 'count', align: 'right', value: ([, { layers }]) => String(layers) },
        { name: 'learner', value: ([, { learner }]) => learner },
        { name: 'median error, held out', align: 'right', value: ([, { medianError }]) => percent(medianError) },
      ],
      Object.entries(families),
    ),
    '',
    ...(validation === undefined
      ? ['profile networks of three groups or more to see the error on unseen ones']
      : [
          textTable(
            [
              { name: 'network, unseen', value: ({ name }) => name },
              { name: 'measured', align: 'right', value: ({ measuredMs }) => milliseconds(measuredMs) },
              { name: 'predicted', align: 'right', value: ({ predictedMs }) => milliseconds(predictedMs) },
              { name: 'by MACs', align: 'right', value: ({ macsMs }) => milliseconds(macsMs) },
              { name: 'by a power of MACs', align: 'right', value: ({ macsPowerMs }) => milliseconds(macsPowerMs) },
            ],
            validation.networks,
          ),
          '',
          textTable(
            [
              { name: 'on unseen networks', value: ([name]) => name },
              { name: 'median error', align: 'right', value: ([, { median }]) => percent(median) },
              { name: 'mean', align: 'right', value: ([, { mean }]) => percent(mean) },
              { name: 'worst', align: 'right', value: ([, { worst }]) => percent(worst) },
              { name: 'Spearman', align: 'right', value: ([, { spearman }]) => significant(spearman) },
            ],
            [
              ['predictor', validation.predictor],
              ['in proportion to MACs', validation.macs],
              ['a power of MACs', validation.macsPower],
            ] as const,
          ),
        ]),
  ].join('\n');
}
