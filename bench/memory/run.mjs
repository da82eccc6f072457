/**
 * @file Memory of a training step: predicted and measured, without and with a budget, against PyTorch.
 *
 * node bench/memory/run.mjs [--threads 2] [--steps 5] [--only resnet-20]
 *
 * Needs `npm run build` and Linux (/proc); PyTorch is Debian's python3-torch and is left out where missing. Every row is a process of
 * its own. `step` is the most the process held, less what it held with its libraries loaded and nothing built. Budgets lie
 * between the plain step and the least that can be met. Results go to bench/results/memory.json.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeDevice } from '../../dist/runtime/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
  },
});
const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
const networks = [
  { arch: 'resnet-20', batch: 128 },
  { arch: 'resnet-20', batch: 32 },
  { arch: 'resnet-56', batch: 64 },
].filter(({ arch }) => values.only === '' || arch === values.only);
/** Budgets as a part of the way from the least feasible to the plain step. */
const SHARES = [0.6, 0.3, 0.05];
const BAR = { peak: 1.3, time: 1.5 };

const file = join(here, '../results/memory.json');
// With --only, the rows of the other networks stay as they were measured.
const rows =
  values.only === '' || !existsSync(file)
    ? []
    : JSON.parse(readFileSync(file, 'utf8')).rows.filter(({ arch }) => arch !== values.only);
for (const { arch, batch } of networks) {
  const plain = cuttle(arch, batch, 0);
  // A budget of one byte is refused, with the least that would do.
  const least = Number(/at least (\d+) MB/.exec(failure(arch, batch, 1))?.[1]) * 1e6;
  const full = plain.program + plain.predictedPlain;
  const budgets = SHARES.map((share) => {
    const budget = Math.round(least + share * (full - least));
    const run = cuttle(arch, batch, budget);
    return {
      budget,
      ...shown(run),
      peakBytes: run.peak,
      kept: run.peak <= budget,
      timeRatio: median(run.times) / median(plain.times),
      sameLosses: run.losses.every((loss, i) => loss === plain.losses[i]),
    };
  });
  const peer = pytorch(arch, batch);
  rows.push({
    arch,
    batch,
    plain: shown(plain),
    leastBudget: least,
    budgets,
    ...(peer && {
      pytorch: { version: peer.version, stepBytes: peer.step, medianMs: median(peer.times) },
      ratio: plain.step / peer.step,
      met: plain.step / peer.step <= BAR.peak,
    }),
  });
  console.log(JSON.stringify(rows.at(-1)));
}
const report = {
  bench: 'memory',
  task: 'training steps at 3×32×32, SGD with Nesterov momentum 0.9; bytes of resident memory beyond the loaded program',
  seed: 1,
  bars: BAR,
  device: await describeDevice({ backend: 'native', threads: Number(values.threads) }),
  rows,
};
mkdirSync(join(here, '../results'), { recursive: true });
writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);

function cuttle(arch, batch, budget) {
  const { status, stdout, stderr } = child(arch, batch, budget);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

function failure(arch, batch, budget) {
  return child(arch, batch, budget).stderr;
}

function child(arch, batch, budget) {
  const args = [
    '--arch',
    arch,
    '--batch',
    batch,
    '--budget',
    budget,
    '--threads',
    values.threads,
    '--steps',
    values.steps,
  ];
  return spawnSync(process.execPath, [join(here, 'step.mjs'), ...args.map(String)], { encoding: 'utf8' });
}

function pytorch(arch, batch) {
  const args = ['--arch', arch, '--batch', batch, '--threads', values.threads, '--steps', values.steps].map(String);
  const { status, stdout } = spawnSync(python, [join(here, 'pytorch.py'), ...args], { encoding: 'utf8' });
  if (status === 0) return JSON.parse(stdout);
  console.error('PyTorch is missing: it is left out');
  return undefined;
}

function shown({ step, predicted, repeated, extraTime, times }) {
  return { stepBytes: step, predictedBytes: predicted, repeated, extraTime, medianMs: median(times) };
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
}
