/**
 * @file One training step of an LSTM character model (Adam): Cuttle native and WASM, PyTorch, in one run.
 *
 * node bench/train-step/run-lstm.mjs [--rounds 3] [--cell LSTM] [--steps 12] [--blas FOLDER] [--skip wasm]
 *
 * Needs `npm run build`; PyTorch is Debian's python3-torch. Its matrix products come from the libblas.so.3 that the loader
 * finds: with Debian's reference BLAS a step takes seconds. `--blas` names a folder with another one, such as that of the package
 * libopenblas0-openmp; PyTorch then runs with both, and with one thread and two, and ratios refer to the fastest of its runs in each round. Results go to
 * bench/results/train-step-lstm.json.
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
    cell: { type: 'string', default: 'LSTM' },
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '12' },
    blas: { type: 'string' },
    skip: { type: 'string', default: '' },
    out: { type: 'string', default: join(here, '../results/train-step-lstm.json') },
  },
});
const BAR = 0.6;
const skipped = new Set(values.skip.split(',').filter(Boolean));
const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
const work = ['--cell', values.cell, '--steps', values.steps];
const cuttle = (...more) => ({ command: process.execPath, args: [join(here, 'lstm.mjs'), ...work, ...more] });
const torch = (threads, blas, ...more) => ({
  command: python,
  args: [join(here, 'lstm.py'), ...work, '--threads', threads, ...more],
  env: { OMP_NUM_THREADS: threads, ...(blas && { LD_LIBRARY_PATH: blas }) },
});
const contestants = {
  native: cuttle('--threads', values.threads),
  ...(values.blas && {
    'pytorch-openblas': torch(values.threads, values.blas),
    'pytorch-openblas-1': torch('1', values.blas),
  }),
  pytorch: torch(values.threads, undefined, '--steps', '3', '--warmup', '1'),
  wasm: cuttle('--threads', values.threads, '--backend', 'wasm', '--steps', '4', '--warmup', '1'),
};

const runs = {};
for (let round = 1; round <= Number(values.rounds); round++)
  for (const [name, { command, args, env }] of Object.entries(contestants)) {
    if (skipped.has(name) || (name === 'pytorch' && round > 1)) continue;
    const { status, stdout } = spawnSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 2],
      env: { ...process.env, ...env },
    });
    if (status !== 0) {
      console.error(`${name} failed`);
      continue;
    }
    const result = JSON.parse(stdout.trim().split('\n').at(-1));
    (runs[name] ??= []).push(result);
    console.error(`round ${round}: ${name}: median ${median(result.times).toFixed(1)} ms`);
  }

const summary = Object.fromEntries(
  Object.entries(runs).map(([name, rounds]) => [
    name,
    {
      version: rounds[0].version,
      threads: rounds[0].threads,
      medianMs: median(rounds.flatMap(({ times }) => times)),
      charactersPerSecond: median(rounds.map(rate)),
      charactersPerSecondByRound: rounds.map(rate),
      finalLoss: rounds[0].losses.at(-1),
    },
  ]),
);
/** Against the fastest PyTorch of the same round; a run that was made once stands for all rounds. */
const ofRound = (name, round) => rate(runs[name][Math.min(round, runs[name].length - 1)]);
const peers = Object.keys(runs).filter((name) => name.startsWith('pytorch'));
const ratios = ['native', 'wasm']
  .filter((name) => runs[name] && peers.length > 0)
  .map((name) => {
    const byRound = runs[name].map((run, round) => rate(run) / Math.max(...peers.map((peer) => ofRound(peer, round))));
    const ratio = median(byRound);
    return { name: `${name} / PyTorch`, ratio, byRound, ...(name === 'native' && { bar: BAR, met: ratio >= BAR }) };
  });
const report = {
  bench: 'train-step-lstm',
  task: `forward, backward and update of a character model: embedding 65 × 64, one ${values.cell} of 256, 65 classes; 32 windows of 64 characters, Adam`,
  seed: 1,
  device: await describeDevice({ backend: 'native', threads: Number(values.threads) }),
  results: summary,
  ratios,
};
mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
for (const { name, ratio: value, bar, met } of ratios)
  console.log(`${name}: ${value.toFixed(3)}${bar === undefined ? '' : ` (bar ${bar}: ${met ? 'met' : 'missed'})`}`);

function rate({ samples, times }) {
  return (samples * 1000) / median(times);
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : sorted[sorted.length >> 1];
}
