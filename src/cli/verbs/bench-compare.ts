/** @file `cuttle bench compare`: two results, configuration by configuration: faster, slower, the same, or noise. */
import { z } from 'zod';
import { compareBenches } from '../../measure/index.js';
import { basename } from '../../platform/node/files.js';
import { readBench } from '../bench-files.js';
import { comparisonText } from '../bench-text.js';
import { defineVerb, option } from '../verb.js';

export const benchCompare = defineVerb({
  name: 'compare',
  summary: 'Compare two results of cuttle bench, and say which differences are more than noise.',
  args: [
    ['<before>', 'a result (JSON)'],
    ['<after>', 'another one'],
  ],
  flags: [
    ['--alpha <probability>', 'of one false alarm in all comparisons together (default 0.05)'],
    ['--margin <share>', 'smallest difference that matters (default 0.02)'],
  ],
  options: z.object({
    alpha: option.positive().max(0.5, 'must be at most 0.5').default(0.05),
    margin: z.coerce.number('is not a number').min(0, 'must not be negative').max(1, 'must be at most 1').default(0.02),
  }),
  examples: ['cuttle bench compare before.json after.json'],
  async run({ args, options }) {
    const [before, after] = [await readBench(args[0]!), await readBench(args[1]!)];
    const comparison = compareBenches(before, after, options);
    return { json: comparison, text: comparisonText(comparison, [basename(args[0]!), basename(args[1]!)]) };
  },
});
