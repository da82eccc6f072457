/** @file `cuttle merge`: trained adapters into the weights of their network. */
import { z } from 'zod';
import { saveModel } from '../../onnx/node.js';
import { mergeAdapters } from '../../passes/index.js';
import { exists, FileExistsError } from '../../platform/node/files.js';
import { readAdapters } from '../adapter-options.js';
import { openModel } from '../open-model.js';
import { defineVerb, option } from '../verb.js';

export const merge = defineVerb({
  name: 'merge',
  summary: 'Add trained adapters into the weights of their network.',
  args: [
    ['<model>', 'the ONNX file that the adapters were trained on'],
    ['<adapter>', 'adapters, written by cuttle train --lora'],
  ],
  flags: [
    ['--out <file>', 'where the merged ONNX model goes'],
    ['--force', 'replace an existing output file'],
  ],
  options: z.object({
    out: z.string({ error: 'is required: say where the merged model goes, such as --out merged.onnx' }),
    force: option.flag(),
  }),
  examples: ['cuttle merge digits.onnx digits.lora --out digits-adapted.onnx'],
  async run({ args, options, console }) {
    const { out, force } = options;
    if (!force && (await exists(out))) throw new FileExistsError(out);
    const set = await readAdapters(args[1]!);
    const { model } = mergeAdapters(await openModel(args[0]!, console), set);
    await saveModel(out, model, { force });
    const weights = set.adapters.map(({ weight }) => weight);
    return {
      json: { out, rank: set.rank, alpha: set.alpha, weights },
      text: `${out}: adapters of rank ${set.rank} merged into ${weights.length} weights`,
    };
  },
});
