/** @file `cuttle serve`: models for other machines, over the Open Inference Protocol. */
import { z } from 'zod';
import { now } from '../../platform/index.js';
import { readText } from '../../platform/node/files.js';
import { terminalWidth } from '../../platform/node/process.js';
import { openLog, startServer, type ServerOptions } from '../../split/node.js';
import { readTokens } from '../tokens.js';
import { defineVerb, option, UsageError } from '../verb.js';

/** Hosts that only this machine reaches. */
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;

export const serve = defineVerb({
  name: 'serve',
  summary: 'Serve models to other machines: plain inference, and the server half of split networks.',
  args: [['<models...>', 'ONNX files, or folders of them (NAME.onnx, NAME/VERSION/model.onnx)']],
  flags: [
    ['--port <number>', 'port to listen on; 0 for any free one (default 8000)'],
    ['--host <address>', 'address to listen on (default 127.0.0.1); 0.0.0.0 for all'],
    ['--tls-cert <file>', 'certificate chain (PEM); with it the server speaks TLS alone'],
    ['--tls-key <file>', 'its private key (PEM)'],
    ['--token <text>', 'bearer token that every request needs'],
    ['--token-file <file>', 'bearer tokens, one per line: NAME:TOKEN'],
    ['--cors <origins>', 'web pages that may ask: origins separated by commas, or *'],
    ['--max-batch <count>', 'samples that may run together, and most of one request (default 32)'],
    ['--batch-delay <ms>', 'how long a request waits for company while the server is idle (default 0)'],
    ['--queue <count>', 'requests that may wait (default 256)'],
    ['--max-request-bytes <size>', 'most of one request, such as 64MiB (the default)'],
    ['--per-client <count>', 'requests of one client at a time (default 64)'],
    ['--per-client-rate <number>', 'requests of one client per second'],
    ['--workers <count>', 'computing threads, each with its own copy of the models (default 1)'],
    ['--threads <count>', 'threads that each of them may use'],
    ['--watch <ms>', 'how often to look for changed model files (default 1000); 0 for never'],
    ['--grace <seconds>', 'how long requests may take to finish when the server is stopped (default 30)'],
    ['--log <level>', 'debug (every request), info, error or silent (default info)'],
  ],
  options: z.object({
    port: option.count(0).max(65535, 'must be at most 65535').default(8000),
    host: option.text().default('127.0.0.1'),
    tlsCert: option.text().optional(),
    tlsKey: option.text().optional(),
    token: option.text().min(8, 'must have at least 8 characters').optional(),
    tokenFile: option.text().optional(),
    cors: option
      .text()
      .transform((text) => text.split(',').map((origin) => origin.trim()))
      .optional(),
    maxBatch: option.count().default(32),
    batchDelay: z.coerce.number('is not a number').min(0, 'must not be negative').default(0),
    queue: option.count().default(256),
    maxRequestBytes: option.bytes().optional(),
    perClient: option.count().default(64),
    perClientRate: option.positive().optional(),
    workers: option.count().default(1),
    threads: option.count().optional(),
    watch: option.count(0).default(1000),
    grace: z.coerce.number('is not a number').min(0, 'must not be negative').default(30),
    log: z.enum(['debug', 'info', 'error', 'silent']).default('info'),
    json: option.flag(),
  }),
  examples: ['cuttle serve cuttle-demo/progressive.onnx', 'cuttle serve models --port 9000 --max-batch 16 --threads 2'],
  async run({ args, options, console, signal }) {
    const { tlsCert, tlsKey, host } = options;
    if ((tlsCert === undefined) !== (tlsKey === undefined))
      throw new UsageError('--tls-cert and --tls-key go together', 'See: cuttle serve --help');
    const tokens = await readTokens(options.token, options.tokenFile);
    if (!LOOPBACK.test(host) && tokens.size === 0)
      console.warn(`anyone who reaches ${host} may use this server: give --token-file`);
    else if (!LOOPBACK.test(host) && tlsCert === undefined)
      console.warn('tokens travel unencrypted: give --tls-cert and --tls-key, or put a TLS proxy in front');
    const started = now();
    const given: ServerOptions = {
      models: args,
      host,
      port: options.port,
      ...(tlsCert !== undefined && { tls: { cert: await readText(tlsCert), key: await readText(tlsKey!) } }),
      tokens,
      origins: options.cors ?? [],
      maxBatch: options.maxBatch,
      batchDelayMs: options.batchDelay,
      queue: options.queue,
      ...(options.maxRequestBytes !== undefined && { maxRequestBytes: options.maxRequestBytes }),
      perClient: options.perClient,
      ...(options.perClientRate !== undefined && { perClientRate: options.perClientRate }),
      workers: options.workers,
      session: { threads: options.threads },
      watchMs: options.watch,
      // Machines read the log wherever nobody watches it.
      log: openLog(options.log, options.json || terminalWidth() === undefined ? 'json' : 'text', (line) =>
        console.log(line),
      ),
    };
    signal.throwIfAborted();
    const server = await startServer(given);
    const { url, models } = server;
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await server.close(options.grace * 1000);
    const { totals } = server;
    const seconds = (now() - started) / 1000;
    return {
      json: { url, models, seconds, ...totals },
      text: `${url}: ${totals.inferences} inferences in ${seconds.toFixed(0)} s, ${totals.failed} refused or failed`,
    };
  },
});
