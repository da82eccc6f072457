/** @file `cuttle bench predict`: how long a model will take on a device that others were profiled on, without running it. */
import { z } from 'zod';
import { parsePredictor, predictLatency } from '../../measure/index.js';
import { loadModel } from '../../onnx/node.js';
import { readJson } from '../../platform/node/files.js';
import { milliseconds, percent } from '../../report/index.js';
import { syntheticFeeds } from '../../runtime/index.js';
import { predictionText } from '../bench-text.js';
import { dimOptions } from '../dims.js';
import { defineVerb, option } from '../verb.js';

export const benchPredict = defineVerb({
  name: 'predict',
  summary: 'Predict how long a model takes on the device that a predictor was learned on, without running it.',
  args: [['<model>', 'an ONNX file']],
  flags: [
    ['--predictor <file>', 'a predictor written by cuttle bench fit (JSON)'],
    ['--dim <name=size...>', 'size of a symbolic dimension, such as batch=8; 1 where not given'],
    ['--top <count>', 'list only the slowest layers'],
  ],
  options: z.object({
    predictor: z.string({ error: 'is required: name a file written by cuttle bench fit' }),
    dim: dimOptions,
    top: option.count().optional(),
  }),
  examples: ['cuttle bench predict cuttle-demo/progressive.onnx --predictor predictor.json --top 5'],
  async run({ args, options }) {
    const predictor = parsePredictor(await readJson(options.predictor));
    const model = await loadModel(args[0]!);
    const feeds = syntheticFeeds(model, options.dim);
    const inputs = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]));
    const { latencyMs, layers } = predictLatency(predictor, model, inputs);
    const rows = layers.map(({ name, op, family, work, ms }) => ({ name, op, family, macs: work.macs, ms }));
    const shown = options.top === undefined ? rows : [...rows].sort((a, b) => b.ms - a.ms).slice(0, options.top);
    const { device, validation } = predictor;
    return {
      json: { latencyMs, device, ...(validation && { medianError: validation.predictor.median }), layers: rows },
      text: [
        `${args[0]} on ${device.cpu} (${device.threads} threads, ${device.executionProvider}): ${milliseconds(latencyMs)}${
          validation === undefined
            ? ''
            : ` (on unseen networks the predictor was ${percent(validation.predictor.median)} off in the median, ${percent(validation.predictor.worst)} at worst)`
        }`,
        '',
        predictionText(shown),
      ].join('\n'),
    };
  },
});
