/**
 * @file What baking a design costs: the baked file run to its end against the plain network with the same heads, and leaving at
 * the first exit against a network that ends there. One thread, one image, all forms taking turns in one process.
 *
 * node bench/baked-overhead/run.mjs [--models ../shared/models/cifar10] [--runs 2000] [--exits 1,2,3,5] [--names resnet20,resnet56]
 *
 * Needs `npm run build`. Heads are MSDNet's with 32 channels, untrained, made unsure so that nothing leaves at confidence 0.9.
 * Exits are spread evenly over the candidates; `blockEnds` moves each to the end of its residual block, where one tensor
 * crosses instead of two. Results go to bench/results/baked-overhead.json.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { attachExits, withWeights } from '../../dist/exits/attach.js';
import { bakeDesign } from '../../dist/exits/bake.js';
import { findCandidates } from '../../dist/exits/candidates.js';
import { Tensor } from '../../dist/ir/index.js';
import { decodeModel, encodeModel } from '../../dist/onnx/index.js';
import { extract } from '../../dist/passes/index.js';
import { measureInterleaved, openSession, percentile, syntheticFeeds } from '../../dist/runtime/index.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const { values } = parseArgs({
  options: {
    models: { type: 'string', default: join(root, '../shared/models/cifar10') },
    runs: { type: 'string', default: '2000' },
    exits: { type: 'string', default: '1,2,3,5' },
    names: { type: 'string', default: 'resnet20,resnet56' },
  },
});
const runs = Number(values.runs);
const round = (value, digits = 2) => Number(value.toFixed(digits));

/** A network with a head at every candidate. */
function progressiveOf(name) {
  const candidates = findCandidates(decodeModel(readFileSync(join(values.models, `${name}-cifar10-bn.onnx`))));
  const attached = attachExits(candidates, candidates.all, { kind: 'msdnet', width: 32 }, 1);
  const linear = [...attached.model.graph.initializers].filter(([key]) => /^exit_\d+\.linear\.weight$/.test(key));
  return withWeights(
    attached,
    new Map(
      linear.map(([key, weight]) => [
        key,
        Tensor.floats(
          weight.data.map((w) => w / 20),
          weight.dims,
        ),
      ]),
    ),
  );
}

/** `count` candidates, evenly spaced. */
function spread({ info }, count, blockEnds) {
  const exits = Array.from({ length: count }, (_, k) => Math.floor(((k + 1) * info.exits.length) / (count + 1)));
  return blockEnds ? exits.map((exit) => info.exits.findIndex((e, index) => index >= exit && e.blockEnd)) : exits;
}

async function measure(progressive, exits) {
  const { model, info } = progressive;
  const heads = exits.map((exit) => info.exits[exit].output);
  const part = (outputs) => extract(model, { inputs: [info.input], outputs });
  const baked = (thresholds, fallback) =>
    bakeDesign(progressive, { exits, policy: { kind: 'confidence', thresholds }, fallback });
  const forms = {
    plain: part([...heads, info.final.logits]),
    mostConfident: baked(0.9, 'most-confident'),
    last: baked(0.9, 'last'),
    firstStage: part([heads[0]]),
    early: baked(0, 'most-confident'),
  };
  const feeds = syntheticFeeds(forms.plain, { [info.batch]: 1 });
  const sessions = {};
  for (const [form, graph] of Object.entries(forms))
    sessions[form] = await openSession(encodeModel(graph), { threads: 1 });
  try {
    for (const [form, exit] of Object.entries({
      mostConfident: info.exits.length,
      last: info.exits.length,
      early: exits[0],
    }))
      if (Number((await sessions[form].run(feeds)).exit.data[0]) !== exit) throw new Error(`${form} stops elsewhere`);
    const measured = await measureInterleaved(
      Object.values(sessions).map((session) => () => session.run(feeds)),
      { warmup: 50, runs, samples: true },
    );
    const times = Object.keys(forms).map((form, index) => {
      const sorted = [...measured[index].samples].sort((a, b) => a - b);
      return [form, { min: sorted[0], decile: percentile(sorted, 0.1) }];
    });
    return Object.fromEntries(times);
  } finally {
    await Promise.all(Object.values(sessions).map((session) => session.release()));
  }
}

/** Microseconds and percent that `form` takes more than `base`. */
function against(times, form, base, statistic, exits) {
  const extra = times[form][statistic] - times[base][statistic];
  return {
    percent: round((100 * extra) / times[base][statistic]),
    microseconds: round(1000 * extra, 1),
    ...(exits > 1 && { microsecondsPerExit: round((1000 * extra) / exits, 1) }),
  };
}

const results = [];
for (const network of values.names.split(',')) {
  const progressive = progressiveOf(network);
  for (const count of values.exits.split(',').map(Number))
    for (const blockEnds of [false, true]) {
      const exits = spread(progressive, count, blockEnds);
      const before = loadavg()[0];
      const times = await measure(progressive, exits);
      const row = { network, exits, blockEnds, loadAverage: round(before) };
      row.plainMs = { min: round(times.plain.min, 4), decile: round(times.plain.decile, 4) };
      row.firstStageMs = { min: round(times.firstStage.min, 4), decile: round(times.firstStage.decile, 4) };
      for (const statistic of ['min', 'decile'])
        row[statistic] = {
          toTheEnd: against(times, 'mostConfident', 'plain', statistic, count),
          toTheEndFallbackLast: against(times, 'last', 'plain', statistic, count),
          leavingAtTheFirst: against(times, 'early', 'firstStage', statistic, 1),
        };
      results.push(row);
      console.log(
        `${network} exits ${exits.join(' ')}${blockEnds ? ' (block ends)' : ''}: to the end +${row.min.toTheEnd.percent} % ` +
          `(${row.min.toTheEnd.microseconds} µs), with fallback last +${row.min.toTheEndFallbackLast.percent} %, ` +
          `leaving at the first +${row.min.leavingAtTheFirst.percent} % (${row.min.leavingAtTheFirst.microseconds} µs)`,
      );
    }
}

const file = join(root, 'bench/results/baked-overhead.json');
mkdirSync(dirname(file), { recursive: true });
writeFileSync(
  file,
  `${JSON.stringify({ kind: 'cuttle.bench.baked-overhead', cpu: cpus()[0].model, threads: 1, runs, head: 'msdnet, 32 channels', results }, null, 2)}\n`,
);
