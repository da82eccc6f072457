/**
 * Step 2 of the design-space bench: {exits only, joint, distillation} × {confidence, entropy, margin, patience, learned} × {shared,
 * per-exit} × {subnet, anytime, budgeted, input-dependent} under one budget each, and the static alternatives on the same axis.
 *
 *   node bench/exit-design-space/run.mjs                   everything but latencies: look-up in the memos, no network is run but
 *                                                          for the accuracy of the static alternatives
 *   node bench/exit-design-space/run.mjs --measure NAME    latencies of `exits-only`, `joint`, `distillation` or `static`, batch 1
 *
 * Needs `npm run build` and prepare.mjs. Thresholds, temperatures and gates come from the calibration half of the test images,
 * every figure from the other half. Results go to bench/results/exit-design-space.json and .svg.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { batches, resolvePreprocessing } from '../../dist/data/index.js';
import { openData } from '../../dist/data/node.js';
import { oracle } from '../../dist/exits/baselines.js';
import { planBatch } from '../../dist/exits/batch-budget.js';
import { answersCalibration, calibrateExits } from '../../dist/exits/calibrate.js';
import { backboneCost } from '../../dist/exits/costs.js';
import { evaluateAnswers, evaluateAnytime, evaluateSubnet } from '../../dist/exits/evaluate-modes.js';
import { macsCosts, typicalMs } from '../../dist/exits/measure-costs.js';
import { singleImage } from '../../dist/exits/measure-design.js';
import { bakeDesign } from '../../dist/exits/bake.js';
import { decodeMemo } from '../../dist/exits/memo.js';
import { exitForBudget } from '../../dist/exits/modes.js';
import { policyKinds } from '../../dist/exits/policies/index.js';
import { fitGates, withGates } from '../../dist/exits/policies/fit-gates.js';
import { backboneOf, readProgressive, withTemperatures } from '../../dist/exits/progressive.js';
import { exitAccuracy, scoreTables } from '../../dist/exits/scores.js';
import { InfeasibleBudgetError } from '../../dist/exits/search/problem.js';
import { searchDesign } from '../../dist/exits/search/index.js';
import { openProgressive } from '../../dist/exits/session.js';
import { subnetOf } from '../../dist/exits/subnet.js';
import { encodeModel } from '../../dist/onnx/index.js';
import { loadModel } from '../../dist/onnx/node.js';
import {
  costOf,
  factorise,
  foldBatchNorm,
  quantisableActivations,
  quantise,
  rankForEnergy,
} from '../../dist/passes/index.js';
import { svgFile, xyPlot } from '../../dist/report/index.js';
import { measureInterleaved, measureRanges, openSession } from '../../dist/runtime/index.js';
import { evaluate } from '../../dist/train/index.js';

const root = new URL('../..', import.meta.url).pathname;
const folder = join(root, 'bench/.work/exit-design-space');
const resultsFile = join(root, 'bench/results/exit-design-space.json');
const { values } = parseArgs({ options: { measure: { type: 'string' } } });
const trainings = ['exits-only', 'joint', 'distillation'];
/** Shares of the network's MACs that a sample may take on average. */
const budgets = [0.5, 0.75];
/** More of them, for the plot. */
const ladder = [0.15, 0.25, 0.35, 0.45, 0.55, 0.7, 0.85, 1];
const effort = { seed: 0, evaluations: 1200, restarts: 1 };
const prepared = JSON.parse(readFileSync(join(folder, 'prepared.json'), 'utf8'));
const round = (value, digits = 4) => Number(value.toFixed(digits));
const rounded = (list, digits) => Array.from(list, (value) => round(value, digits));
const session = { threads: 1 };

/** A network with exits, its scores on both halves of the samples, and its costs. */
async function openNetwork(training) {
  const loaded = readProgressive(await loadModel(join(folder, `${training}.onnx`)));
  const memos = ['calibration', 'test'].map((part) =>
    decodeMemo(readFileSync(join(folder, `${training}-${part}.memo`))),
  );
  const calibration = calibrateExits(memos[0]);
  const temperatures = calibration.map(({ temperature }) => temperature);
  const progressive = withTemperatures(loaded, temperatures);
  const plain = memos.map((memo) => scoreTables(memo, temperatures));
  const gates = fitGates(plain[0]);
  const [known, test] = plain.map((scores) => withGates(scores, gates));
  return { training, progressive, memos, calibration, temperatures, known, test, costs: macsCosts(progressive) };
}

/** Every row of the table for one network and budget: what was chosen, by mode, policy and thresholds. */
function designsFor({ known, costs }, share, only = {}) {
  const {
    modes = ['budgeted', 'input-dependent', 'anytime'],
    policies = policyKinds,
    kinds = ['shared', 'per-exit'],
  } = only;
  const budget = share * backboneCost(costs);
  const exits = Array.from({ length: known.exits - 1 }, (_, exit) => exit);
  const rows = [];
  const subnet = exitForBudget(costs, [...exits, known.exits - 1], budget);
  rows.push({ mode: 'subnet', policy: null, thresholds: null, exit: subnet });
  for (const policy of policies)
    for (const thresholds of kinds) {
      const attempt = (make) => {
        try {
          return { choice: make() };
        } catch (error) {
          if (!(error instanceof InfeasibleBudgetError)) throw error;
          return { infeasible: round(error.lowest / backboneCost(costs)) };
        }
      };
      const settings = { scores: known, costs, policy, fallback: 'last', minGap: 1, truncation: 'never' };
      const constraint = { kind: 'average', budget };
      const found = attempt(() => searchDesign({ ...settings, constraint }, { ...effort, thresholds }).choice);
      for (const mode of modes)
        rows.push({
          ...{ mode, policy, thresholds },
          ...(mode === 'budgeted'
            ? attempt(() => planBatch(known, costs, { exits, policy, thresholds, budget }).choice)
            : found),
        });
    }
  return rows;
}

/** What a row does on the test samples. */
function evaluateRow({ test, costs }, row) {
  if (row.mode === 'subnet') return row.exit === undefined ? undefined : evaluateSubnet(test, costs, row.exit);
  if (row.choice === undefined) return undefined;
  if (row.mode !== 'anytime') return evaluateAnswers(test, costs, row.choice);
  // A deadline that falls after each of the exits equally often.
  const steps = evaluateAnytime(test, costs, row.choice);
  const mean = (of) => steps.reduce((sum, step) => sum + of(step), 0) / steps.length;
  return {
    accuracy: mean((step) => step.accuracy),
    averageCost: mean((step) => step.averageCost),
    ece: mean((step) => step.ece),
    exitShares: steps[0].exitShares.map((_, exit) => mean((step) => step.exitShares[exit])),
    steps: steps.map(({ accuracy, averageCost }) => ({
      accuracy: round(accuracy),
      macs: round(averageCost / backboneCost(costs)),
    })),
  };
}

function describe(network, row, share) {
  const { costs } = network;
  const { mode, policy, thresholds, infeasible } = row;
  const base = { training: network.training, mode, policy, thresholds, budget: share };
  const done = evaluateRow(network, row);
  if (done === undefined) return { ...base, infeasible: infeasible ?? true };
  return {
    ...base,
    accuracy: round(done.accuracy),
    macs: round(done.averageCost / backboneCost(costs)),
    ece: round(done.ece),
    exits: rounded(done.exitShares, 3),
    ...(done.steps && { steps: done.steps }),
    ...(row.choice && { used: row.choice.exits }),
  };
}

function describeExits({ progressive, memos, calibration, test, costs }) {
  const [, memo] = memos;
  const calibrated = calibration.map(({ temperature }, exit) => {
    const by = new Uint16Array(memo.labels.length).fill(exit);
    const before = answersCalibration(scoreTables(memo), by);
    const after = answersCalibration(test, by);
    return {
      at: progressive.info.exits[exit]?.value ?? 'final',
      macs: round(evaluateSubnet(test, costs, exit).averageCost / backboneCost(costs)),
      temperature: round(temperature, 3),
      accuracy: { before: before.accuracy, after: after.accuracy },
      ece: { before: round(before.ece), after: round(after.ece) },
    };
  });
  const all = Array.from({ length: test.exits }, (_, exit) => exit);
  const { accuracy, overthinkingGap } = oracle(test, costs, all);
  return { exits: calibrated, oracle: { accuracy: round(accuracy), overthinkingGap: round(overthinkingGap) } };
}

/** Accuracy differences of two networks at one exit on the same samples, with the standard error of the paired difference. */
function paired(a, b, exit) {
  let [gained, lost] = [0, 0];
  for (let s = 0; s < a.samples; s++) {
    const right = [a, b].map((scores) => scores.prediction[exit][s] === scores.labels[s]);
    if (right[0] && !right[1]) gained++;
    if (right[1] && !right[0]) lost++;
  }
  return { difference: round((gained - lost) / a.samples), standardError: round(Math.sqrt(gained + lost) / a.samples) };
}

function orderings(networks, plainAccuracy) {
  const by = Object.fromEntries(networks.map((network) => [network.training, network]));
  const [alone, joint, distilled] = trainings.map((name) => by[name].test);
  const early = [0, 1, 2];
  const final = alone.exits - 1;
  const joined = early.map((exit) => paired(joint, alone, exit));
  const taught = early.map((exit) => paired(distilled, alone, exit));
  const described = networks.map((network) => describeExits(network));
  const eces = described.flatMap(({ exits }) => exits.map(({ ece }) => ece));
  return [
    {
      claim: 'joint training is more accurate than exits only at exits 0 to 2',
      holds: joined.every(({ difference }) => difference > 0),
      perExit: joined,
    },
    {
      claim: 'exits only keeps the final accuracy exactly',
      holds: exitAccuracy(alone, final) === plainAccuracy && exitAccuracy(distilled, final) === plainAccuracy,
      final: { plain: plainAccuracy, exitsOnly: exitAccuracy(alone, final), joint: exitAccuracy(joint, final) },
    },
    {
      claim: 'distillation is at least as accurate as cross-entropy alone at early exits',
      holds: taught.every(({ difference }) => difference >= 0),
      perExit: taught,
    },
    {
      claim: 'temperature scaling lowers the calibration error without changing accuracy',
      holds:
        eces.every(({ before, after }) => after <= before) &&
        described.every(({ exits }) => exits.every(({ accuracy }) => accuracy.before === accuracy.after)),
      lowered: eces.filter(({ before, after }) => after <= before).length,
      of: eces.length,
      mean: {
        before: round(eces.reduce((sum, { before }) => sum + before, 0) / eces.length),
        after: round(eces.reduce((sum, { after }) => sum + after, 0) / eces.length),
      },
      accuracyUnchanged: described.every(({ exits }) =>
        exits.every(({ accuracy }) => accuracy.before === accuracy.after),
      ),
    },
    {
      claim: 'the overthinking gap (some exit is right) − (the final exit is right) is positive',
      holds: described.every(({ oracle: { overthinkingGap } }) => overthinkingGap > 0),
      gaps: Object.fromEntries(networks.map(({ training }, i) => [training, described[i].oracle.overthinkingGap])),
    },
  ];
}

/** The static alternatives, as models. */
async function staticModels() {
  const float = foldBatchNorm(await loadModel(join(folder, 'backbone.onnx'))).model;
  const { preprocessing } = resolvePreprocessing(float);
  const data = await openData('fashion-mnist', { seed: prepared.seed, calibrateOn: 'test' });
  const input = float.graph.inputs[0].name;
  async function* samples() {
    let count = 0;
    for await (const { images } of batches(data.calibration, { batchSize: 64, preprocessing })) {
      if (count++ === 8) return;
      yield { [input]: images };
    }
  }
  const activations = quantisableActivations(float);
  const int8 = async (model, options) =>
    quantise(model, { ranges: await measureRanges(model, activations, samples(), { ...session, ...options }) }).model;
  const lowRank = (energy) =>
    factorise(float, { rank: ({ singular, columns }) => (columns > 9 ? rankForEnergy(singular, energy) : undefined) })
      .model;
  const models = {
    plain: float,
    'int8 (min–max)': await int8(float, {}),
    'int8 (99.99 %)': await int8(float, { percentile: 99.99 }),
    'low rank, 99 % energy': lowRank(0.99),
    'low rank, 97 % energy': lowRank(0.97),
    'low rank, 90 % energy': lowRank(0.9),
  };
  for (const width of Object.keys(prepared.accuracy.widths))
    models[`width ${width}`] = foldBatchNorm(await loadModel(join(folder, `width-${width}.onnx`))).model;
  return { models, data, preprocessing, input };
}

/** Typical latency (first decile) of calls that take turns, relative to the first. */
async function relativeLatencies(calls, runs) {
  const measured = await measureInterleaved(calls, { warmup: 10, runs, samples: true });
  const ms = measured.map(({ samples }) => typicalMs(samples));
  return { ms, relative: ms.map((value) => round(value / ms[0], 3)) };
}

/** Mean over the images of each one's typical time, per contestant; contestants take turns on each image. */
async function meanLatencies(calls, images, rounds) {
  const turns = calls.map(() => 0);
  const measured = await measureInterleaved(
    calls.map((call, i) => () => call(images[turns[i]++ % images.length], turns[i] % images.length)),
    { warmup: images.length, runs: rounds * images.length, samples: true },
  );
  return measured.map(({ samples }) => {
    const byImage = images.map(() => []);
    samples.forEach((ms, call) => byImage[call % images.length].push(ms));
    return byImage.reduce((sum, list) => sum + typicalMs(list), 0) / images.length;
  });
}

async function measureStatic(result) {
  const { models, input, data, preprocessing } = await staticModels();
  const [image] = await testImages(data, preprocessing, 1);
  const opened = [];
  for (const model of Object.values(models)) opened.push(await openSession(encodeModel(model), session));
  const { ms, relative } = await relativeLatencies(
    opened.map((one) => () => one.run({ [input]: image })),
    800,
  );
  Object.keys(models).forEach((name, i) => {
    const row = result.static.find((entry) => entry.name === name);
    row.latency = relative[i];
    row.ms = round(ms[i]);
  });
  await Promise.all(opened.map((one) => one.release()));
}

async function testImages(data, preprocessing, count) {
  for await (const { images } of batches(data.test, { batchSize: count, preprocessing }))
    return Array.from({ length: count }, (_, i) => singleImage(images, i));
}

/** Latencies of one training's rows under the first budget, baked where the mode allows it. */
async function measureTraining(result, training) {
  const network = await openNetwork(training);
  const { progressive } = network;
  const { info } = progressive;
  const { preprocessing } = resolvePreprocessing(await loadModel(join(folder, 'backbone.onnx')));
  const data = await openData('fashion-mnist', { seed: prepared.seed, calibrateOn: 'test' });
  const images = await testImages(data, preprocessing, 60);
  const rows = designsFor(network, budgets[0]);
  const backbone = await openSession(encodeModel(backboneOf(progressive)), session);
  const [reference] = await meanLatencies([(image) => backbone.run({ [info.input]: image })], images, 8);
  for (const row of rows) {
    const entry = result.rows.find(
      ({ mode, policy, thresholds, budget, ...rest }) =>
        rest.training === training &&
        mode === row.mode &&
        policy === row.policy &&
        thresholds === row.thresholds &&
        budget === budgets[0],
    );
    if (entry === undefined || entry.infeasible !== undefined) continue;
    let release;
    let call;
    if (row.mode === 'subnet') {
      const one = await openSession(encodeModel(subnetOf(progressive, row.exit)), session);
      [release, call] = [() => one.release(), (image) => one.run({ [info.input]: image })];
    } else if (row.mode === 'anytime') {
      const staged = await openProgressive(progressive, row.choice, session);
      const exits = staged.stages.map(({ exit }) => exit);
      // Image by image another deadline, as often after each exit.
      [release, call] = [
        () => staged.release(),
        (image, index) => staged.run(image, { maxExit: exits[index % exits.length] }),
      ];
    } else {
      const one = await openSession(encodeModel(bakeDesign(progressive, row.choice)), session);
      [release, call] = [() => one.release(), (image) => one.run({ [info.input]: image })];
    }
    const plain = (image) => backbone.run({ [info.input]: image });
    const [base, ms] = await meanLatencies([plain, call], images, 5);
    entry.latency = round(ms / base, 3);
    entry.form = { subnet: 'plain', anytime: 'staged' }[row.mode] ?? 'baked';
    await release();
  }
  await backbone.release();
  result.backboneMs = { ...result.backboneMs, [training]: round(reference) };
}

function plot(networks, rows, statics) {
  const points = (network, of) =>
    ladder.flatMap((share) => {
      const row = of(share);
      const done = row && evaluateRow(network, row);
      return done ? [{ x: done.averageCost / backboneCost(network.costs), y: done.accuracy }] : [];
    });
  const front = (network, policy) =>
    points(network, (share) =>
      designsFor(network, share, { modes: ['input-dependent'], policies: [policy], kinds: ['per-exit'] }).at(-1),
    );
  const [alone, joint] = networks;
  const subnets = Array.from({ length: alone.test.exits }, (_, exit) => evaluateSubnet(alone.test, alone.costs, exit));
  return svgFile(
    xyPlot({
      title: 'Accuracy against mean MACs: exits by policy, and static alternatives',
      xLabel: 'mean MACs, share of the plain network',
      yLabel: 'accuracy',
      yUnit: 'percent',
      series: [
        { name: 'confidence, exits only', style: 0, line: true, points: front(alone, 'confidence') },
        { name: 'patience, exits only', style: 1, line: true, points: front(alone, 'patience') },
        { name: 'learned, exits only', style: 2, line: true, points: front(alone, 'learned') },
        { name: 'learned, joint', style: 3, line: true, points: front(joint, 'learned') },
        {
          name: 'subnet, exits only',
          style: 4,
          points: subnets.map(({ accuracy, averageCost }) => ({
            x: averageCost / backboneCost(alone.costs),
            y: accuracy,
          })),
        },
        {
          name: 'static alternatives',
          style: 5,
          points: statics.map(({ name, accuracy, macs }) => ({ x: macs, y: accuracy, label: name })),
        },
      ],
    }),
  );
}

if (values.measure === undefined) {
  const networks = [];
  for (const training of trainings) networks.push(await openNetwork(training));
  const rows = networks.flatMap((network) =>
    budgets.flatMap((share) => designsFor(network, share).map((row) => describe(network, row, share))),
  );
  console.error(`${rows.length} rows`);
  const { models, data, preprocessing } = await staticModels();
  const macs = (model) => costOf(model, { symbols: { batch: 1 } }).total.macs;
  const statics = [];
  for (const [name, model] of Object.entries(models)) {
    const { accuracy } = await evaluate(model, data.test, { preprocessing, session });
    const bytes = [...model.graph.initializers.values()].reduce((sum, tensor) => sum + tensor.bytes.byteLength, 0);
    statics.push({
      name,
      accuracy: round(accuracy),
      macs: round(macs(model) / macs(models.plain)),
      weightBytes: bytes,
    });
    console.error(name, round(accuracy));
  }
  const result = {
    kind: 'cuttle.bench.exit-design-space',
    made: new Date().toISOString(),
    machine: { cpu: cpus()[0].model, cores: cpus().length, node: process.version, threads: 1 },
    prepared,
    budgets,
    effort,
    networks: Object.fromEntries(networks.map((network) => [network.training, describeExits(network)])),
    orderings: orderings(networks, prepared.accuracy.plain),
    rows,
    static: statics,
  };
  writeFileSync(join(root, 'bench/results/exit-design-space.svg'), plot(networks, rows, statics));
  save(result);
  for (const { claim, holds, ...rest } of result.orderings)
    console.error(holds ? 'holds' : 'FAILS', claim, JSON.stringify(rest));
} else {
  const result = JSON.parse(readFileSync(resultsFile, 'utf8'));
  if (values.measure === 'static') await measureStatic(result);
  else await measureTraining(result, values.measure);
  save(result);
}

/** One line per row: the file stays readable. */
function save(result) {
  const text = JSON.stringify(result, null, 2).replace(/\{[^{}[\]]*(?:\[[^{}[\]]*\][^{}[\]]*)*\}/g, (object) =>
    JSON.stringify(JSON.parse(object)),
  );
  writeFileSync(resultsFile, `${text}\n`);
}
