/** @file `cuttle split`: where a network can be split between device and cloud, and what following a link would choose. */
import { splitFlags, splitOptions } from '../split-options.js';
import { splitSimulate } from '../split-simulate.js';
import { splitTable } from '../split-table.js';
import { defineVerb, UsageError } from '../verb.js';

export const split = defineVerb({
  name: 'split',
  summary:
    'Device and cloud: measure a network at every cut (table), or play what following a link would choose (simulate).',
  args: [
    ['<action>', 'table or simulate'],
    ['<file>', 'table: an ONNX classifier, plain or progressive; simulate: a split profile written by table'],
  ],
  flags: splitFlags,
  options: splitOptions,
  examples: [
    'cuttle split table cuttle-demo/progressive.onnx --data mnist --limit 200 --out split-profile.json',
    'cuttle split simulate split-profile.json --bandwidth 20,0.5,20 --device-slow-down 10 --require "accuracy>=0.9" --maximise throughput',
  ],
  async run(context) {
    const [action, file] = context.args;
    if (action === 'table') return await splitTable(context, file!);
    if (action === 'simulate') return await splitSimulate(context, file!);
    throw new UsageError(`there is no 'split ${action}'`, 'Say table or simulate.');
  },
});
