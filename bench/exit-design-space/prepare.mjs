/**
 * Step 1 of the design-space bench: trains a small network on Fashion-MNIST, its exits in three ways (alone on the frozen
 * network, with distillation, jointly from scratch), and the same network at smaller widths.
 *
 *   node bench/exit-design-space/prepare.mjs [--images 12000] [--epochs 8] [--exit-epochs 4] [--threads 1] [--seed 0] [--widths 0.5,0.25]
 *
 * Needs `npm run build`. Results stay in bench/.work/exit-design-space and are reused; an interrupted training continues.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { batches, resolvePreprocessing } from '../../dist/data/index.js';
import { openData } from '../../dist/data/node.js';
import { attachExits } from '../../dist/exits/attach.js';
import { findCandidates } from '../../dist/exits/candidates.js';
import { collectMemo } from '../../dist/exits/collect.js';
import { encodeMemo } from '../../dist/exits/memo.js';
import { readProgressive } from '../../dist/exits/progressive.js';
import { trainExits } from '../../dist/exits/train-exits.js';
import { loadModel, saveModel } from '../../dist/onnx/node.js';
import { evaluate, trainModel } from '../../dist/train/index.js';
import { fileCheckpoints } from '../../dist/train/node.js';
import { buildArchitecture } from '../../dist/zoo/index.js';

const root = new URL('../..', import.meta.url).pathname;
const folder = join(root, 'bench/.work/exit-design-space');
mkdirSync(folder, { recursive: true });
const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '12000' },
    epochs: { type: 'string', default: '8' },
    'exit-epochs': { type: 'string', default: '4' },
    threads: { type: 'string', default: '1' },
    seed: { type: 'string', default: '0' },
    widths: { type: 'string', default: '0.5,0.25' },
  },
});
const seed = Number(values.seed);
const session = { threads: Number(values.threads) };
const architecture = 'resnet-8';
/** Ends of the stem and of the blocks, and two convolutions inside blocks. */
const positions = ['relu1', 'layer1.0.relu1', 'layer1.0.relu2', 'layer2.0.relu2', 'layer3.0.relu1'];
const head = { kind: 'msdnet', width: 8 };
const recipe = { epochs: Number(values.epochs), batchSize: 64, learningRate: 3e-3, optimizer: { kind: 'adam' } };
const exitRecipe = { ...recipe, epochs: Number(values['exit-epochs']), weightDecay: 1e-4 };
const distillation = { alpha: 0.5, temperature: 3 };

const opened = await openData('fashion-mnist', { seed, calibrateOn: 'test' });
const { train } = await openData('fashion-mnist', { seed, calibrateOn: 'test', limit: Number(values.images) });
const data = { ...opened, train };
const log = JSON.parse(existsSync(join(folder, 'training.json')) ? readFileSync(join(folder, 'training.json')) : '{}');

const networkOf = (width) => (task) =>
  buildArchitecture(architecture, { ...task, seed, ...(width === 1 ? {} : { width }) });
const progress = (name) => {
  let last = 0;
  return (given) => {
    const event = given.event ?? given;
    if (event.kind !== 'step' || performance.now() - last < 15_000) return;
    last = performance.now();
    console.error(
      `${name}: step ${event.step}/${event.totalSteps}, loss ${event.loss.toFixed(3)}, ${event.imagesPerSecond.toFixed(0)} images/s, ${(event.etaSeconds / 60).toFixed(1)} min left`,
    );
  };
};

/** Trains a model unless it is there already; notes the processor time that it took. */
async function once(name, make) {
  const path = join(folder, `${name}.onnx`);
  if (!existsSync(path)) {
    const before = process.cpuUsage();
    const model = await make(fileCheckpoints(join(folder, `${name}.checkpoint`)));
    const { user, system } = process.cpuUsage(before);
    await saveModel(path, model);
    log[name] = { cpuSeconds: Math.round((user + system) / 1e6) };
    writeFileSync(join(folder, 'training.json'), JSON.stringify(log));
    console.error(`${name}: trained in ${log[name].cpuSeconds} s of processor time`);
  }
  return loadModel(path);
}

/** A classifier without exits, at a width. The calibration images stay out of training: nothing is chosen on them here. */
async function trainPlain(width, checkpoints) {
  const none = { ...data.calibration, size: 0, labels: new Int32Array(0), pixels: new Uint8Array(0) };
  const { model } = await trainModel({
    ...recipe,
    ...{ model: networkOf(width), data: { ...data, calibration: none, test: data.calibration }, weightDecay: 1e-4 },
    ...{ seed, session, checkpoints, onEvent: progress(`width ${width}`) },
  });
  return model;
}

function withExits(model) {
  const candidates = findCandidates(model);
  const chosen = candidates.all.filter(({ value }) => positions.includes(value.replace(/_out$/, '')));
  if (chosen.length !== positions.length) throw new Error('an exit position is no candidate');
  return attachExits(candidates, chosen, head, seed);
}

const backbone = await once('backbone', (checkpoints) => trainPlain(1, checkpoints));
const { preprocessing } = resolvePreprocessing(backbone);
const exits = (name, options, model) =>
  once(name, async (checkpoints) => {
    const trained = await trainExits(withExits(model), {
      ...exitRecipe,
      ...{ data: train, preprocessing, seed, session, checkpoints, onEvent: progress(name) },
      ...options,
    });
    return trained.progressive.model;
  });
const fresh = networkOf(1)({ classes: train.classes.length, input: [train.channels, train.height, train.width] });
const networks = {
  'exits-only': await exits('exits-only', {}, backbone),
  distillation: await exits('distillation', { distillation }, backbone),
  joint: await exits('joint', { backbone: 'joint', epochs: recipe.epochs }, fresh),
};
for (const [name, model] of Object.entries(networks))
  for (const part of ['calibration', 'test']) {
    const path = join(folder, `${name}-${part}.memo`);
    if (existsSync(path)) continue;
    const memo = await collectMemo(
      readProgressive(model),
      batches(data[part], { batchSize: 100, preprocessing }),
      session,
    );
    writeFileSync(path, encodeMemo(memo));
  }
const widths = {};
for (const width of values.widths.split(',').map(Number)) {
  const model = await once(`width-${width}`, (checkpoints) => trainPlain(width, checkpoints));
  widths[width] = (await evaluate(model, data.test, { preprocessing, session })).accuracy;
}
const plain = (await evaluate(backbone, data.test, { preprocessing, session })).accuracy;
const settings = { architecture, positions, head, recipe, exitRecipe, distillation, seed };
writeFileSync(
  join(folder, 'prepared.json'),
  JSON.stringify({
    ...settings,
    data: { name: 'fashion-mnist', train: train.size, calibration: data.calibration.size, test: data.test.size },
    cpuSeconds: Object.fromEntries(Object.entries(log).map(([name, { cpuSeconds }]) => [name, cpuSeconds])),
    accuracy: { plain, widths },
  }),
);
console.error(readFileSync(join(folder, 'prepared.json'), 'utf8'));
