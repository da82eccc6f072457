/**
 * @file How good and how fast the design search is: annealing against the exhaustive optimum (12 candidates) and against random
 * search with the same number of evaluations (58 candidates, 10,000 samples), with search times.
 *
 * node bench/search/run.mjs [--memo FILE] [--seeds 3]
 *
 * Needs `npm run build`. Without a memo file (58 candidates, as `encodeMemo` writes it) the memo is the tests' synthetic one.
 * Results go to bench/results/search.json.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { backboneCost } from '../../dist/exits/costs.js';
import { evaluateDesign } from '../../dist/exits/evaluate.js';
import { decodeMemo } from '../../dist/exits/memo.js';
import { scoreTables } from '../../dist/exits/scores.js';
import { thresholdGrid } from '../../dist/exits/thresholds.js';
import {
  anneal,
  searchDesign,
  searchExhaustively,
  SearchProblem,
  searchRandomly,
} from '../../dist/exits/search/index.js';
import { createRandom } from '../../dist/platform/random.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({ options: { memo: { type: 'string' }, seeds: { type: 'string', default: '3' } } });
const seeds = Array.from({ length: Number(values.seeds) }, (_, seed) => seed);
const constraints = ['average', 'worst-case'].flatMap((kind) => [0.25, 0.5, 0.75, 1].map((share) => ({ kind, share })));
const round = (value) => (value === undefined ? null : Math.round(value * 1e4) / 1e4);

/** The tests' generator, compiled here so that bench and tests speak of the same networks. */
async function synthetic() {
  const source = readFileSync(join(here, '../../test/exits/synthetic.ts'), 'utf8');
  const dist = pathToFileURL(join(here, '../../dist/')).href;
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  return import(`data:text/javascript,${encodeURIComponent(outputText.replaceAll('../../src/', dist))}`);
}

const { syntheticCosts, syntheticMemo } = await synthetic();

/** 12 candidates: the share of the exhaustive optimum that each of ten seeds reaches. */
function againstExhaustive() {
  const scores = scoreTables(syntheticMemo({ candidates: 12, samples: 2000, classes: 10, seed: 1 }));
  const costs = syntheticCosts(12);
  const grid = thresholdGrid(scores, 'confidence', { size: 24 });
  return constraints.map(({ kind, share }) => {
    const settings = { scores, costs, policy: 'confidence', grid };
    settings.constraint = { kind, budget: share * backboneCost(costs) };
    const problem = new SearchProblem(settings);
    const optimum = searchExhaustively(problem);
    const found = Array.from({ length: 10 }, (_, seed) => searchDesign(settings, { seed }));
    const shares = found.map(({ objective }) => objective / optimum.objective);
    return {
      constraint: kind,
      budget: share,
      designs: problem.evaluations,
      optimum: round(optimum.objective),
      seedsAt995: shares.filter((value) => value >= 0.995).length,
      worstShare: round(Math.min(...shares)),
      annealedDesigns: Math.round(found.reduce((sum, { evaluations }) => sum + evaluations, 0) / found.length),
    };
  });
}

/** 58 candidates: time and quality of a full search, random search with as many evaluations, and held-out samples. */
function fullSize() {
  const memo =
    values.memo === undefined
      ? syntheticMemo({ candidates: 58, samples: 10000, classes: 10, seed: 3 })
      : decodeMemo(readFileSync(values.memo));
  const start = performance.now();
  const scores = scoreTables(memo);
  const tablesMs = performance.now() - start;
  const held =
    values.memo === undefined
      ? scoreTables(syntheticMemo({ candidates: 58, samples: 10000, classes: 10, seed: 4 }))
      : undefined;
  const costs = syntheticCosts(58, 1, 0.06);
  const rows = constraints.map(({ kind, share }) => {
    const settings = { scores, costs, policy: 'confidence' };
    settings.constraint = { kind, budget: share * backboneCost(costs) };
    const runs = seeds.map((seed) => {
      const begin = performance.now();
      const found = searchDesign(settings, { seed });
      const ms = performance.now() - begin;
      const problem = new SearchProblem(settings);
      const annealed = anneal(problem, createRandom(seed), { evaluations: 4000 });
      const drawn = searchRandomly(new SearchProblem(settings), createRandom(seed), problem.evaluations);
      return { found, ms, annealed, drawn };
    });
    const best = runs.reduce((a, b) => (b.found.objective > a.found.objective ? b : a)).found;
    return {
      constraint: kind,
      budget: share,
      accuracy: runs.map(({ found }) => round(found.predicted.accuracy)),
      heldOutAccuracy: held === undefined ? null : round(evaluateDesign(held, costs, best.choice).accuracy),
      exits: best.choice.exits,
      truncated: best.choice.truncated,
      evaluations: runs.map(({ found }) => found.evaluations),
      seconds: runs.map(({ ms }) => Math.round(ms) / 1000),
      equalEvaluations: {
        annealing: runs.map(({ annealed }) => round(annealed?.accuracy)),
        random: runs.map(({ drawn }) => round(drawn?.accuracy)),
      },
    };
  });
  return { candidates: 58, samples: memo.labels.length, tablesSeconds: Math.round(tablesMs) / 1000, rows };
}

const result = {
  made: new Date().toISOString(),
  machine: { cpu: cpus()[0].model, cores: cpus().length, node: process.version },
  memo: values.memo === undefined ? 'synthetic (test/exits/synthetic.ts)' : 'file',
  policy: 'confidence, one shared threshold',
  exhaustive: againstExhaustive(),
  full: fullSize(),
};
const out = join(here, '../results/search.json');
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, `${JSON.stringify(result, null, 2)}\n`);
console.table(
  result.exhaustive.map(({ constraint, budget, designs, optimum, seedsAt995, worstShare }) => ({
    constraint,
    budget,
    designs,
    optimum,
    'seeds ≥ 99.5 %': seedsAt995,
    worstShare,
  })),
);
console.table(
  result.full.rows.map(({ constraint, budget, accuracy, heldOutAccuracy, seconds, equalEvaluations }) => ({
    constraint,
    budget,
    accuracy: Math.max(...accuracy),
    heldOutAccuracy,
    'slowest search, s': Math.max(...seconds),
    'annealing, 4000': Math.max(...equalEvaluations.annealing),
    'random, as many': Math.max(...equalEvaluations.random),
  })),
);
