/** @file `cuttle bench fit`: a latency predictor learned from profiles, with its error on networks that it has not seen. */
import { z } from 'zod';
import { fitPredictor, parseSample, PredictorError, type Predictor } from '../../measure/index.js';
import { exists, FileExistsError, readJson, writeJson } from '../../platform/node/files.js';
import { milliseconds, percent, significant, textTable } from '../../report/index.js';
import { parseProfile } from '../../runtime/index.js';
import { defineVerb, option } from '../verb.js';

export const benchFit = defineVerb({
  name: 'fit',
  summary: 'Learn a latency predictor from profiles of several networks on one device.',
  args: [['<profile...>', 'profiles written by cuttle profile --save']],
  flags: [
    ['--out <file>', 'write the predictor (JSON)'],
    ['--force', 'replace an existing file'],
  ],
  options: z.object({
    out: z.string({ error: 'is required: say where the predictor goes' }),
    force: option.flag(),
  }),
  examples: [
    'cuttle bench fit profiles/resnet-8.json profiles/resnet-20.json profiles/vgg-11.json --out predictor.json',
  ],
  async run({ args, options }) {
    if (!options.force && (await exists(options.out))) throw new FileExistsError(options.out);
    const read = await Promise.all(
      args.map(async (file) => {
        const json = await readJson(file);
        return { file, profile: parseProfile(json), sample: parseSample(json, file) };
      }),
    );
    const { file, profile } = read[0]!;
    for (const other of read.slice(1))
      for (const field of ['cpu', 'executionProvider', 'threads'] as const)
        if (other.profile.device[field] !== profile.device[field])
          throw new PredictorError(
            'usage',
            `'${other.file}' and '${file}' differ in ${field}: ${other.profile.device[field]} and ${profile.device[field]}`,
          );
    const predictor = fitPredictor(
      read.map(({ sample }) => sample),
      profile.device,
    );
    await writeJson(options.out, predictor, { force: options.force });
    return { json: predictor, text: fitText(predictor) };
  },
});

function fitText({ families, validation, networks, overhead }: Predictor): string {
  return [
    `learned from ${networks.length} networks; beyond its kernels a run takes ${milliseconds(overhead.runMs)}, and ${milliseconds(overhead.layerMs)} a layer`,
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
