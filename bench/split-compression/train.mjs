/**
 * @file Exits for a backbone that `cuttle train` made: one epoch of six exits, the backbone frozen.
 *
 *   cuttle train --arch mobilenet-v2-0.5 --data ../shared/data/cifar-10-images.tar.gz --limit 15000 --epochs 4 --lr 0.05 --out bench/.work/split/mobilenet/backbone.onnx
 *   node bench/split-compression/train.mjs mobilenet [--limit 8000]
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { resolvePreprocessing } from '../../dist/data/index.js';
import { openData } from '../../dist/data/node.js';
import { attachExits } from '../../dist/exits/attach.js';
import { findCandidates } from '../../dist/exits/candidates.js';
import { trainExits } from '../../dist/exits/train-exits.js';
import { loadModel, saveModel } from '../../dist/onnx/node.js';
import { shared, work } from './networks.mjs';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { limit: { type: 'string', default: '8000' } },
});
const folder = join(work, positionals[0]);
const backbone = await loadModel(join(folder, 'backbone.onnx'));
const { preprocessing } = resolvePreprocessing(backbone, {});
const data = await openData(join(shared, 'data/cifar-10-images.tar.gz'), { seed: 1, limit: Number(values.limit) });
const candidates = findCandidates(backbone);
const ends = candidates.all.filter(({ blockEnd }) => blockEnd);
const chosen = new Set();
for (const share of [0.15, 0.3, 0.45, 0.6, 0.75, 0.9]) {
  const free = ends.filter((one) => !chosen.has(one));
  if (free.length > 0)
    chosen.add(free.reduce((a, b) => (Math.abs(b.position - share) < Math.abs(a.position - share) ? b : a)));
}
const attached = attachExits(
  candidates,
  candidates.all.filter((one) => chosen.has(one)),
  { kind: 'msdnet', width: 32 },
  1,
);
const trained = await trainExits(attached, {
  ...{ epochs: 1, batchSize: 128, learningRate: 2e-3, weightDecay: 1e-4, schedule: 'one-cycle', seed: 1 },
  ...{ data: data.train, preprocessing, session: { threads: 1 } },
});
await saveModel(join(folder, 'progressive.onnx'), trained.progressive.model, { force: true });
console.error(`${positionals[0]}: ${chosen.size} exits trained`);
