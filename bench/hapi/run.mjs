/**
 * Step 2 of the HAPI bench, after prepare.mjs: searches designs under 25/50/75/100 % of the backbone's latency, compares
 * them with SDN-6 and BranchyNet-2 (same heads, swept thresholds), runs designs for real, and checks the acceptance
 * criteria of the reproduction. Writes bench/results/hapi-NAME.json.
 *
 *   node bench/hapi/run.mjs resnet20 [--images 200] [--designs 36]
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { batches, resolvePreprocessing, takeSamples } from '../../dist/data/index.js';
import { openData } from '../../dist/data/node.js';
import { searchDesigns } from '../../dist/exits/adapt/search-designs.js';
import { parseBudgets } from '../../dist/exits/adapt/budget.js';
import { oracle } from '../../dist/exits/baselines.js';
import { calibrateExits } from '../../dist/exits/calibrate.js';
import { backboneCost } from '../../dist/exits/costs.js';
import { evaluateDesign } from '../../dist/exits/evaluate.js';
import { macsCosts, measureExitCosts } from '../../dist/exits/measure-costs.js';
import { measureDesign } from '../../dist/exits/measure-design.js';
import { decodeMemo } from '../../dist/exits/memo.js';
import { readProgressive, withTemperatures } from '../../dist/exits/progressive.js';
import { exitAccuracy, scoreTables } from '../../dist/exits/scores.js';
import { SearchProblem, searchDesign, searchExhaustively, searchRandomly } from '../../dist/exits/search/index.js';
import { thresholdGrid } from '../../dist/exits/thresholds.js';
import { createRandom } from '../../dist/platform/random.js';
import { loadModel } from '../../dist/onnx/node.js';
import { describeDevice } from '../../dist/runtime/index.js';
import { measureForms, overheads } from '../baked-overhead/measure.mjs';

const root = new URL('../..', import.meta.url).pathname;
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { images: { type: 'string', default: '200' }, designs: { type: 'string', default: '36' } },
});
const name = positionals[0] ?? 'resnet20';
const folder = join(root, 'bench/.work/hapi', name);
const session = { threads: 1 };
const log = (text) => console.error(`${name}: ${text}`);
const percent = (share) => `${(share * 100).toFixed(2)} %`;

const backbone = await loadModel(join(root, `../shared/models/cifar10/${name}-cifar10.onnx`));
const { preprocessing } = resolvePreprocessing(backbone, { normalise: 'cifar-10' });
const data = await openData(join(root, '../shared/data/cifar-10-images.tar.gz'), { seed: 0, calibrateOn: 'test' });
const memo = decodeMemo(readFileSync(join(folder, 'calibration.memo')));
const testMemo = decodeMemo(readFileSync(join(folder, 'test.memo')));
const calibration = calibrateExits(memo);
const temperatures = calibration.map((exit) => exit.temperature);
const progressive = withTemperatures(readProgressive(await loadModel(join(folder, 'progressive.onnx'))), temperatures);
const scores = scoreTables(memo, temperatures);
const testScores = scoreTables(testMemo, temperatures);
const final = scores.exits - 1;

log('measuring costs');
const { costs, backboneMs, exitMs } = await measureExitCosts(progressive, { ...session, runs: 100 });
const macs = macsCosts(progressive);
const plain = backboneCost(costs);
const onTest = (choice) => evaluateDesign(testScores, costs, choice);
const summary = ({ choice, predicted }) => ({
  exits: choice.exits,
  truncated: choice.truncated === true,
  policy: choice.policy.kind,
  threshold: choice.policy.thresholds,
  calibrationAccuracy: predicted.accuracy,
  testAccuracy: onTest(choice).accuracy,
  averageMs: predicted.latency.average,
  worstCaseMs: predicted.latency.worstCase,
  exitCounts: [...onTest(choice).exitCounts],
});

// 1. Budgets against the baselines, average and worst case.
const budgets = {};
for (const constraint of ['average', 'worst-case']) {
  const start = performance.now();
  const { outcomes } = searchDesigns({
    scores,
    costs,
    macs: macs.segments,
    budgets: parseBudgets(['25%', '50%', '75%', '100%']),
    constraint,
    policies: ['confidence'],
    fallback: 'most-confident',
    effort: { seed: 0 },
  });
  budgets[constraint] = outcomes.map((outcome) => ({
    budget: outcome.budget.asked,
    limitMs: outcome.limitMs,
    cuttle: outcome.found ? summary(outcome.found) : null,
    lowestMs: outcome.lowestMs,
    sdn6: outcome.baselines?.['SDN-6'] ? summary(outcome.baselines['SDN-6']) : null,
    branchyNet2: outcome.baselines?.['BranchyNet-2'] ? summary(outcome.baselines['BranchyNet-2']) : null,
  }));
  budgets[`${constraint} seconds`] = (performance.now() - start) / 1000;
  for (const row of budgets[constraint])
    log(
      `${constraint} ${row.budget}: ${['cuttle', 'sdn6', 'branchyNet2'].map((who) => `${who} ${row[who] ? percent(row[who].testAccuracy) : '–'}`).join(', ')}`,
    );
}

// 2. One full search over all candidates.
const searchStart = performance.now();
searchDesign(
  { scores, costs, policy: 'confidence', constraint: { kind: 'average', budget: 0.5 * plain } },
  { seed: 1 },
);
const searchSeconds = (performance.now() - searchStart) / 1000;
log(`full search over ${final} candidates: ${searchSeconds.toFixed(2)} s`);

// 3. Annealing at its default effort against the exhaustive optimum on 12 candidates, and against random search.
const EVALUATIONS = 20_000;
const twelve = Array.from({ length: 12 }, (_, i) => Math.floor(((i + 0.5) * final) / 12));
const grid = thresholdGrid(scores, 'confidence', { size: 16 });
const annealing = [];
for (const share of [0.25, 0.5, 0.75, 1]) {
  const settings = {
    scores,
    costs,
    policy: 'confidence',
    candidates: twelve,
    grid,
    constraint: { kind: 'average', budget: share * plain },
  };
  const problem = new SearchProblem(settings);
  const best = searchExhaustively(problem);
  if (best === undefined) {
    annealing.push({ share, exhaustive: null });
    continue;
  }
  const seeds = Array.from({ length: 10 }, (_, seed) => searchDesign(settings, { seed }).predicted.accuracy);
  const random = Array.from(
    { length: 10 },
    (_, seed) =>
      searchRandomly(new SearchProblem(settings, problem.evaluator), createRandom(seed), EVALUATIONS)?.accuracy ?? 0,
  );
  const reached = seeds.filter((accuracy) => accuracy >= 0.995 * best.accuracy).length;
  annealing.push({ share, exhaustive: best.accuracy, annealing: seeds, random, reached });
  log(`annealing ${share}: ${reached}/10 seeds within 0.5 % of the exhaustive optimum ${percent(best.accuracy)}`);
}

// 4. Really running designs: predicted against measured latency. Sessions are opened several times: where their memory lies counts.
const OPENINGS = 4;
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const count = Number(values.images);
const chosen = takeSamples(
  data.test,
  Uint32Array.from({ length: count }, (_, i) => Math.floor((i * data.test.size) / count)),
);
let images;
for await (const batch of batches(chosen, { batchSize: count, preprocessing })) images = batch.images;
const random = createRandom(7);
const picked = ['25%', '50%', '75%', '100%']
  .flatMap((_, i) => (budgets.average[i].cuttle ? [budgets.average[i].cuttle] : []))
  .map(({ exits, threshold, truncated }) => ({ exits, threshold, truncated }));
while (picked.length < Number(values.designs)) {
  const size = 1 + random.int(5);
  const exits = [...new Set(Array.from({ length: size }, () => random.int(final)))].sort((a, b) => a - b);
  picked.push({ exits, threshold: Math.fround(0.4 + 0.59 * random.next()), truncated: random.next() < 0.25 });
}
const planned = picked.map(({ exits, threshold, truncated }) => {
  const instantiated = truncated ? exits : [...exits, final];
  const policy = {
    kind: 'confidence',
    thresholds: threshold,
    temperatures: instantiated.map((exit) => temperatures[exit]),
  };
  return { choice: { exits, truncated, fallback: 'most-confident', policy }, threshold, runs: [] };
});
// All designs in turn, several times over, so that a slow minute of the machine does not hit one design alone.
for (let opening = 0; opening < OPENINGS; opening++)
  for (const { choice, runs } of planned)
    runs.push(await measureDesign(progressive, choice, images, { ...session, rounds: 1 }));
const designs = planned.map(({ choice, threshold, runs }) => {
  const predictedMs = evaluateDesign(scores, costs, choice).latency.average;
  const typical = (form) => median(runs.map((run) => run[form].typicalMean));
  const measuredMs = typical('baked');
  // The plain network is timed beside every design; its ratio to the cost model removes the machine's drift between the two.
  const undriftedMs = plain * median(runs.map(({ baked, backbone }) => baked.typicalMean / backbone.typicalMean));
  return {
    exits: choice.exits,
    threshold,
    truncated: choice.truncated,
    predictedMs,
    measuredMs,
    stagedMs: typical('staged'),
    backboneMs: typical('backbone'),
    undriftedMs,
    relativeError: Math.abs(predictedMs - measuredMs) / measuredMs,
    relativeErrorDriftRemoved: Math.abs(predictedMs - undriftedMs) / undriftedMs,
    disagreements: Math.max(...runs.map(({ disagreements }) => disagreements)),
  };
});
const ranks = (list) => {
  const order = list.map((value, i) => [value, i]).sort((a, b) => a[0] - b[0]);
  const rank = new Array(list.length);
  order.forEach(([, i], place) => (rank[i] = place));
  return rank;
};
const spearman = (a, b) => {
  const [x, y] = [ranks(a), ranks(b)];
  const n = x.length;
  return 1 - (6 * x.reduce((sum, value, i) => sum + (value - y[i]) ** 2, 0)) / (n * (n * n - 1));
};
const latency = {
  designs,
  medianRelativeError: median(designs.map((design) => design.relativeError)),
  medianRelativeErrorDriftRemoved: median(designs.map((design) => design.relativeErrorDriftRemoved)),
  spearman: spearman(
    designs.map((design) => design.predictedMs),
    designs.map((design) => design.measuredMs),
  ),
  spearmanDriftRemoved: spearman(
    designs.map((design) => design.predictedMs),
    designs.map((design) => design.undriftedMs),
  ),
  disagreements: designs.reduce((sum, design) => sum + design.disagreements, 0),
};
log(
  `latency of ${designs.length} designs: median relative error ${percent(latency.medianRelativeError)} (${percent(latency.medianRelativeErrorDriftRemoved)} with drift removed), Spearman ${latency.spearman.toFixed(4)} (${latency.spearmanDriftRemoved.toFixed(4)}), ${latency.disagreements} answers differ between baked and staged`,
);

// 5. The fastest design within 1 pp of the backbone, by calibration; judged on test images.
let fastest;
for (let share = 0.2; share <= 1.001 && fastest === undefined; share += 0.02) {
  try {
    const found = searchDesign(
      { scores, costs, policy: 'confidence', constraint: { kind: 'average', budget: share * plain } },
      { seed: 0 },
    );
    if (found.predicted.accuracy >= exitAccuracy(scores, final) - 0.01) fastest = found;
  } catch (error) {
    if (error.code !== 'exits/infeasible-budget') throw error;
  }
}
const speedMeasured = await measureDesign(progressive, fastest.choice, images, { ...session, rounds: 5 });
const speedUp = {
  design: summary(fastest),
  backboneTestAccuracy: exitAccuracy(testScores, final),
  lossPoints: (exitAccuracy(testScores, final) - onTest(fastest.choice).accuracy) * 100,
  predicted: plain / fastest.predicted.latency.average,
  measuredBaked: speedMeasured.backbone.typicalMean / speedMeasured.baked.typicalMean,
  measuredStaged: speedMeasured.backbone.typicalMean / speedMeasured.staged.typicalMean,
};
log(
  `fastest within 1 pp: ${speedUp.measuredBaked.toFixed(2)}× measured, ${speedUp.lossPoints.toFixed(2)} pp lost on test images`,
);

// 6. What baking the designs found costs, on an image that no exit is sure of: see bench/baked-overhead.
const STAY = 0.99;
const leastSure = Array.from({ length: testMemo.labels.length }, (_, sample) =>
  Math.max(...testScores.top1.map((top1) => top1[sample])),
).reduce((best, sure, sample, all) => (sure < all[best] ? sample : best), 0);
let unsure;
for await (const batch of batches(takeSamples(data.test, Uint32Array.of(leastSure)), { batchSize: 1, preprocessing }))
  unsure = { [progressive.info.input]: batch.images };
const baked = [];
for (const { budget, cuttle } of budgets.average) {
  if (!cuttle || cuttle.exits.length - (cuttle.truncated ? 1 : 0) === 0) continue;
  const { exits, truncated } = cuttle;
  const instantiated = truncated ? exits : [...exits, final];
  const choice = { exits, truncated, temperatures: instantiated.map((exit) => temperatures[exit]) };
  const times = await measureForms(progressive, choice, { seconds: 20, stay: STAY, images: unsure });
  const row = { budget, exits, truncated, repetitions: times.inALoop.plain.length, ...overheads(times) };
  baked.push(row);
  const { toTheEnd, toTheEndFallbackLast, leavingAtTheFirst } = row.inALoop;
  log(
    `baked, ${budget} (${exits.join(', ')}${truncated ? ', truncated' : ''}): +${toTheEnd.percent} % over the plain network with its heads, fallback last +${toTheEndFallbackLast.percent} %; leaving at once +${leavingAtTheFirst.percent} % over the first stage`,
  );
}

// 7. Train once: other devices get other designs from the same weights. The slow-memory device takes 3 × as long on the early, wide layers.
const platforms = [];
const slowEarly = { ...costs, segments: costs.segments.map((ms, i) => (i < final / 3 ? 3 * ms : ms)) };
const twoThreads = (await measureExitCosts(progressive, { threads: 2, runs: 100 })).costs;
for (const [platform, itsCosts] of [
  ['1 thread', costs],
  ['2 threads', twoThreads],
  ['slow early layers', slowEarly],
]) {
  const start = performance.now();
  const constraint = { kind: 'average', budget: 0.5 * backboneCost(itsCosts) };
  try {
    const { choice, predicted } = searchDesign(
      { scores, costs: itsCosts, policy: 'confidence', constraint },
      { seed: 0 },
    );
    const seconds = (performance.now() - start) / 1000;
    platforms.push({
      platform,
      seconds,
      exits: choice.exits,
      threshold: choice.policy.thresholds,
      accuracy: predicted.accuracy,
    });
  } catch (error) {
    if (error.code !== 'exits/infeasible-budget') throw error;
    platforms.push({ platform, budgetMs: constraint.budget, lowestMs: error.lowest });
  }
}

const result = {
  bench: 'hapi',
  network: name,
  machine: await describeDevice(session),
  date: new Date().toISOString().slice(0, 10),
  data: { source: 'CIFAR-10, JPEG copy', calibration: memo.labels.length, test: testMemo.labels.length },
  training: JSON.parse(readFileSync(join(folder, 'training.json'), 'utf8')),
  candidates: final,
  backbone: {
    macs: progressive.info.macs,
    calibrationAccuracy: exitAccuracy(scores, final),
    testAccuracy: exitAccuracy(testScores, final),
    p50Ms: backboneMs,
    modelMs: plain,
    exitMs: [...exitMs],
  },
  exits: progressive.info.exits.map((exit, i) => ({
    value: exit.value,
    position: exit.position,
    headMacs: exit.head.macs,
    ms: { segment: costs.segments[i], head: costs.heads[i] },
    testAccuracy: exitAccuracy(testScores, i),
    temperature: temperatures[i],
    ece: calibration[i].ece,
  })),
  oracle: oracle(
    testScores,
    costs,
    Array.from({ length: scores.exits }, (_, i) => i),
  ),
  budgets,
  searchSeconds,
  annealing,
  latency,
  speedUp,
  baked,
  platforms,
  paper: {
    source: 'HAPI (ICCAD 2020), ResNet-56 on CIFAR-100, Jetson Xavier at 30 W',
    overSdn: '+0.5 to +6 pp on all devices',
    overBranchyNet: 'up to +55 pp at the tightest budget',
  },
};
mkdirSync(join(root, 'bench/results'), { recursive: true });
writeFileSync(join(root, `bench/results/hapi-${name}.json`), `${JSON.stringify(result, null, 1)}\n`);
log('written');
process.exit(0);
