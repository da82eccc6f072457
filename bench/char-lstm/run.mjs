/**
 * @file An LSTM character model trained on tinyshakespeare: loss in nats per character on the held-out last tenth.
 *
 * node bench/char-lstm/run.mjs [--data ../shared/data/tinyshakespeare.txt.gz] [--arch char-lstm] [--epochs 12] [--threads 2]
 *
 * Needs `npm run build`. With `--slice 80` it stops after about 80 seconds and leaves a checkpoint; the same command goes on
 * from there, so that a shared machine can be had in turns. Seconds and processor seconds of all slices, loading and
 * held-out evaluation included, are added up. Results go to bench/results/char-lstm.json.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openText } from '../../dist/data/node.js';
import { describeDevice, openSession } from '../../dist/runtime/index.js';
import { encodeModel } from '../../dist/onnx/index.js';
import { fileCheckpoints, sampleText, trainText } from '../../dist/train/node.js';
import { buildTextArchitecture } from '../../dist/zoo/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join(here, '../../../shared/data/tinyshakespeare.txt.gz') },
    arch: { type: 'string', default: 'char-lstm' },
    epochs: { type: 'string', default: '12' },
    threads: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    slice: { type: 'string' },
    out: { type: 'string', default: join(here, '../results/char-lstm.json') },
  },
});
const [epochs, threads, seed] = [values.epochs, values.threads, values.seed].map(Number);
const BAR = { loss: 1.75, seconds: 1200 };

const data = await openText(values.data);
const session = { backend: 'native', threads };
const stop = new AbortController();
const [checkpoint, sofar] = [`${values.out}.checkpoint`, `${values.out}.slices`];
const earlier = existsSync(sofar)
  ? JSON.parse(readFileSync(sofar, 'utf8'))
  : { seconds: 0, cpuSeconds: 0, slices: 0, epochTimes: [] };
/** Of this process since its start, and of the slices before. */
const spent = () => {
  const { user, system } = process.cpuUsage();
  return {
    seconds: earlier.seconds + process.uptime(),
    cpuSeconds: earlier.cpuSeconds + (user + system) / 1e6,
  };
};
const { epochTimes } = earlier;
if (values.slice !== undefined) setTimeout(() => stop.abort(), Number(values.slice) * 1000).unref();
const trained = await trainText({
  model: (vocabulary) => buildTextArchitecture(values.arch, { vocabulary, seed }),
  data,
  epochs,
  seed,
  session,
  signal: stop.signal,
  ...(values.slice !== undefined && { checkpoints: fileCheckpoints(checkpoint) }),
  onEvent(event) {
    if (event.kind === 'step' && event.step % 50 === 0)
      console.error(
        `step ${event.step}/${event.totalSteps}: loss ${event.loss.toFixed(3)}, ${Math.round(event.imagesPerSecond)} characters/s, ${spent().seconds.toFixed(0)} s`,
      );
    if (event.kind !== 'epoch') return;
    epochTimes.push({
      epoch: event.record.epoch,
      trainLoss: event.record.loss,
      watchedLoss: event.record.evaluation?.loss,
      ...spent(),
    });
    console.error(`epoch ${JSON.stringify(epochTimes.at(-1))}`);
  },
}).catch((error) => {
  if (error.code !== 'train/interrupted') throw error;
  writeFileSync(sofar, JSON.stringify({ ...spent(), slices: earlier.slices + 1, epochTimes }));
  console.log(`stopped after ${spent().seconds.toFixed(0)} s in all; run the same command to go on`);
  process.exit(0);
});
rmSync(sofar, { force: true });
const total = spent();
const reader = await openSession(encodeModel(trained.model), { backend: 'native', threads });
const sample = await sampleText(reader, data.train.vocabulary, {
  prompt: 'ROMEO:',
  length: 300,
  temperature: 0.7,
  seed,
});
await reader.release();

const met = trained.loss < BAR.loss && total.seconds <= BAR.seconds;
const report = {
  bench: 'char-lstm',
  task: 'next character of tinyshakespeare; trained on the first 85.5 %, 4.5 % watched, loss on the last tenth with at least 128 characters of context',
  architecture: values.arch,
  params: trained.params,
  seed,
  epochs,
  batch: 32,
  window: 64,
  device: await describeDevice(session),
  characters: { train: data.train.size, test: data.test.size, vocabulary: data.train.vocabulary.length },
  test: { nats: trained.loss, perplexity: trained.perplexity, accuracy: trained.accuracy },
  trainingSeconds: total.seconds,
  trainingCpuSeconds: total.cpuSeconds,
  charactersPerSecond: trained.charactersPerSecond,
  slices: earlier.slices + 1,
  epochTimes,
  bar: { ...BAR, met },
  sample,
};
mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
console.log(
  `${trained.loss.toFixed(4)} nats per character on held-out text after ${total.seconds.toFixed(0)} s (${total.cpuSeconds.toFixed(0)} processor seconds); bar ${BAR.loss} in ${BAR.seconds} s: ${met ? 'met' : 'missed'}`,
);
