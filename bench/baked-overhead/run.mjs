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
import { emitDecision } from '../../dist/exits/bake-decision.js';
import { bakeDesign } from '../../dist/exits/bake.js';
import { findCandidates } from '../../dist/exits/candidates.js';
import { GraphBuilder, Tensor, tensorType } from '../../dist/ir/index.js';
import { decodeModel, encodeModel } from '../../dist/onnx/index.js';
import { extract } from '../../dist/passes/index.js';
import { createRandom } from '../../dist/platform/random.js';
import { openSession, percentile, syntheticFeeds } from '../../dist/runtime/index.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const { values } = parseArgs({
  options: {
    models: { type: 'string', default: join(root, '../shared/models/cifar10') },
    seconds: { type: 'string', default: '100' },
    exits: { type: 'string', default: '1,3' },
    names: { type: 'string', default: 'resnet20,resnet56' },
  },
});
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

/** The graph without its decisions: every If takes the graph input `leave`. */
function withoutDecisions(graph, outermost = true) {
  const decides = (node) => /^exit_\d+\/(softmax|top1|leave)$/.test(node.name);
  return {
    ...graph,
    inputs: outermost ? [...graph.inputs, { name: 'leave', type: tensorType('bool', [1]) }] : graph.inputs,
    nodes: graph.nodes
      .filter((node) => !decides(node))
      .map((node) =>
        node.op !== 'If'
          ? node
          : {
              ...node,
              inputs: ['leave'],
              attributes: new Map(
                [...node.attributes].map(([key, branch]) => [
                  key,
                  { ...branch, value: withoutDecisions(branch.value, false) },
                ]),
              ),
            },
      ),
  };
}

/** The plain model with each exit's decision as a further output. */
function withDecisions(plain, heads) {
  const b = GraphBuilder.beside(plain.graph);
  const policy = { kind: 'confidence', thresholds: 0.9 };
  const decided = heads.map((head, position) => emitDecision(b, policy, position, head, undefined).leave);
  const { nodes, initializers, outputs } = plain.graph;
  return {
    ...plain,
    graph: {
      ...plain.graph,
      nodes: [...nodes, ...b.nodes],
      initializers: new Map([...initializers, ...b.initializers]),
      outputs: [...outputs, ...decided.map((name) => ({ name, type: tensorType('bool', [1, 1]) }))],
    },
  };
}

const RUNS = { loop: { block: 12, dropped: 2, rounds: 6 }, alternating: { block: 1, dropped: 0, rounds: 60 } };

/** First deciles, ms, of each form per repetition: in a loop, alternating, and in a loop with all outputs fetched. */
async function measure(progressive, exits, seconds) {
  const { model, info } = progressive;
  const heads = exits.map((exit) => info.exits[exit].output);
  const part = (outputs) => extract(model, { inputs: [info.input], outputs });
  const baked = (thresholds, fallback) =>
    bakeDesign(progressive, { exits, policy: { kind: 'confidence', thresholds }, fallback });
  const plain = part([...heads, info.final.logits]);
  const last = baked(0.9, 'last');
  const forms = {
    plain: { model: plain, fetched: info.final.logits },
    mostConfident: { model: baked(0.9, 'most-confident'), stops: info.exits.length },
    last: { model: last, stops: info.exits.length },
    cut: { model: { ...last, graph: withoutDecisions(last.graph) }, stops: info.exits.length, leave: false },
    decided: { model: withDecisions(plain, heads), fetched: info.final.logits },
    firstStage: { model: part([heads[0]]), fetched: heads[0] },
    early: { model: baked(0, 'most-confident'), stops: exits[0] },
  };
  const images = syntheticFeeds(plain, { [info.batch]: 1 });
  const names = Object.keys(forms);
  const bytes = new Map(names.map((name) => [name, encodeModel(forms[name].model)]));
  const feedsOf = ({ leave }) =>
    leave === undefined ? images : { ...images, leave: Tensor.fromBytes('bool', [1], Uint8Array.of(leave ? 1 : 0)) };
  const times = Object.fromEntries(
    ['inALoop', 'alternating', 'allOutputs'].map((way) => [way, Object.fromEntries(names.map((name) => [name, []]))]),
  );
  const random = createRandom(1);
  const begin = performance.now();
  for (let repetition = 0; performance.now() - begin < 1000 * seconds; repetition++) {
    const order = [...names];
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.int(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    const calls = new Map();
    const sessions = [];
    for (const name of order) {
      const form = forms[name];
      const session = await openSession(bytes.get(name), { threads: 1 });
      sessions.push(session);
      const feeds = feedsOf(form);
      const call = (all) => session.run(feeds, all ? {} : { outputs: [form.fetched ?? 'logits'] });
      if (form.stops !== undefined && Number((await call(true)).exit.data[0]) !== form.stops)
        throw new Error(`${name} stops elsewhere`);
      for (let i = 0; i < 10; i++) await call(false);
      calls.set(name, call);
    }
    for (const [way, { block, dropped, rounds }, all] of [
      ['inALoop', RUNS.loop, false],
      ['alternating', RUNS.alternating, false],
      ['allOutputs', RUNS.loop, true],
    ]) {
      const samples = new Map(order.map((name) => [name, []]));
      for (let round = 0; round < rounds; round++)
        for (let turn = 0; turn < order.length; turn++) {
          const name = order[(round + turn) % order.length];
          const call = calls.get(name);
          for (let i = 0; i < block + dropped; i++) {
            const start = performance.now();
            await call(all);
            const ms = performance.now() - start;
            if (i >= dropped) samples.get(name).push(ms);
          }
        }
      for (const name of order)
        times[way][name].push(
          percentile(
            samples.get(name).sort((a, b) => a - b),
            0.1,
          ),
        );
    }
    await Promise.all(sessions.map((session) => session.release()));
  }
  return times;
}

const quantile = (values, q) =>
  percentile(
    [...values].sort((a, b) => a - b),
    q,
  );

/** What `form` takes more than `base`: percent and microseconds, medians over repetitions, and the quartiles of the percent. */
function against(times, form, base) {
  const percents = times[form].map((ms, i) => 100 * (ms / times[base][i] - 1));
  const micros = times[form].map((ms, i) => 1000 * (ms - times[base][i]));
  return {
    percent: round(quantile(percents, 0.5)),
    quartiles: [round(quantile(percents, 0.25)), round(quantile(percents, 0.75))],
    microseconds: round(quantile(micros, 0.5), 1),
  };
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
      const times = await measure(progressive, exits, seconds);
      const row = { network, exits, blockEnds, loadAverage: round(before), repetitions: times.inALoop.plain.length };
      row.plainMs = round(quantile(times.inALoop.plain, 0.5), 4);
      row.firstStageMs = round(quantile(times.inALoop.firstStage, 0.5), 4);
      for (const way of ['inALoop', 'alternating', 'allOutputs'])
        row[way] = {
          toTheEnd: against(times[way], 'mostConfident', 'plain'),
          toTheEndFallbackLast: against(times[way], 'last', 'plain'),
          leavingAtTheFirst: against(times[way], 'early', 'firstStage'),
        };
      row.parts = {
        ifsAndLayout: against(times.inALoop, 'cut', 'plain'),
        decisions: against(times.inALoop, 'decided', 'plain'),
      };
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
