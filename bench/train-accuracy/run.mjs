/**
 * @file ResNet-20 on the CIFAR-10 copy: the same recipe in Cuttle and in PyTorch, final test accuracies side by side.
 *
 * node bench/train-accuracy/run.mjs [--data FILE] [--epochs 10] [--seed 0] [--threads 2] [--limit N] [--only cuttle|pytorch]
 *
 * Needs `npm run build` and, for the peer, Debian's python3-torch. Stopped with Ctrl-C, the same command continues the Cuttle
 * part where it was. Results go to bench/results/train-accuracy.json; a trial with --limit or fewer epochs leaves them in node_modules/.cache.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openData } from '../../dist/data/node.js';
import { interruptSignal } from '../../dist/platform/node/process.js';
import { describeDevice } from '../../dist/runtime/index.js';
import { trainModel } from '../../dist/train/index.js';
import { fileCheckpoints } from '../../dist/train/node.js';
import { buildArchitecture } from '../../dist/zoo/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join(here, '../../../shared/data/cifar-10-images.tar.gz') },
    epochs: { type: 'string', default: '10' },
    seed: { type: 'string', default: '0' },
    threads: { type: 'string', default: '2' },
    limit: { type: 'string' },
    only: { type: 'string' },
  },
});
const [epochs, seed, threads] = [values.epochs, values.seed, values.threads].map(Number);
const limit = values.limit === undefined ? undefined : Number(values.limit);
const RECIPE = { learningRate: 0.2, weightDecay: 5e-4, batchSize: 128, momentum: 0.9, nesterov: true };

const results = join(here, '../results');
mkdirSync(results, { recursive: true });
const full = limit === undefined && epochs >= 10;
const name = full ? 'train-accuracy' : 'train-accuracy-trial';

const cache = join(here, '../../node_modules/.cache/train-accuracy');
mkdirSync(cache, { recursive: true });
const out = join(full ? results : cache, `${name}.json`);

const previous = existsSync(out) ? JSON.parse(readFileSync(out, 'utf8')) : {};
const report = {
  ...previous,
  bench: 'train-accuracy',
  task: 'ResNet-20 (1×1 shortcuts) on a JPEG copy of CIFAR-10: not comparable with published accuracies',
  recipe: {
    ...RECIPE,
    epochs,
    seed,
    limit,
    schedule: 'one-cycle (cosine)',
    augmentation: 'crop with 4 black pixels, flip',
  },
  bar: 'accuracies within 0.01 of each other',
  device: await describeDevice({ backend: 'native', threads }),
};
const write = () => {
  if (report.cuttle && report.pytorch) report.difference = Math.abs(report.cuttle.accuracy - report.pytorch.accuracy);
  writeFileSync(out, `${JSON.stringify(report, null, 2)}\n`);
};

if (values.only !== 'pytorch') report.cuttle = await trainCuttle();
write();
if (values.only !== 'cuttle') report.pytorch = trainPyTorch();
write();
console.log(
  `Cuttle ${percent(report.cuttle?.accuracy)}, PyTorch ${percent(report.pytorch?.accuracy)}, difference ${percent(report.difference)} → ${out}`,
);

async function trainCuttle() {
  console.error('reading images …');
  // The data's own test part in full: what the calibration set would take is put back.
  const parts = await openData(values.data, { seed, limit, calibrateOn: 'test', calibrationFraction: 0.5 });
  const test = joined(parts.calibration, parts.test);
  const empty = { ...test, size: 0, labels: new Int32Array(0), pixels: new Uint8Array(0) };
  const started = performance.now();
  let last = 0;
  const signal = interruptSignal();
  const trained = await trainModel({
    model: ({ classes, input }) => buildArchitecture('resnet-20', { classes, input, seed }),
    data: { train: parts.train, calibration: empty, test },
    preprocessing: { normalise: 'cifar-10' },
    epochs,
    batchSize: RECIPE.batchSize,
    learningRate: RECIPE.learningRate,
    weightDecay: RECIPE.weightDecay,
    optimizer: { kind: 'sgd', momentum: RECIPE.momentum, nesterov: RECIPE.nesterov },
    schedule: 'one-cycle',
    augment: { crop: { padding: 4 }, flip: true },
    seed,
    session: { backend: 'native', threads },
    checkpoints: fileCheckpoints(join(cache, `${name}.checkpoint`)),
    checkpointSteps: 100,
    signal,
    onEvent(event) {
      if (event.kind === 'start' && event.resumedAt > 0) console.error(`continuing at step ${event.resumedAt}`);
      if (event.kind === 'epoch') console.error(JSON.stringify(event.record));
      if (event.kind !== 'step' || performance.now() - last < 15_000) return;
      last = performance.now();
      console.error(
        `epoch ${event.epoch}/${epochs} step ${event.stepInEpoch}/${event.stepsPerEpoch} loss ${event.loss.toFixed(3)} ` +
          `accuracy ${percent(event.accuracy)} ${event.imagesPerSecond.toFixed(0)} images/s, ${(event.etaSeconds / 60).toFixed(1)} min left`,
      );
    },
  });
  return {
    accuracy: trained.accuracy,
    loss: trained.loss,
    epochs: trained.epochs,
    params: trained.params,
    imagesPerSecond: trained.imagesPerSecond,
    secondsOfThisRun: (performance.now() - started) / 1000,
    testImages: test.size,
    history: trained.history,
  };
}

function trainPyTorch() {
  const file = join(cache, `${name}-pytorch.json`);
  const flags = { epochs, seed, threads, limit, lr: RECIPE.learningRate, batch: RECIPE.batchSize };
  const args = Object.entries(flags).flatMap(([flag, value]) =>
    value === undefined ? [] : [`--${flag}`, String(value)],
  );
  const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
  const { status } = spawnSync(python, [join(here, 'pytorch.py'), values.data, file, ...args], {
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) {
    console.error('the PyTorch part failed: it needs python3-torch, numpy and Pillow');
    return undefined;
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

function joined(a, b) {
  const pixels = new Uint8Array(a.pixels.length + b.pixels.length);
  pixels.set(a.pixels);
  pixels.set(b.pixels, a.pixels.length);
  return { ...b, size: a.size + b.size, labels: Int32Array.from([...a.labels, ...b.labels]), pixels };
}

function percent(value) {
  return value === undefined ? '–' : `${(value * 100).toFixed(2)} %`;
}
