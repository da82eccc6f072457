/**
 * @file Is `cuttle bench` to be believed? Runs that differ in nothing are compared: how often is a difference claimed, how often
 * do the stated intervals agree? On this machine, and on made-up machines with noise, drift and slow spells.
 *
 * node bench/measure-checks/run.mjs [aa] [simulated] [report] [--openings 100] [--seconds 0.05]
 *
 * Needs `npm run build`. Without names all steps run. `aa` takes a few minutes and writes bench/.work/measure-checks/aa.json;
 * `report` joins what is there, the accounts of bench/results/embench.json and the ratios of bench/results/roofline.json into
 * bench/results/measure-checks.json, and draws bench/results/sustained.json (`cuttle bench resnet20-cifar10.onnx --threads 2
 * --openings 3 --sustained 10m --out sustained.json`).
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compareBenches, summariseOpenings } from '../../dist/measure/index.js';
import { runBench } from '../../dist/measure/node.js';
import { createRandom } from '../../dist/platform/index.js';
import { xyPlot } from '../../dist/report/index.js';
import { buildArchitecture } from '../../dist/zoo/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const work = join(here, '../.work/measure-checks');
mkdirSync(work, { recursive: true });
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { openings: { type: 'string', default: '100' }, seconds: { type: 'string', default: '0.05' } },
});
const OPENINGS = 5;
const read = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined);
const save = (name, value) => writeFileSync(join(work, `${name}.json`), `${JSON.stringify(value, null, 2)}\n`);

const steps = { aa, simulated, report };
for (const [name, step] of Object.entries(steps))
  if (positionals.length === 0 || positionals.includes(name)) await step();

/** Many openings of a few networks, one after the other; any five in a row are a run of `cuttle bench`. */
async function aa() {
  const models = ['lenet-5', 'resnet-8', 'mobilenet-v2-0.25'].map((name) => ({
    name,
    model: buildArchitecture(name, {
      classes: 10,
      input: [name === 'lenet-5' ? 1 : 3, ...(name === 'lenet-5' ? [28, 28] : [32, 32])],
      seed: 1,
    }),
  }));
  const result = await runBench({
    models,
    sweep: { providers: ['native'], threads: [1], batches: [1], precisions: ['fp32'], resolutions: [undefined] },
    openings: Number(values.openings),
    plan: { warmup: 5, runs: 30, minSeconds: Number(values.seconds), maxSeconds: 2 },
    samples: true,
  });
  save('aa', {
    device: result.device,
    loadAverage: result.loadAverage,
    seconds: result.seconds,
    networks: result.entries.map(({ model, openings }) => ({
      name: model.name,
      openings: openings.map(({ p50, background, samples }) => ({ p50, background, samples: samples.map(short) })),
    })),
  });
}

function short(value) {
  return Number(value.toPrecision(5));
}

/** A result of `cuttle bench` made of some openings' samples. */
function resultOf(groups) {
  const openings = groups.map((samples) => ({
    ...{ samples: Float64Array.from(samples), loadMs: 0, firstMs: 0, cv: 0, remarks: [], version: '' },
  }));
  const configuration = { provider: 'native', threads: 1, batch: 1, precision: 'fp32' };
  const entry = { model: { name: 'm' }, configuration, ...summariseOpenings(openings, { batch: 1 }) };
  return { entries: [entry], device: { fingerprint: '' } };
}

/** What is said of two sets of openings that differ in nothing. */
function said(a, b) {
  const [before, after] = [resultOf(a), resultOf(b)];
  const [{ verdict, ratio }] = compareBenches(before, after).comparisons;
  const [x, y] = [before, after].map(({ entries }) => entries[0].typicalMs);
  return {
    alarm: verdict === 'faster' || verdict === 'slower',
    same: verdict === 'same',
    overlap: x.low <= y.high && y.low <= x.high,
    holds: ratio.low <= 1 && 1 <= ratio.high,
    apart: Math.abs(Math.log(ratio.value)),
  };
}

function rates(list) {
  const share = (of) => list.filter(of).length / list.length;
  const apart = list.map((each) => each.apart).sort((a, b) => a - b);
  return {
    comparisons: list.length,
    falseAlarms: share((each) => each.alarm),
    intervalsOverlap: share((each) => each.overlap),
    ratioHoldsOne: share((each) => each.holds),
    calledSame: share((each) => each.same),
    medianApart: Math.exp(apart[apart.length >> 1]) - 1,
  };
}

/** Two runs one after the other, and two by turns, from a long row of openings. */
function pairs(groups) {
  const [consecutive, byTurns] = [[], []];
  for (let from = 0; from + 2 * OPENINGS <= groups.length; from += OPENINGS) {
    const ten = groups.slice(from, from + 2 * OPENINGS);
    consecutive.push(said(ten.slice(0, OPENINGS), ten.slice(OPENINGS)));
    byTurns.push(
      said(
        ten.filter((_, i) => i % 2 === 0),
        ten.filter((_, i) => i % 2 === 1),
      ),
    );
  }
  return { consecutive, byTurns };
}

/** Machines whose noise is known: log-normal openings and runs, a drift over the ten openings, slow spells that last. */
function simulated() {
  const machines = {
    'steady, openings differ by 1 %': { between: 0.01 },
    'openings differ by 8 %': { between: 0.08 },
    'drifting by 10 % over both runs': { between: 0.02, drift: 0.1 },
    'slow spells of 30 %': { between: 0.02, spells: 0.3 },
  };
  const random = createRandom(7);
  const results = Object.entries(machines).map(([machine, { between, drift = 0, spells = 0 }]) => {
    const all = { consecutive: [], byTurns: [] };
    for (let repetition = 0; repetition < 500; repetition++) {
      let slow = false;
      const groups = Array.from({ length: 2 * OPENINGS }, (_, i) => {
        if (random.next() < 0.3) slow = !slow;
        const centre = Math.exp(between * random.normal() + (drift * i) / (2 * OPENINGS) + (slow ? spells : 0));
        return Array.from({ length: 40 }, () => centre * Math.exp(0.03 * random.normal()));
      });
      const { consecutive, byTurns } = pairs(groups);
      all.consecutive.push(...consecutive);
      all.byTurns.push(...byTurns);
    }
    return { machine, consecutive: rates(all.consecutive), byTurns: rates(all.byTurns) };
  });
  // The other error: a real difference of 5 % on the steady machine must be seen.
  const seen = Array.from({ length: 500 }, () => {
    const groups = (factor) =>
      Array.from({ length: OPENINGS }, () => {
        const centre = factor * Math.exp(0.01 * random.normal());
        return Array.from({ length: 40 }, () => centre * Math.exp(0.03 * random.normal()));
      });
    return said(groups(1), groups(1.05));
  });
  save('simulated', { machines: results, power: { difference: 0.05, between: 0.01, found: rates(seen).falseAlarms } });
}

function report() {
  const [measured, made] = ['aa', 'simulated'].map((name) => read(join(work, `${name}.json`)));
  const [embench, roofline] = ['embench', 'roofline'].map((name) => read(join(here, `../results/${name}.json`)));
  const sums = embench?.profiles?.map(({ name, quietMs, accounted }) => ({
    name,
    quietMs,
    ofLatency: accounted.ofLatency,
  }));
  const all = measured?.networks.map(({ name, openings }) => ({
    name,
    ...pairs(openings.map(({ samples }) => samples)),
  }));
  const together = (way) => all.flatMap((row) => row[way]);
  const result = {
    bench: 'measure-checks',
    ...(measured && {
      device: measured.device,
      sameAgain: {
        openingsPerRun: OPENINGS,
        loadAverage: measured.loadAverage,
        background: middle(measured.networks.flatMap(({ openings }) => openings.map(({ background }) => background))),
        networks: all.map(({ name, consecutive, byTurns }) => ({
          name,
          consecutive: rates(consecutive),
          byTurns: rates(byTurns),
        })),
        consecutive: rates(together('consecutive')),
        byTurns: rates(together('byTurns')),
      },
    }),
    ...(made && { simulated: made }),
    ...(sums && {
      sums: {
        networks: sums,
        within5Percent: sums.filter(({ ofLatency }) => Math.abs(ofLatency - 1) <= 0.05).length,
        within10Percent: sums.filter(({ ofLatency }) => Math.abs(ofLatency - 1) <= 0.1).length,
        of: sums.length,
        medianError: middle(sums.map(({ ofLatency }) => Math.abs(ofLatency - 1))),
      },
    }),
    ...(roofline && { roofline: roofline.summary }),
  };
  const curve = read(join(here, '../results/sustained.json'))?.entries[0].sustained.curve;
  if (curve)
    writeFileSync(
      join(here, '../results/sustained.svg'),
      `${xyPlot({
        title: 'Ten minutes without pause: median of every second',
        ...{ xLabel: 'minutes', yLabel: 'ms', yFromZero: true, xFromZero: true },
        series: [
          {
            name: 'ResNet-20, 2 threads',
            style: 0,
            points: curve.map(({ at, p50 }) => ({ x: at / 60, y: p50 })),
            markers: 'faint',
          },
          {
            name: 'share of the cores that others took',
            style: 3,
            line: true,
            markers: 'none',
            points: curve.map(({ at, background }) => ({ x: at / 60, y: background })),
          },
        ],
      })}\n`,
    );
  writeFileSync(join(here, '../results/measure-checks.json'), `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify({ ...result, device: undefined, sums: { ...result.sums, networks: undefined } }, null, 1));
}

function middle(list) {
  return [...list].sort((a, b) => a - b)[list.length >> 1];
}
