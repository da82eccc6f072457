/** @file `cuttle run`: one image through a classifier, or text from a character model. */
import { z } from 'zod';
import { readClasses, resolvePreprocessing } from '../../data/index.js';
import { preprocessImage } from '../../data/node.js';
import { openClassifier } from '../../exits/open-classifier.js';
import { now } from '../../platform/index.js';
import { preprocessingFlags, preprocessingGiven, preprocessingOptions, reportAssumed } from '../data-options.js';
import { adapterFlag, withAdapter } from '../adapter-options.js';
import { designOf } from '../design-option.js';
import { modeFlags, modeOf, modeOptions } from '../mode-options.js';
import { milliseconds, percent } from '../../report/index.js';
import { sessionFlags, sessionGiven, sessionOptions } from '../session-options.js';
import { writeText } from '../text-verbs.js';
import { openModel } from '../open-model.js';
import { defineVerb, option, UsageError } from '../verb.js';

/** Classes that are listed for people. */
const SHOWN = 5;

export const run = defineVerb({
  name: 'run',
  summary: 'Classify one image, or continue a text with a character model.',
  args: [['<model>', 'an ONNX file: a classifier (plain, progressive or baked) or a character model']],
  flags: [
    ['--input <file>', 'the image (JPEG, PNG, WebP …)'],
    ['--design <file>', 'design for a progressive model (JSON, written by cuttle adapt)'],
    ...modeFlags,
    adapterFlag,
    ['--prompt <text>', 'text to continue, for a character model'],
    ['--length <count>', 'characters to write (default 200)'],
    ['--temperature <number>', 'below 1 for likelier text, 0 for the likeliest character each time (default 1)'],
    ['--seed <number>', 'seed of the text (default 0)'],
    ...preprocessingFlags,
    ...sessionFlags,
  ],
  options: z.object({
    input: option.text().optional(),
    prompt: option.text().optional(),
    length: option.count().default(200),
    temperature: z.coerce.number('is not a number').min(0, 'must not be negative').default(1),
    seed: option.seed(),
    design: option.text().optional(),
    ...modeOptions,
    adapter: option.text().optional(),
    ...preprocessingOptions,
    ...sessionOptions,
  }),
  examples: [
    'cuttle run cuttle-demo/baked-50pc.onnx --input cuttle-demo/digit.png',
    'cuttle run writer.onnx --prompt "ROMEO:" --length 300 --temperature 0.7',
  ],
  async run(context) {
    const { args, options, signal } = context;
    const { input, prompt } = options;
    if ((input === undefined) === (prompt === undefined))
      throw new UsageError(
        'give either --input FILE (an image) or --prompt TEXT (for a character model)',
        'See: cuttle run --help',
      );
    const model = await withAdapter(await openModel(args[0]!, context.console), options.adapter);
    if (prompt !== undefined) {
      const { length, temperature, seed } = options;
      return await writeText(context, model, args[0]!, { prompt, length, temperature, seed }, sessionGiven(options));
    }
    const { preprocessing, assumed } = resolvePreprocessing(model, preprocessingGiven(options));
    reportAssumed(context, assumed);
    const image = await preprocessImage(input!, preprocessing);
    await using classifier = await openClassifier(model, {
      design: await designOf(options.design, model),
      mode: modeOf(options, options.design, model),
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
