/**
 * @file Fills README's result cells from bench/results/*.json, so that no figure there is written by hand.
 *
 * node scripts/readme-results.mjs [--check]
 *
 * A cell stands between `<!-- results:NAME -->` and `<!-- /results -->`. Where the bench has not been run, it is a dash.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const NONE = '–';
const percent = (share, digits = 1) => (Number.isFinite(share) ? `${(share * 100).toFixed(digits)} %` : NONE);
const number = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits) : NONE);
const ms = (value) => (Number.isFinite(value) ? `${number(value)} ms` : NONE);
const rows = (head, body) =>
  [head, head.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
const networks = [
  ['resnet20', 'ResNet-20'],
  ['resnet56', 'ResNet-56'],
];

/** Smallest to largest percentage of one kind among the baked designs of a run. */
const range = (baked, kind) => {
  const values = (baked ?? []).map(({ inALoop }) => inALoop[kind].percent).sort((a, b) => a - b);
  return values.length === 0 ? NONE : `${number(values[0], 1)}–${number(values.at(-1), 1)} %`;
};

/** The measured HAPI runs: [file, title, result]. */
const hapiRuns = (read) =>
  networks.map(([file, title]) => [file, title, read(`hapi-${file}`)]).filter(([, , result]) => result !== undefined);

const renderers = {
  /** One line for the table of systems. */
  hapi(read) {
    const runs = hapiRuns(read).filter(([, , { speedUp }]) => speedUp);
    if (runs.length === 0) return NONE;
    return runs
      .map(
        ([, title, { speedUp }]) =>
          `${title}: ${number(speedUp.measuredBaked)}× measured at ${number(speedUp.lossPoints)} pp loss`,
      )
      .join('; ');
  },

  /** The predictor and the lab in one line. */
  embench(read) {
    const bench = read('embench');
    if (bench === undefined) return NONE;
    const { predictor, macs } = bench.predictor.validation;
    const lab = read('lab');
    return [
      `${bench.networks.length} networks on ${Object.keys(bench.platforms).length} platforms; latency of unseen networks predicted with a median error of ${percent(predictor.median, 0)} (MACs: ${percent(macs.median, 0)})`,
      ...(lab === undefined
        ? []
        : [
            `${lab.agents} simulated agents, ${lab.jobs.submitted} jobs: ${lab.jobs.done} done once, ${lab.jobs.failed} reported failed, ${lab.jobs.cancelled} cancelled`,
          ]),
    ].join('; ');
  },

  /** Speed and memory of an audit in one line. */
  gaugenn(read) {
    const bench = read('audit-throughput');
    if (bench === undefined) return NONE;
    const { whole, sample, peer } = bench;
    return `${whole.apps} made-up apps (${number(whole.MB / 1000, 1)} GB): ${whole.appsPerMinute} a minute, ${whole.peakMiB} MiB at most; ${number(peer.androguardToOurs.cpu, 0)}× less processor time than androguard on ${peer.ours.apps} of them, ${number(sample.oursToFloor.cpu, 1)}× that of unzip and grep`;
  },

  /** Split networks with exits in one line. */
  spinn(read) {
    const throughput = read('split-throughput');
    if (throughput === undefined) return NONE;
    const measured = Object.values(throughput.networks).filter((network) => network.againstNeurosurgeonWithExits);
    const most = Math.max(...measured.map((network) => network.againstNeurosurgeonWithExits.ratio));
    const near = Math.max(...measured.map((network) => network.againstNeurosurgeonAt1ms.withExits.ratio));
    const least = Math.min(...measured.map((network) => network.leastAgainstBestBaseline));
    const objectives = Object.values(read('split-slo')?.networks ?? {}).flatMap((network) => network.objectives ?? []);
    const sum = (of) => objectives.reduce((total, row) => total + row[of], 0);
    return [
      `simulated from measured profiles: throughput up to ${number(most, 1)}× Neurosurgeon's (${number(near, 1)}× where the link's latency is 1 ms), at least ${number(least)}× the best baseline's everywhere`,
      ...(objectives.length > 0
        ? [`${sum('metAtP95')} of ${sum('feasible')} feasible latency objectives met at p95`]
        : []),
    ].join('; ');
  },

  /** Split networks without exits in one line. */
  dyno(read) {
    const throughput = read('split-throughput');
    if (throughput === undefined) return NONE;
    const all = Object.values(throughput.networks);
    const most = Math.max(...all.map((network) => network.againstNeurosurgeonWithoutExits.ratio));
    const near = Math.max(...all.map((network) => network.againstNeurosurgeonAt1ms.withoutExits.ratio));
    const medians = Object.values(read('split-compression')?.networks ?? {}).map(({ ratioAt1pp }) => ratioAt1pp.median);
    return [
      `simulated: up to ${number(most, 1)}× Neurosurgeon's throughput (${number(near, 1)}× at 1 ms)`,
      ...(medians.length > 0
        ? [
            `measured: feature maps ${number(Math.min(...medians), 1)}–${number(Math.max(...medians), 1)}× smaller at ≤ 1 pp (medians over cuts)`,
          ]
        : []),
    ].join('; ');
  },

  /** The design space in one line: the best of each training at half of the MACs. */
  survey(read) {
    const result = read('exit-design-space');
    if (result === undefined) return NONE;
    const [budget] = result.budgets;
    const best = (training) =>
      Math.max(
        ...result.rows
          .filter((row) => row.training === training && row.mode === 'input-dependent' && row.budget === budget)
          .map(({ accuracy }) => accuracy ?? 0),
      );
    return (
      `ResNet-8 on Fashion-MNIST at ${percent(budget, 0)} of its MACs: ${percent(best('exits-only'))} with exits trained alone, ` +
      `${percent(best('joint'))} jointly; the plain network ${percent(result.prepared.accuracy.plain)}`
    );
  },

  /** Accuracy under budgets on the average latency, beside the two baselines. */
  'hapi-budgets'(read) {
    const body = hapiRuns(read).flatMap(([, title, { backbone, budgets }]) =>
      (budgets?.average ?? []).map((row) => [
        title,
        percent(backbone?.testAccuracy, 2),
        row.budget,
        ...[row.cuttle, row.sdn6, row.branchyNet2].map((design) => percent(design?.testAccuracy, 2)),
      ]),
    );
    const head = ['network', 'plain', 'budget', 'Cuttle', 'SDN-6', 'BranchyNet-2'];
    return rows(head, body.length > 0 ? body : networks.map(([, title]) => [title, ...Array(5).fill(NONE)]));
  },

  /** How far the latency model and the running forms can be trusted. */
  'hapi-latency'(read) {
    const runs = hapiRuns(read);
    const of = (file) => runs.find(([name]) => name === file)?.[2];
    const line = (what, value) => [what, ...networks.map(([file]) => value(of(file) ?? {}))];
    return rows(
      ['', ...networks.map(([, title]) => title)],
      [
        line('plain network, one image, one thread', ({ backbone }) => ms(backbone?.p50Ms)),
        line(
          'fastest design within 1 pp on calibration images: measured speed-up, loss on test images',
          ({ speedUp }) =>
            speedUp ? `${number(speedUp.measuredBaked)}× (${number(speedUp.lossPoints)} pp lost)` : NONE,
        ),
        line('predicted against measured latency, median relative error', ({ latency }) =>
          percent(latency?.medianRelativeError),
        ),
        line('the same, Spearman rank correlation', ({ latency }) => number(latency?.spearman, 3)),
        line(
          'both, relative to the plain network timed beside each design',
          ({ latency }) =>
            `${percent(latency?.medianRelativeErrorDriftRemoved)}, ${number(latency?.spearmanDriftRemoved, 3)}`,
        ),
        line('designs run', ({ latency }) => String(latency?.designs?.length ?? NONE)),
        line('the designs found, baked and run to the end, over the plain network with their heads', ({ baked }) =>
          range(baked, 'toTheEnd'),
        ),
        line('leaving at once, over a network that ends there', ({ baked }) => range(baked, 'leavingAtTheFirst')),
        line('full search over all candidates', ({ searchSeconds }) =>
          Number.isFinite(searchSeconds) ? `${number(searchSeconds, 1)} s` : NONE,
        ),
      ],
    );
  },

  /** What the nested If nodes of a baked file cost. */
  'baked-overhead'(read) {
    const titles = Object.fromEntries(networks);
    const body = (read('baked-overhead')?.results ?? []).map(({ network, exits, blockEnds, inALoop, alternating }) => [
      titles[network] ?? network,
      String(exits.length),
      blockEnds ? 'block ends' : 'anywhere',
      ...[inALoop.toTheEnd, inALoop.leavingAtTheFirst, alternating.toTheEnd].map(
        ({ percent: more, microseconds }) => `${number(more, 1)} % (${number(microseconds, 1)} µs)`,
      ),
    ]);
    const head = [
      'network',
      'exits',
      'placed',
      'run to the end, more',
      'leaving at the first, more',
      'to the end, in turn with other networks',
    ];
    return rows(head, body.length > 0 ? body : [Array(6).fill(NONE)]);
  },

  'train-step'(read) {
    const { networks: measured = {} } = read('train-step') ?? {};
    const body = Object.entries(measured).map(([network, { results, ratios, peakMemoryNativeOverPytorch }]) => {
      const { ratio, bar, met } = ratios.find(({ name }) => name === 'native / PyTorch') ?? {};
      const pytorch = Object.entries(results).filter(([name]) => name.startsWith('pytorch'));
      return [
        network === 'lstm' ? 'character LSTM (characters)' : network,
        String(results.native?.batch ?? NONE),
        ...['native', 'wasm'].map((key) => number(results[key]?.imagesPerSecond, 1)),
        number(Math.max(...pytorch.map(([, { imagesPerSecond }]) => imagesPerSecond)), 1),
        ratio === undefined ? NONE : `${number(ratio)} (bar ${bar}: ${met ? 'met' : 'missed'})`,
        number(peakMemoryNativeOverPytorch),
      ];
    });
    const peers = (measured['resnet-20']?.ratios ?? []).filter(({ name }) => /TensorFlow|jax|onnxsim/.test(name));
    const head = [
      'network',
      'batch',
      'Cuttle',
      'Cuttle, WASM',
      'PyTorch',
      'Cuttle / PyTorch',
      'peak memory, Cuttle / PyTorch',
    ];
    return [
      rows(head, body.length > 0 ? body : [Array(head.length).fill(NONE)]),
      ...(peers.length === 0 ? [] : ['']),
      ...peers.map(({ name, ratio }) => `- ResNet-20, ${name}: ${number(ratio, ratio < 10 ? 1 : 0)}`),
    ].join('\n');
  },

  'train-accuracy'(read) {
    const { cuttle, pytorch, recipe } = read('train-accuracy') ?? {};
    const row = (title, run) => [title, String(run ? (recipe?.epochs ?? NONE) : NONE), percent(run?.accuracy, 2)];
    return rows(['', 'epochs', 'test accuracy'], [row('Cuttle', cuttle), row('PyTorch', pytorch)]);
  },

  search(read) {
    const { exhaustive = [], full } = read('search') ?? {};
    const body = exhaustive.map((row, index) => [
      row.constraint,
      percent(row.budget, 0),
      `${row.seedsAt995} of 10`,
      full?.rows?.[index] ? `${number(Math.max(...full.rows[index].seconds), 1)} s` : NONE,
    ]);
    const head = ['constraint', 'budget', 'seeds ≥ 99.5 % of the optimum', 'slowest full search'];
    return rows(head, body.length > 0 ? body : [Array(4).fill(NONE)]);
  },
};

const CELL = /<!-- results:([\w-]+) -->([\s\S]*?)<!-- \/results -->/g;

/** The text with every cell filled. `read` gives a bench's result by name, or `undefined`. Throws for an unknown cell. */
export function fillResults(text, read) {
  return text.replace(CELL, (_, name, before) => {
    if (!Object.hasOwn(renderers, name)) throw new Error(`README has a cell 'results:${name}' that nothing fills`);
    // A cell on lines of its own stays there; one inside a sentence or a table row stays on its line.
    const gap = before.includes('\n') ? '\n\n' : '';
    return `<!-- results:${name} -->${gap}${renderers[name](read)}${gap}<!-- /results -->`;
  });
}

/** Reads results below a folder. */
export function resultsIn(folder) {
  return (name) => {
    const file = new URL(`${name}.json`, folder);
    return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const readme = new URL('../README.md', import.meta.url);
  const before = readFileSync(readme, 'utf8');
  const after = fillResults(before, resultsIn(new URL('../bench/results/', import.meta.url)));
  if (!process.argv.includes('--check')) writeFileSync(readme, after);
  else if (after !== before) {
    console.error('README.md does not show bench/results: run node scripts/readme-results.mjs');
    process.exitCode = 1;
  }
}
