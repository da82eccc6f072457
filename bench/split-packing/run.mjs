/**
 * @file Packing: time of a 200 KB ReLU map at every width, layout and codec; bytes and accuracy at real cuts of trained networks.
 *
 * After a build:
 *   node bench/split-packing/run.mjs times                      (run it on a quiet machine)
 *   node bench/split-packing/run.mjs maps [--images 200] [--models resnet20,resnet56]
 *
 * Both write their part of bench/results/split-packing.json. `maps` reads trained networks and test images from ../shared.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openData, batches } from '../../dist/data/node.js';
import { Tensor } from '../../dist/ir/index.js';
import { loadModel } from '../../dist/onnx/node.js';
import { createRandom } from '../../dist/platform/index.js';
import { describeDevice } from '../../dist/runtime/index.js';
import { cutsOf, measurePacked, openCodecs, packTensors, pureCodecs, unpackTensors } from '../../dist/split/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const file = join(here, '../results/split-packing.json');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string', default: '200' },
    models: { type: 'string', default: 'resnet20,resnet56' },
    every: { type: 'string', default: '3' },
  },
});
const BITS = [2, 3, 4, 5, 6, 8];

/** 50,000 values, half of them zero, neighbours alike: as a ReLU leaves a feature map. */
function reluMap() {
  const random = createRandom(1);
  return Float32Array.from({ length: 50_000 }, (_, i) =>
    Math.max(0, Math.sin(i * 0.013) + 0.7 * Math.sin(i * 0.0017) + 0.2 * random.normal() - 0.3),
  );
}

function median(work) {
  for (let i = 0; i < 100; i++) work();
  const times = Array.from({ length: 151 }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Number(times.sort((a, b) => a - b)[75].toFixed(4));
}

async function times() {
  const tensors = { map: Tensor.floats(reluMap(), [1, 50, 25, 40]) };
  const native = await openCodecs();
  const rows = [];
  for (const [form, codecs] of Object.entries({ native, plain: pureCodecs }))
    for (const codec of form === 'native' ? native.keys() : ['lz4'])
      for (const layout of ['planes', 'lanes'])
        for (const bits of [4, 8]) {
          const packing = { bits, layout, codec };
          const frame = packTensors(tensors, packing, codecs);
          rows.push({
            ...packing,
            form,
            bytes: frame.length,
            ratio: Number((200_000 / frame.length).toFixed(2)),
            packMs: median(() => packTensors(tensors, packing, codecs)),
            unpackMs: median(() => unpackTensors(frame, codecs)),
          });
        }
  const bar = rows.find(
    (row) => row.form === 'native' && row.codec === 'lz4' && row.layout === 'planes' && row.bits === 4,
  );
  return { barMs: 0.5, met: bar.packMs <= 0.5 && bar.unpackMs <= 0.5, rows };
}

async function maps() {
  const root = join(here, '../../../shared');
  const wanted = Number(values.images);
  const { test } = await openData(join(root, 'data/cifar-10-images.tar.gz'), { seed: 1, limit: wanted });
  const preprocessing = {
    ...{ height: 32, width: 32, channels: 'rgb' },
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.247, 0.2435, 0.2616],
  };
  const samples = [];
  for await (const batch of batches(test, { batchSize: 1, preprocessing })) {
    samples.push({ feeds: { input: batch.images }, label: Number(batch.labels.data[0]) });
    if (samples.length === wanted) break;
  }
  const codecs = await openCodecs();
  const result = {};
  for (const name of values.models.split(',')) {
    const cuts = cutsOf(await loadModel(join(root, `models/cifar10/${name}-cifar10.onnx`)));
    const sparse = cuts.cuts.filter((cut) => cut.sparse).map(({ index }) => index);
    const chosen = sparse.filter((_, i) => i % Number(values.every) === 0);
    const packings = [32, ...BITS].map((bits) => ({ bits, layout: 'planes', codec: 'lz4' }));
    const rows = await measurePacked(cuts, samples, { cuts: chosen, packings, codecs, threads: 1 });
    const table = chosen.map((cut) => {
      const own = rows.filter((row) => row.cut === cut);
      const full = own.find((row) => row.packing.bits === 32).accuracy;
      const within = (drop) =>
        own
          .filter((row) => row.packing.bits < 32 && row.accuracy >= full - drop - 1e-9)
          .sort((a, b) => a.bytes - b.bytes)[0];
      const lowest = Object.fromEntries(
        [0.01, 0.02, 0.05].map((drop) => {
          const row = within(drop);
          return [
            `${drop * 100}pp`,
            row && { bits: row.packing.bits, ratio: Number(row.ratio.toFixed(2)), accuracy: row.accuracy },
          ];
        }),
      );
      return { cut, tensors: cuts.cuts[cut].frontier.length, accuracy: full, lowest };
    });
    const ratios = table.map((row) => row.lowest['1pp']?.ratio ?? 1).sort((a, b) => a - b);
    result[name] = {
      ...{ images: samples.length, sparseCuts: sparse.length, measuredCuts: chosen.length },
      ...{ medianRatioAt1pp: ratios[ratios.length >> 1], bestRatioAt1pp: ratios.at(-1), leastRatioAt1pp: ratios[0] },
      shareAtMost6Bits: table.filter((row) => (row.lowest['1pp']?.bits ?? 32) <= 6).length / table.length,
      met: ratios[ratios.length >> 1] >= 10,
      rows: table,
    };
  }
  return { barRatio: 10, paperBest: 60, networks: result };
}

const part = positionals[0] === 'maps' ? { maps: await maps() } : { times: await times() };
const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
mkdirSync(dirname(file), { recursive: true });
const device = await describeDevice({ backend: 'native', threads: 1 });
writeFileSync(file, `${JSON.stringify({ ...before, bench: 'split-packing', device, ...part }, null, 2)}\n`);
console.log(JSON.stringify(part, null, 1));
