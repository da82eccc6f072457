/**
 * @file One training step of several networks: Cuttle native and WASM, PyTorch; for ResNet-20 TensorFlow.js, jax-js and onnxsim as well.
 *
 * node bench/train-step/run.mjs [--networks resnet-20,…] [--rounds 3] [--threads 2] [--steps 12] [--blas FOLDER] [--skip tfjs,jax,wasm,pytorch,onnxsim]
 *
 * Needs `npm run build`; PyTorch is Debian's python3-torch, whose matrix products come from the libblas.so.3 that the loader
 * finds: `--blas` names a folder with a faster one than Debian's reference, such as libopenblas0-openmp's. TensorFlow.js is installed into bench/peers on first use. The
 * contestants run one after another in processes of their own, in several rounds, so that noise of the machine meets all
 * of them. Results go to bench/results/train-step.json, where networks that were not asked for keep theirs.
 * TensorFlow.js and jax-js take seconds per image, so their batches are small. The LSTM runs in PyTorch with one thread as well, which is
 * faster than two with some BLAS libraries: the ratio refers to the faster one. onnxsim's step graph needs a Python with onnxsim and
 * onnxruntime (named by ONNXSIM_PYTHON) and trains ResNet-20 without batch statistics, which it cannot differentiate.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeDevice } from '../../dist/runtime/index.js';
import { networks } from './networks.mjs';

/** The recurrent network has processes of its own, for its loss is taken at every character. */
const LSTM = {
  title: 'a character model: embedding 65 × 64, one LSTM of 256, 65 classes; 32 windows of 64 characters, Adam',
  batch: 32 * 64,
};
const tasks = { ...networks, lstm: LSTM };

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    networks: { type: 'string', default: Object.keys(tasks).join() },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '12' },
    blas: { type: 'string' },
    skip: { type: 'string', default: '' },
  },
});
const skipped = new Set(values.skip.split(',').filter(Boolean));
const SLOW = new Set(['tfjs', 'jax']);
const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

/** ResNet-20 with its BatchNormalization folded, as onnxsim's step graph needs it. */
const exported = join(here, '../../../shared/models/cifar10/resnet20-cifar10.onnx');

/** What native training should reach of PyTorch's speed. */
const BARS = { 'resnet-20': 0.75 };
const BAR = 0.6;

function contestantsOf(name) {
  if (name === 'lstm') return lstmContestants();
  const own = ['--network', name, '--batch', String(networks[name].batch), '--threads', values.threads];
  const cuttle = join(here, 'cuttle.mjs');
  return {
    native: [process.execPath, [cuttle, ...own, '--steps', values.steps, '--tune']],
    pytorch: [python, [join(here, 'pytorch.py'), ...own, '--steps', values.steps]],
    wasm: [process.execPath, [cuttle, ...own, '--backend', 'wasm', '--steps', '4', '--warmup', '1']],
    ...(name === 'resnet-20' && {
      tfjs: [process.execPath, [join(here, 'tfjs.mjs')]],
      jax: [process.execPath, [join(here, 'jax.mjs')]],
      onnxsim: [
        process.env.ONNXSIM_PYTHON ?? python,
        [join(here, 'onnxsim_step.py'), exported, '--batch', String(networks[name].batch), '--threads', values.threads],
      ],
    }),
  };
}

function lstmContestants() {
  const steps = ['--steps', values.steps];
  const cuttle = [join(here, 'lstm.mjs'), '--threads', values.threads];
  const torch = (threads) => [
    python,
    [join(here, 'lstm.py'), ...steps, '--threads', threads],
    { OMP_NUM_THREADS: threads },
  ];
  return {
    native: [process.execPath, [...cuttle, ...steps]],
    pytorch: torch(values.threads),
    ...(values.threads !== '1' && { 'pytorch-1': torch('1') }),
    wasm: [process.execPath, [...cuttle, '--backend', 'wasm', '--steps', '4', '--warmup', '1']],
  };
}

const barsOf = (name) => [
  { name: 'native / PyTorch', of: 'native', by: 'pytorch', bar: BARS[name] ?? BAR },
  { name: 'wasm / native', of: 'wasm', by: 'native', bar: 0.15 },
  ...(name === 'resnet-20'
    ? [
        { name: 'native / TensorFlow.js', of: 'native', by: 'tfjs', bar: 500 },
        { name: 'native / jax-js', of: 'native', by: 'jax', bar: 1 },
        { name: 'native / onnxsim', of: 'native', by: 'onnxsim', bar: 1 },
      ]
    : []),
];

const out = join(here, '../results/train-step.json');
const previous = existsSync(out) ? JSON.parse(readFileSync(out, 'utf8')) : {};
const report = {
  bench: 'train-step',
  task: 'forward, backward and update of one batch of made-up numbers',
  seed: 1,
  device: await describeDevice({ backend: 'native', threads: Number(values.threads) }),
  blas: values.blas === undefined ? 'reference' : basename(values.blas),
  networks: { ...previous.networks },
};
if (!(skipped.has('tfjs') && skipped.has('jax')) && values.networks.includes('resnet-20')) installPeers();
for (const name of values.networks.split(',')) {
  report.networks[name] = measure(name);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, `${JSON.stringify(report, null, 2)}\n`);
  for (const { name: ratio, ratio: value, bar, met } of report.networks[name].ratios)
    console.log(`${name}: ${ratio} ${value.toFixed(value < 10 ? 3 : 0)} (bar ${bar}: ${met ? 'met' : 'missed'})`);
}

/** All contestants on one network. */
function measure(network) {
  const runs = {};
  for (let round = 1; round <= Number(values.rounds); round++)
    for (const [name, [command, args, env]] of Object.entries(contestantsOf(network))) {
      // What needs a minute for what the others do in a second runs once: that tells enough.
      if (skipped.has(name) || (SLOW.has(name) && round > 1)) continue;
      console.error(`${network}, round ${round}: ${name} …`);
      const { status, stdout } = spawnSync(command, args, {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 2],
        env: {
          ...process.env,
          OMP_NUM_THREADS: values.threads,
          ...env,
          ...(name.startsWith('pytorch') && values.blas && { LD_LIBRARY_PATH: values.blas }),
        },
      });
      if (status !== 0) {
        console.error(`${name} failed`);
        continue;
      }
      const result = JSON.parse(stdout.trim().split('\n').at(-1));
      (runs[name] ??= []).push(result);
      console.error(`  median ${median(result.times).toFixed(1)} ms, ${rate(result).toFixed(1)} per second`);
    }
  const results = Object.fromEntries(
    Object.entries(runs).map(([name, rounds]) => {
      const [{ version, batch = rounds[0].samples, threads, nodes, losses }] = rounds;
      return [
        name,
        {
          version,
          batch,
          threads,
          medianMs: median(rounds.flatMap(({ times }) => times)),
          imagesPerSecond: median(rounds.map(rate)),
          imagesPerSecondByRound: rounds.map(rate),
          ...(rounds[0].peakMegabytes && { peakMegabytes: median(rounds.map((run) => run.peakMegabytes)) }),
          ...(nodes && { nodes, sessionMs: median(rounds.map((run) => run.sessionMs)) }),
          finalLoss: losses.at(-1),
        },
      ];
    }),
  );
  const ratios = barsOf(network)
    .filter(({ of, by }) => results[of] && results[by])
    .map(({ name, of, by, bar }) => {
      // Ratios within a round, so that a slow minute of the machine slows both sides.
      const pairs = runs[of].map((run, round) => rate(run) / fastestOf(runs, by, round));
      const ratio = median(pairs);
      return { name, ratio, byRound: pairs, bar, met: ratio >= bar };
    });
  const memory =
    results.native && results.pytorch ? results.native.peakMegabytes / results.pytorch.peakMegabytes : undefined;
  return { task: tasks[network].title, results, ratios, ...(memory && { peakMemoryNativeOverPytorch: memory }) };
}

/** The fastest run of a round among a contestant's variants (`pytorch-1` is one of `pytorch`); what ran once stands for all rounds. */
function fastestOf(runs, by, round) {
  const variants = Object.keys(runs).filter((name) => name === by || name.startsWith(`${by}-`));
  return Math.max(...variants.map((name) => rate(runs[name][Math.min(round, runs[name].length - 1)])));
}

function installPeers() {
  const peers = join(here, '../peers');
  if (existsSync(join(peers, 'node_modules/@tensorflow/tfjs'))) return;
  const { status } = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'], {
    cwd: peers,
    stdio: ['ignore', 2, 2],
  });
  if (status === 0) return;
  console.error('TensorFlow.js and jax-js could not be installed: they are left out');
  skipped.add('tfjs').add('jax');
}

function rate({ batch, samples = batch, times }) {
  return (samples * 1000) / median(times);
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : sorted[sorted.length >> 1];
}
