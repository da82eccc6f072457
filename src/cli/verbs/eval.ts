/** @file `cuttle eval`: accuracy, latency and exits of a plain, progressive or baked classifier on test images. */
import { z } from 'zod';
import { batches, resolvePreprocessing } from '../../data/index.js';
import { adapterFlag, withAdapter } from '../adapter-options.js';
import { designOf } from '../design-option.js';
import { designForBatch, modeFlags, modeOf, modeOptions } from '../mode-options.js';
import { evaluateClassifier } from '../../exits/evaluate-classifier.js';
import { openClassifier } from '../../exits/open-classifier.js';
import { isTextSource } from '../../data/node.js';
import {
  dataFlags,
  dataOptions,
  openImages,
  preprocessingFlags,
  preprocessingGiven,
  preprocessingOptions,
  reportAssumed,
} from '../data-options.js';
import { milliseconds, percent, textTable } from '../../report/index.js';
import { sessionFlags, sessionGiven, sessionOptions } from '../session-options.js';
import { evaluateOnText, refuseImageOptions } from '../text-verbs.js';
import { openModel } from '../open-model.js';
import { defineVerb, option, UsageError } from '../verb.js';

/** `50%`, as a share. */
const shareOption = z
  .string()
  .regex(/^\d+(\.\d+)?%$/, 'must be a percentage, such as 50%')
  .transform((text) => Number.parseFloat(text) / 100);

export const evaluate = defineVerb({
  name: 'eval',
  summary:
    'Measure accuracy, latency and exits of a classifier (plain, progressive or baked) on test images, or the loss of a character model on held-out text.',
  args: [['<model>', 'an ONNX file']],
  flags: [
    ...dataFlags,
    ['--design <file>', 'design for a progressive model (JSON, written by cuttle adapt)'],
    ...modeFlags,
    [
      '--batch-budget <share>',
      'thresholds under which the images together spend this share of the plain network, such as 50% (mode budgeted)',
    ],
    adapterFlag,
    ['--batch <count>', 'images per call while accuracy is measured (default 64; a baked model takes 1)'],
    ['--latency-samples <count>', 'images that are timed one by one (default 200)'],
    ...preprocessingFlags,
    ...sessionFlags,
    ['--seed <number>', 'seed of the split, where the data names no test part (default 0)'],
  ],
  options: z.object({
    ...dataOptions,
    design: option.text().optional(),
    ...modeOptions,
    batchBudget: shareOption.optional(),
    adapter: option.text().optional(),
    batch: option.count().default(64),
    latencySamples: option.count().default(200),
    seed: option.seed(),
    ...preprocessingOptions,
    ...sessionOptions,
  }),
  examples: [
    'cuttle eval cuttle-demo/baked-50pc.onnx --data mnist',
    'cuttle eval writer.onnx --data tinyshakespeare.txt.gz',
    'cuttle eval cuttle-demo/progressive.onnx --design cuttle-demo/design-50pc.json --data mnist',
  ],
  async run(context) {
    const { args, options, console, signal } = context;
    const model = await withAdapter(await openModel(args[0]!, context.console), options.adapter);
    if (isTextSource(options.data)) {
      refuseImageOptions(options);
      return await evaluateOnText(context, model, args[0]!, options.data, sessionGiven(options));
    }
    const { preprocessing, assumed } = resolvePreprocessing(model, preprocessingGiven(options));
    reportAssumed(context, assumed);
    const mode = modeOf(options, options.design, model);
    const given = await designOf(options.design, model);
    const { batchBudget, batch } = options;
    if (batchBudget !== undefined && mode.kind !== 'input-dependent')
      throw new UsageError('--batch-budget is a mode of its own', 'Leave out --exit and --deadline.');
    const split = { seed: options.seed, ...(batchBudget === undefined && { use: 'test' as const }) };
    const data = await openImages(context, options, split, preprocessing);
    const session = sessionGiven(options);
    const design =
      batchBudget === undefined
        ? given
        : await designForBatch(model, batchBudget, given, { data, preprocessing, batch, session, signal });
    await using classifier = await openClassifier(model, { design, mode, session });
    const progress = console.progress('evaluating', data.test.size);
    const result = await evaluateClassifier(classifier, data.test, {
      batches: (dataset, batchSize) => batches(dataset, { batchSize, preprocessing, signal }),
      batchSize: classifier.batch ?? options.batch,
      latencySamples: options.latencySamples,
      signal,
      onProgress: (done) => progress.update(done),
    });
    progress.end();
    const { accuracy, latencyMs, exits, samples } = result;
    return {
      json: {
        accuracy,
        latencyMs: { p50: latencyMs.p50, p90: latencyMs.p90, p99: latencyMs.p99, mean: latencyMs.mean },
        exits,
        samples,
        kind: classifier.kind,
      },
      text: [
        `${args[0]} (${classifier.kind}): ${percent(accuracy)} of ${samples} test images right; one image takes ${milliseconds(latencyMs.mean)} on average (p50 ${milliseconds(latencyMs.p50)}, p99 ${milliseconds(latencyMs.p99)})`,
        '',
        textTable(
          [
            { name: 'exit', value: (exit) => exit.name },
            { name: 'answers', align: 'right', value: (exit) => percent(exit.share) },
            { name: 'accuracy there', align: 'right', value: (exit) => percent(exit.accuracy ?? NaN) },
          ],
          exits,
        ),
      ].join('\n'),
    };
  },
});
