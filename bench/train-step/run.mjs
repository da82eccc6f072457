/**
 * @file One training step of ResNet-20 (32×32, SGD with Nesterov momentum): Cuttle native and WASM, PyTorch, TensorFlow.js.
 *
 * node bench/train-step/run.mjs [--rounds 3] [--threads 2] [--batch 128] [--steps 12] [--skip tfjs,wasm,pytorch]
 *
 * Needs `npm run build`; PyTorch is Debian's python3-torch; TensorFlow.js is installed into bench/peers on first use. The
 * contestants run one after another in processes of their own, in several rounds, so that noise of the machine meets all
 * of them. Results go to bench/results/train-step.json. TensorFlow.js takes seconds per image, so its batch is small.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeDevice } from '../../dist/runtime/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '128' },
    steps: { type: 'string', default: '12' },
    skip: { type: 'string', default: '' },
  },
});
const skipped = new Set(values.skip.split(',').filter(Boolean));
const sizes = ['--batch', values.batch, '--steps', values.steps];
const threads = ['--threads', values.threads];
const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

const contestants = {
  native: [process.execPath, [join(here, 'cuttle.mjs'), '--backend', 'native', ...sizes, ...threads]],
  pytorch: [python, [join(here, 'pytorch.py'), ...sizes, ...threads]],
  wasm: [
    process.execPath,
    [
      join(here, 'cuttle.mjs'),
      '--backend',
      'wasm',
      '--batch',
      values.batch,
      '--steps',
      '4',
      '--warmup',
      '1',
      ...threads,
    ],
  ],
  tfjs: [process.execPath, [join(here, 'tfjs.mjs')]],
};
const bars = [
  { name: 'native / PyTorch', of: 'native', by: 'pytorch', bar: 0.5 },
  { name: 'native / TensorFlow.js', of: 'native', by: 'tfjs', bar: 500 },
  { name: 'wasm / native', of: 'wasm', by: 'native', bar: 0.15 },
];

if (!skipped.has('tfjs')) installPeers();
const runs = {};
for (let round = 1; round <= Number(values.rounds); round++)
  for (const [name, [command, args]] of Object.entries(contestants)) {
    // TensorFlow.js needs a minute for what the others do in a second: one round tells enough.
    if (skipped.has(name) || (name === 'tfjs' && round > 1)) continue;
    console.error(`round ${round}: ${name} …`);
    const { status, stdout } = spawnSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 2],
      env: { ...process.env, OMP_NUM_THREADS: values.threads },
    });
    if (status !== 0) {
      console.error(`${name} failed`);
      continue;
    }
    const result = JSON.parse(stdout.trim().split('\n').at(-1));
    (runs[name] ??= []).push(result);
    console.error(`  median ${median(result.times).toFixed(1)} ms, ${rate(result).toFixed(1)} images/s`);
  }

const summary = Object.fromEntries(
  Object.entries(runs).map(([name, rounds]) => [
    name,
    {
      version: rounds[0].version,
      batch: rounds[0].batch,
      threads: rounds[0].threads,
      medianMs: median(rounds.flatMap(({ times }) => times)),
      imagesPerSecond: median(rounds.map(rate)),
      imagesPerSecondByRound: rounds.map(rate),
      finalLoss: rounds[0].losses.at(-1),
    },
  ]),
);
const ratios = bars
  .filter(({ of, by }) => summary[of] && summary[by])
  .map(({ name, of, by, bar }) => {
    // Ratios within a round, so that a slow minute of the machine slows both sides.
    const pairs = runs[of].map((run, round) => rate(run) / rate(runs[by][Math.min(round, runs[by].length - 1)]));
    const ratio = median(pairs);
    return { name, ratio, byRound: pairs, bar, met: ratio >= bar };
  });
const report = {
  bench: 'train-step',
  task: 'forward, backward and update of ResNet-20 with 1×1 shortcuts at 3×32×32, SGD with Nesterov momentum 0.9',
  seed: 1,
  device: await describeDevice({ backend: 'native', threads: Number(values.threads) }),
  results: summary,
  ratios,
};
mkdirSync(join(here, '../results'), { recursive: true });
writeFileSync(join(here, '../results/train-step.json'), `${JSON.stringify(report, null, 2)}\n`);
for (const { name, ratio, bar, met } of ratios)
  console.log(`${name}: ${ratio.toFixed(ratio < 10 ? 3 : 0)} (bar ${bar}: ${met ? 'met' : 'missed'})`);

function installPeers() {
  const peers = join(here, '../peers');
  if (existsSync(join(peers, 'node_modules/@tensorflow/tfjs'))) return;
  const { status } = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'], {
    cwd: peers,
    stdio: ['ignore', 2, 2],
  });
  if (status === 0) return;
  console.error('TensorFlow.js could not be installed: it is left out');
  skipped.add('tfjs');
}

function rate({ batch, times }) {
  return (batch * 1000) / median(times);
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : sorted[sorted.length >> 1];
}
