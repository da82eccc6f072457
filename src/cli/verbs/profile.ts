/** @file `cuttle profile`: where a model's time goes on this device, layer by layer. */
import { z } from 'zod';
import { loadModel } from '../../onnx/node.js';
import { profileModel } from '../../runtime/index.js';
import { dimOptions } from '../dims.js';
import { milliseconds, percent, textTable } from '../../report/index.js';
import { sessionFlags, sessionGiven, sessionOptions } from '../session-options.js';
import { defineVerb, option } from '../verb.js';

export const profile = defineVerb({
  name: 'profile',
  summary: "Measure where a model's time goes on this device, layer by layer.",
  args: [['<model>', 'an ONNX file']],
  flags: [
    ['--runs <count>', 'measured runs (default 50)'],
    ['--warm-up <count>', 'runs before the clock counts (default 10)'],
    ['--dim <name=size...>', 'size of a symbolic dimension, such as batch=8; 1 where not given'],
    ['--top <count>', 'list only the slowest layers'],
    ...sessionFlags,
  ],
  options: z.object({
    runs: option.count().default(50),
    warmUp: option.count(0).default(10),
    dim: dimOptions,
    top: option.count().optional(),
    ...sessionOptions,
  }),
  examples: [
    'cuttle profile cuttle-demo/progressive.onnx --top 10',
    'cuttle profile cuttle-demo/progressive.onnx --threads 1 --json > profile.json',
  ],
  async run({ args, options, signal }) {
    const model = await loadModel(args[0]!);
    const measured = await profileModel(model, {
      ...sessionGiven(options),
      symbols: options.dim,
      runs: options.runs,
      warmup: options.warmUp,
      signal,
    });
    const { device, latencyMs, layers } = measured;
    const shown = options.top === undefined ? layers : [...layers].sort((a, b) => b.ms - a.ms).slice(0, options.top);
    return {
      json: measured,
      text: [
        `${args[0]} on ${device.cpu} (${device.threads} threads, ${device.executionProvider})`,
        `one run takes ${milliseconds(latencyMs.p50)} (p90 ${milliseconds(latencyMs.p90)}, p99 ${milliseconds(latencyMs.p99)}, mean ${milliseconds(latencyMs.mean)})`,
        '',
        textTable(
          [
            { name: 'layer', value: (layer) => layer.name },
            { name: 'operator', value: (layer) => layer.op },
            { name: 'time', align: 'right', value: (layer) => milliseconds(layer.ms) },
            { name: 'share', align: 'right', value: (layer) => percent(layer.share) },
            {
              name: 'fused with it',
              value: (layer) => (layer.members ?? []).filter((name) => name !== layer.name).join(' '),
            },
          ],
          shown,
        ),
      ].join('\n'),
    };
  },
});
