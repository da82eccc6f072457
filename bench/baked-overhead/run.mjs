/**
 * @file What baking a design costs: the baked file run to its end against the plain network with the same heads, and leaving at
 * the first exit against a network that ends there. One thread, one image.
 *
 * node bench/baked-overhead/run.mjs [--models ../shared/models/cifar10] [--seconds 100] [--exits 1,3] [--names resnet20,resnet56]
 *
 * Needs `npm run build`. Heads are MSDNet's with 32 channels, untrained, made unsure so that nothing leaves at confidence 0.9.
 * Exits are spread evenly over the candidates; `blockEnds` moves each to the end of its residual block, where one tensor
 * crosses instead of two.
 *
 * Every form fetches one tensor (its last logits), so that a form with more outputs does not pay for handing them to JavaScript;
 * `allOutputs` says what fetching everything costs. Sessions are opened anew in each repetition, in another order, since where
 * their memory happens to lie changes a whole run by one or two percent. Within a repetition the forms take turns by blocks
 * of runs, whose first ones do not count (`inALoop`); with blocks of one run each form finds the caches full of the
 * others' weights (`alternating`). Two more forms split the overhead up: `cut` is the baked model with boolean graph inputs in
 * place of decisions: what If nodes and layout changes cost; `decided` is the plain model with the decisions computed, and
 * nothing cut. Numbers are medians over repetitions of the difference between first deciles, with quartiles.
 * Results go to bench/results/baked-overhead.json; rows of other networks and exit counts there are kept.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { attachExits, withWeights } from '../../dist/exits/attach.js';
import { findCandidates } from '../../dist/exits/candidates.js';
import { Tensor } from '../../dist/ir/index.js';
import { decodeModel } from '../../dist/onnx/index.js';
import { measureForms, overheads, quantile, round } from './measure.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const { values } = parseArgs({
  options: {
    models: { type: 'string', default: join(root, '../shared/models/cifar10') },
    seconds: { type: 'string', default: '100' },
    exits: { type: 'string', default: '1,3' },
    names: { type: 'string', default: 'resnet20,resnet56' },
  },
});
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

const file = join(root, 'bench/results/baked-overhead.json');
const counts = values.exits.split(',').map(Number);
const networks = values.names.split(',');
const seconds = Number(values.seconds) / (networks.length * counts.length * 2);
const keyOf = ({ network, exits, blockEnds }) => `${network} ${exits.length} ${blockEnds}`;
let kept = [];
try {
  kept = JSON.parse(readFileSync(file, 'utf8')).results.filter((row) => row.inALoop !== undefined);
} catch {
  // No results yet.
}
const rows = new Map(kept.map((row) => [keyOf(row), row]));
for (const network of networks) {
  const progressive = progressiveOf(network);
  for (const count of counts)
    for (const blockEnds of [false, true]) {
      const exits = spread(progressive, count, blockEnds);
      const before = loadavg()[0];
      const times = await measureForms(progressive, { exits }, { seconds, stay: 0.9 });
      const row = { network, exits, blockEnds, loadAverage: round(before), repetitions: times.inALoop.plain.length };
      row.plainMs = round(quantile(times.inALoop.plain, 0.5), 4);
      row.firstStageMs = round(quantile(times.inALoop.firstStage, 0.5), 4);
      Object.assign(row, overheads(times));
      rows.set(keyOf(row), row);
      const { toTheEnd, toTheEndFallbackLast, leavingAtTheFirst } = row.inALoop;
      console.log(
        `${network} exits ${exits.join(' ')}${blockEnds ? ' (block ends)' : ''}: to the end +${toTheEnd.percent} % ` +
          `(${toTheEnd.microseconds} µs), with fallback last +${toTheEndFallbackLast.percent} %, ` +
          `leaving at the first +${leavingAtTheFirst.percent} % (${leavingAtTheFirst.microseconds} µs); ` +
          `Ifs and layout alone ${row.parts.ifsAndLayout.microseconds} µs, decisions ${row.parts.decisions.microseconds} µs`,
      );
    }
}

mkdirSync(dirname(file), { recursive: true });
const results = [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
writeFileSync(
  file,
  `${JSON.stringify({ kind: 'cuttle.bench.baked-overhead', cpu: cpus()[0].model, threads: 1, head: 'msdnet, 32 channels', results }, null, 2)}\n`,
);
