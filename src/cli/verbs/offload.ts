/** @file `cuttle offload`: classifies with a server's help where that pays, and without it where it does not. */
import { dataFlags, preprocessingFlags } from '../data-options.js';
import { offloadOptions } from '../offload-options.js';
import { offloadImages } from '../offload.js';
import { goalFlags } from '../split-goals.js';
import { sessionFlags } from '../session-options.js';
import { defineVerb, UsageError } from '../verb.js';

export const offload = defineVerb({
  name: 'offload',
  summary: 'Classify images with a server’s help where that pays; the device answers whenever it does not.',
  args: [['<model>', 'an ONNX classifier, plain or progressive; the server has the same file']],
  flags: [
    ['--server <url>', 'a server (cuttle serve); without one everything runs here'],
    ['--transport <form>', 'form of the protocol: http, grpc, grpc-web or connect (default http)'],
    ['--name <model>', 'the model’s name on the server (default: the file’s name without .onnx)'],
    ['--token <text>', 'bearer token, where the server asks for one'],
    ['--input <file>', 'one image (JPEG, PNG, WebP …)'],
    ...dataFlags,
    ['--profile <file>', 'split profile (written by cuttle split table); measured at the start where omitted'],
    ...goalFlags,
    ['--deadline <time>', 'every answer within this time, such as 100ms: the best there is by then'],
    ['--window <count>', 'images under way at a time: device, link and server work side by side (default 1)'],
    ['--repeat <count>', 'go through the images so many times (default 1)'],
    ['--seed <number>', 'seed of data splits (default 0)'],
    ...preprocessingFlags,
    ...sessionFlags,
  ],
  options: offloadOptions,
  examples: [
    'cuttle offload cuttle-demo/progressive.onnx --input cuttle-demo/digit.png',
    'cuttle offload net.onnx --server http://127.0.0.1:8000 --profile split-profile.json --data mnist --require "latency<=50ms" --minimise server --deadline 100ms',
  ],
  async run(context) {
    const { args, options: given } = context;
    if ((given.input === undefined) === (given.data === undefined))
      throw new UsageError(
        'give either --input FILE (an image) or --data SOURCE (labelled images)',
        'See: cuttle offload --help',
      );
    return await offloadImages(context, args[0]!);
  },
});
