/** @file `cuttle run`: one image through a classifier. */
import { z } from 'zod';
import { readClasses, resolvePreprocessing } from '../../data/index.js';
import { preprocessImage } from '../../data/node.js';
import { openClassifier } from '../../exits/open-classifier.js';
import { loadModel } from '../../onnx/node.js';
import { now } from '../../platform/index.js';
import { preprocessingFlags, preprocessingGiven, preprocessingOptions, reportAssumed } from '../data-options.js';
import { designOf } from '../design-option.js';
import { milliseconds, percent } from '../../report/index.js';
import { sessionFlags, sessionGiven, sessionOptions } from '../session-options.js';
import { defineVerb, option } from '../verb.js';

/** Classes that are listed for people. */
const SHOWN = 5;

export const run = defineVerb({
  name: 'run',
  summary: 'Classify one image.',
  args: [['<model>', 'an ONNX file: plain, progressive or baked']],
  flags: [
    ['--input <file>', 'the image (JPEG, PNG, WebP …)'],
    ['--design <file>', 'design for a progressive model (JSON, written by cuttle adapt)'],
    ...preprocessingFlags,
    ...sessionFlags,
  ],
  options: z.object({
    input: z.string({ error: 'is required: the image to classify' }),
    design: option.text().optional(),
    ...preprocessingOptions,
    ...sessionOptions,
  }),
  examples: ['cuttle run cuttle-demo/baked-50pc.onnx --input cuttle-demo/digit.png'],
  async run(context) {
    const { args, options, signal } = context;
    const model = await loadModel(args[0]!);
    const { preprocessing, assumed } = resolvePreprocessing(model, preprocessingGiven(options));
    reportAssumed(context, assumed);
    const image = await preprocessImage(options.input, preprocessing);
    await using classifier = await openClassifier(model, {
      design: await designOf(options.design, model),
      session: sessionGiven(options),
    });
    // The first run pays for memory that later ones reuse; what is reported is a later one.
    await classifier.classify(image, signal);
    const start = now();
    const { labels, exits, scores } = await classifier.classify(image, signal);
    const latencyMs = now() - start;
    const names = readClasses(model);
    const nameOf = (index: number): string => names?.[index] ?? String(index);
    const ranked = Array.from(scores, (score, index) => ({ label: nameOf(index), score })).sort(
      (a, b) => b.score - a.score,
    );
    const label = nameOf(labels[0]!);
    const exit = classifier.exitNames[exits[0]!]!;
    return {
      json: { label, scores: Array.from(scores), exit, latencyMs, classes: names ?? null },
      text: [
        `${label}, answered by exit ${exit} in ${milliseconds(latencyMs)}`,
        ...ranked.slice(0, SHOWN).map((entry) => `  ${percent(entry.score).padStart(7)}  ${entry.label}`),
      ].join('\n'),
    };
  },
});
