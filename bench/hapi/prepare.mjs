/**
 * Step 1 of the HAPI bench: trains an exit at every candidate of a trained CIFAR-10 network with a frozen backbone, and
 * collects the logits of all exits for the calibration and the test half of the test images.
 *
 *   node bench/hapi/prepare.mjs resnet20 [--epochs 3] [--width 64] [--threads 2] [--limit N]
 *
 * Results stay in bench/.work/hapi/NAME and are reused; an interrupted training continues.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { batches, resolvePreprocessing, standardAugmentation } from '../../dist/data/index.js';
import { openData } from '../../dist/data/node.js';
import { attachExits } from '../../dist/exits/attach.js';
import { findCandidates } from '../../dist/exits/candidates.js';
import { collectMemo } from '../../dist/exits/collect.js';
import { encodeMemo } from '../../dist/exits/memo.js';
import { readProgressive } from '../../dist/exits/progressive.js';
import { trainExits } from '../../dist/exits/train-exits.js';
import { encodeModel } from '../../dist/onnx/index.js';
import { loadModel, saveModel } from '../../dist/onnx/node.js';
import { fileCheckpoints } from '../../dist/train/node.js';

const root = new URL('../..', import.meta.url).pathname;
const shared = join(root, '../shared');

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    epochs: { type: 'string', default: '3' },
    width: { type: 'string', default: '64' },
    threads: { type: 'string', default: '2' },
    limit: { type: 'string' },
    seed: { type: 'string', default: '0' },
  },
});
const name = positionals[0] ?? 'resnet20';
const seed = Number(values.seed);
const folder = join(root, 'bench/.work/hapi', name);
mkdirSync(folder, { recursive: true });

const backbone = await loadModel(join(shared, `models/cifar10/${name}-cifar10.onnx`));
const { preprocessing } = resolvePreprocessing(backbone, { normalise: 'cifar-10' });
const data = await openData(join(shared, 'data/cifar-10-images.tar.gz'), {
  seed,
  calibrateOn: 'test',
  limit: values.limit === undefined ? undefined : Number(values.limit),
});

const progressivePath = join(folder, 'progressive.onnx');
if (!existsSync(progressivePath)) {
  const candidates = findCandidates(backbone);
  const attached = attachExits(candidates, candidates.all, { kind: 'msdnet', width: Number(values.width) }, seed);
  console.error(`${name}: ${candidates.all.length} candidates, ${data.train.size} training images`);
  const start = performance.now();
  let last = 0;
  const recipe = {
    epochs: Number(values.epochs),
    batchSize: 128,
    learningRate: 2e-3,
    weightDecay: 1e-4,
    schedule: 'one-cycle',
    seed,
  };
  const trained = await trainExits(attached, {
    ...recipe,
    data: data.train,
    preprocessing,
    augment: standardAugmentation,
    session: { threads: Number(values.threads) },
    checkpoints: fileCheckpoints(join(folder, 'exits.checkpoint')),
    onEvent: ({ event }) => {
      if (event.kind === 'step' && performance.now() - last > 10_000) {
        last = performance.now();
        console.error(
          `step ${event.step}/${event.totalSteps} loss ${event.loss.toFixed(2)} last exit ${(event.accuracy * 100).toFixed(1)} % ${event.imagesPerSecond.toFixed(0)} images/s, ${(event.etaSeconds / 60).toFixed(1)} min left`,
        );
      }
    },
  });
  await saveModel(progressivePath, trained.progressive.model, { force: true });
  writeFileSync(
    join(folder, 'training.json'),
    JSON.stringify({
      head: { kind: 'msdnet', width: Number(values.width) },
      ...recipe,
      images: data.train.size,
      seconds: (performance.now() - start) / 1000,
      imagesPerSecond: trained.imagesPerSecond,
      backboneSha256: createHash('sha256').update(encodeModel(backbone)).digest('hex'),
    }),
  );
}

const progressive = readProgressive(await loadModel(progressivePath));
for (const part of ['calibration', 'test']) {
  const path = join(folder, `${part}.memo`);
  if (existsSync(path)) continue;
  writeFileSync(
    path,
    encodeMemo(await collectMemo(progressive, batches(data[part], { batchSize: 100, preprocessing }))),
  );
}
console.error(`${name}: prepared in ${folder}`, readFileSync(join(folder, 'training.json'), 'utf8'));
