/**
 * @file Where the time goes before the first training step: our graph, its bytes, ONNX Runtime's loading.
 *
 * node bench/session-creation/run.mjs [--rounds 3] [--threads 2]
 *
 * Needs `npm run build`. `general` is a step of any batch size loaded with all of ONNX Runtime's rewrites; `training` is what
 * `cuttle train` does: sizes bound, rewrites that find nothing in a step left out. Medians of rounds that take turns. Results go to
 * bench/results/session-creation.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { encodeModel } from '../../dist/onnx/index.js';
import { describeDevice, openSession } from '../../dist/runtime/index.js';
import { buildStep } from '../../dist/train/index.js';
import { buildArchitecture } from '../../dist/zoo/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, threads: { type: 'string', default: '2' } },
});
const threads = Number(values.threads);
const forms = { general: { options: {} }, training: { dims: { batch: 128 }, options: { training: true } } };
const BAR_MS = 1000;

const runs = [];
for (let round = 0; round <= Number(values.rounds); round++)
  for (const arch of ['resnet-20', 'resnet-56'])
    for (const [form, { dims, options }] of Object.entries(forms)) {
      const model = buildArchitecture(arch, { classes: 10, input: [3, 32, 32], seed: 1 });
      const at = [performance.now()];
      const step = buildStep(model, {
        losses: [{ kind: 'cross-entropy', name: 'classification', logits: 'logits' }],
        optimizer: { kind: 'sgd', momentum: 0.9, nesterov: true },
        dims,
      });
      at.push(performance.now());
      const bytes = encodeModel(step.model);
      at.push(performance.now());
      const session = await openSession(bytes, { threads, ...options });
      at.push(performance.now());
      await session.release();
      // The first round warms the program up.
      if (round > 0)
        runs.push({ arch, form, nodes: step.model.graph.nodes.length, ms: at.slice(1).map((end, i) => end - at[i]) });
    }

const rows = ['resnet-20', 'resnet-56'].flatMap((arch) =>
  Object.keys(forms).map((form) => {
    const own = runs.filter((run) => run.arch === arch && run.form === form);
    const [build, encode, load] = [0, 1, 2].map((i) => median(own.map(({ ms }) => ms[i])));
    const total = build + encode + load;
    return {
      arch,
      form,
      nodes: own[0].nodes,
      buildMs: build,
      encodeMs: encode,
      loadMs: load,
      totalMs: total,
      met: total <= BAR_MS,
    };
  }),
);
const report = {
  bench: 'session-creation',
  barMs: BAR_MS,
  device: await describeDevice({ backend: 'native', threads }),
  rows,
};
mkdirSync(join(here, '../results'), { recursive: true });
writeFileSync(join(here, '../results/session-creation.json'), `${JSON.stringify(report, null, 2)}\n`);
for (const row of rows) console.log(JSON.stringify(row));

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
}
