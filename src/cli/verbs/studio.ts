/** @file `cuttle studio`: the web app over a folder of models and runs. */
import { z } from 'zod';
import { randomToken } from '../../platform/node/hash.js';
import { packageVersion } from '../../platform/node/package.js';
import { now } from '../../platform/index.js';
import { LOOPBACK_HOST, openStudio } from '../../studio/index.js';
import { defineVerb, option } from '../verb.js';

export const studio = defineVerb({
  name: 'studio',
  summary: 'Open a local web app over a folder: models, runs, designs, splits, audits, device labs.',
  args: [['[folder]', 'the folder to show (default: the present one)']],
  flags: [
    ['--port <number>', 'port to listen on; 0 for any free one (default 4700)'],
    [
      '--host <address>',
      'address to listen on (default 127.0.0.1); any other one needs a token, which is made where none is given',
    ],
    ['--token <text>', 'what the page must know to ask anything'],
    ['--lab <place>', 'folder or URL of a device lab to show beside those in the folder'],
    ['--lab-token <text>', "the lab owner's token, where --lab is a URL"],
    ['--max-upload <size>', 'largest file that may be uploaded, such as 512MiB (the default)'],
  ],
  options: z.object({
    port: option.count(0).max(65535, 'must be at most 65535').default(4700),
    host: option.text().default('127.0.0.1'),
    token: option.text().min(8, 'must have at least 8 characters').optional(),
    lab: option.text().optional(),
    labToken: option.text().optional(),
    maxUpload: option.bytes().optional(),
    json: option.flag(),
  }),
  examples: ['cuttle studio cuttle-demo', 'cuttle studio models --port 0'],
  async run({ args, options, console, signal }) {
    const { host, port, maxUpload, lab, labToken } = options;
    const started = now();
    const token = options.token ?? (LOOPBACK_HOST.test(host) ? undefined : randomToken());
    if (!LOOPBACK_HOST.test(host))
      console.warn(`others may reach ${host}: only who knows the token can use the studio; it travels unencrypted`);
    signal.throwIfAborted();
    await using opened = await openStudio({
      ...{ folder: args[0] ?? '.', host, port, version: await packageVersion() },
      ...(token !== undefined && { token }),
      ...(lab !== undefined && { lab: { place: lab, ...(labToken !== undefined && { token: labToken }) } }),
      ...(maxUpload !== undefined && { uploadBytes: maxUpload }),
    });
    console.log(`the studio is open at ${opened.url} (Ctrl-C closes it)`);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const seconds = (now() - started) / 1000;
    return { json: { url: opened.url, seconds }, text: `closed after ${seconds.toFixed(0)} s` };
  },
});
