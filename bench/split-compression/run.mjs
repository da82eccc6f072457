/**
 * @file Bytes and accuracy of every ⟨cut, bit-width⟩ on real images: lowest widths for a loss of 1, 2, 5 points, ranges per
 * input against ranges taken beforehand, and the codecs' sizes and times. Measures the split profiles that the other split
 * benches read.
 *
 * After a build:
 *   node bench/split-compression/run.mjs profile NAME [--images 1000] [--static]    → bench/.work/split/NAME.json
 *   node bench/split-compression/run.mjs repack NAME                       (times alone, on a quiet machine)
 *   node bench/split-compression/run.mjs alone NAME                        (accuracies of single exits, for a profile without them)
 *   node bench/split-compression/run.mjs codecs                           (on a quiet machine)
 *   node bench/split-compression/run.mjs report                           → bench/results/split-compression.json, .svg
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { batches, resolvePreprocessing } from '../../dist/data/index.js';
import { openData } from '../../dist/data/node.js';
import { calibrateExits } from '../../dist/exits/calibrate.js';
import { decodeMemo } from '../../dist/exits/memo.js';
import { readProgressive, withTemperatures } from '../../dist/exits/progressive.js';
import { keepSamples } from '../../dist/exits/session-rows.js';
import { loadModel } from '../../dist/onnx/node.js';
import { stackedPlots } from '../../dist/report/index.js';
import { openSession } from '../../dist/runtime/index.js';
import {
  bitsOf,
  cutsMeasured,
  measurePackings,
  measureSplit,
  openCodecs,
  openSplitNetwork,
  packedAt,
  spreadExits,
} from '../../dist/split/index.js';
import { measuredProfiles, networks, profileFile, root, shared, work } from './networks.mjs';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { images: { type: 'string', default: '1000' }, static: { type: 'boolean', default: false } },
});
const [part, name] = positionals;
const resultFile = join(root, 'bench/results/split-compression.json');
const codecsFile = join(work, 'codecs.json');
mkdirSync(work, { recursive: true });
const round = (value, digits = 4) => Number(value.toFixed(digits));

/** Test images: the networks know the training images too well. */
async function samplesFor(model, images, batchSize) {
  const { preprocessing } = resolvePreprocessing(model, { normalise: 'cifar-10', channels: 'rgb' });
  const { test } = await openData(join(shared, 'data/cifar-10-images.tar.gz'), { seed: 1, limit: images });
  const samples = [];
  for await (const { images: input, labels } of batches(test, { batchSize, preprocessing }))
    samples.push({ feeds: { [model.graph.inputs[0].name]: input }, labels: labels.numbers() });
  return samples;
}

/** With temperatures fitted on the calibration memo, where there is one. */
function calibrated(model, memo) {
  if (!existsSync(memo)) return model;
  const temperatures = calibrateExits(decodeMemo(readFileSync(memo))).map(({ temperature }) => temperature);
  return withTemperatures(readProgressive(model), temperatures).model;
}

async function profile() {
  const { file, every, title } = networks[name];
  const model = calibrated(await loadModel(file), join(dirname(file), 'calibration.memo'));
  const exits = spreadExits(model);
  const network = openSplitNetwork(model, { exits });
  const sparse = network.cuts.cuts.filter((cut) => cut.sparse && cut.index < network.final.position);
  const samples = await samplesFor(model, Number(values.images), 50);
  let last = performance.now();
  const profile = await measureSplit(model, samples, {
    ...{ exits, cuts: [0, ...sparse.filter((_, i) => i % every === 0).map(({ index }) => index)] },
    ...{
      staticScale: values.static,
      bits: [1, 2, 3, 4, 6, 8, 32],
      codecs: await openCodecs(),
      threads: 1,
      timedSamples: 8,
    },
    model: { name: title, sha256: createHash('sha256').update(readFileSync(file)).digest('hex') },
    data: `${values.images} test images of CIFAR-10 (JPEG copy)`,
    progress: (done, total) => {
      console.error(`${name}: cut ${done}/${total} ${((performance.now() - last) / 1000).toFixed(1)} s`);
      last = performance.now();
    },
  });
  writeFileSync(profileFile(name), JSON.stringify(profile));
}

/** Measures packings and their times anew, on a machine that is quieter than while accuracy was measured. */
async function repack() {
  const { file } = networks[name];
  const old = JSON.parse(readFileSync(profileFile(name), 'utf8'));
  const model = calibrated(await loadModel(file), join(dirname(file), 'calibration.memo'));
  const [few] = await samplesFor(model, 40, 16);
  const fresh = await measureSplit(model, [few], {
    ...{ exits: old.exits.map(({ exit }) => exit), cuts: cutsMeasured(old), bits: bitsOf(old) },
    ...{ codecs: await openCodecs(), threads: 1, timedSamples: 8, runs: 60 },
  });
  old.packed.forEach((row, i) => {
    const { layout, codec, bytes, packMs, unpackMs } = fresh.packed[i];
    // Sizes are those of all images; of 16 where the packing is another now.
    if (row.layout !== layout || row.codec !== codec) Object.assign(row, { layout, codec, bytes });
    Object.assign(row, { packMs, unpackMs });
  });
  Object.assign(old, { device: fresh.device, server: fresh.server });
  writeFileSync(profileFile(name), JSON.stringify(old));
}

/** What each exit gets right alone behind every ⟨cut, bits⟩, on the profile's own images; everything else stays. */
async function alone() {
  const { file } = networks[name];
  const old = JSON.parse(readFileSync(profileFile(name), 'utf8'));
  const model = calibrated(await loadModel(file), join(dirname(file), 'calibration.memo'));
  const samples = await samplesFor(model, old.samples, 50);
  const fresh = await measureSplit(model, samples, {
    ...{ exits: old.exits.map(({ exit }) => exit), cuts: cutsMeasured(old), bits: bitsOf(old), runs: 2 },
    ...{ thresholds: old.thresholds, codecs: await openCodecs(), threads: 1, timedSamples: 1 },
    progress: (done, total) => console.error(`${name}: cut ${done}/${total}`),
  });
  const differ = fresh.packed.filter((row, i) => row.accuracy !== old.packed[i].accuracy).length;
  if (differ > 0) throw new Error(`${differ} accuracies are not those of the profile: measure it anew`);
  old.packed.forEach((row, i) => Object.assign(row, { exitAccuracy: fresh.packed[i].exitAccuracy }));
  writeFileSync(profileFile(name), JSON.stringify(old));
}

/** Sizes and times of all codecs at 4 bits on maps from the middle of ResNet-20. */
async function codecs() {
  const model = await loadModel(networks.plain20.file);
  const network = openSplitNetwork(model);
  const sparse = network.cuts.cuts.filter((cut) => cut.sparse && cut.index < network.final.position);
  const cut = sparse[Math.floor(sparse.length / 4)];
  const [{ feeds }] = await samplesFor(model, 32, 32);
  const session = await openSession(network.segment(0, cut.index), { threads: 1 });
  const maps = await session.run(feeds);
  const samples = Array.from({ length: 32 }, (_, row) =>
    Object.fromEntries(cut.frontier.map((value) => [value, keepSamples(maps[value], 0, [row])])),
  );
  await session.release();
  const available = await openCodecs();
  const rows = measurePackings(samples, 4, { codecs: available, runs: 15 }).map((row) => ({
    ...{ codec: row.packing.codec, layout: row.packing.layout },
    ...{ bytes: Math.round(row.bytes), ratio: round(row.ratio, 2), ms: round(row.packMs + row.unpackMs) },
  }));
  const front = rows.filter((a) => !rows.some((b) => b.bytes <= a.bytes && b.ms <= a.ms && b !== a));
  const lz4 = front.some(({ codec }) => codec === 'lz4');
  writeFileSync(
    codecsFile,
    JSON.stringify({ cut: cut.index, bits: 4, floats: samples[0][cut.frontier[0]].dims, lz4OnFront: lz4, rows, front }),
  );
  console.log(JSON.stringify({ lz4, rows, front }, null, 1));
}

function rowOf(profile, cut, drop) {
  const full = profile.final.accuracy;
  const eligible = bitsOf(profile)
    .map((bits) => packedAt(profile, cut, bits))
    .filter((row) => row.bits < 32 && row.accuracy >= full - drop - 1e-9);
  return eligible[0];
}

function networkResult(profile) {
  const sparse = cutsMeasured(profile).filter((cut) => profile.cuts[cut].sparse);
  const table = sparse.map((cut) => {
    const lowest = Object.fromEntries(
      [0.01, 0.02, 0.05].map((drop) => {
        const row = rowOf(profile, cut, drop);
        return [
          `${100 * drop}pp`,
          row && {
            bits: row.bits,
            ratio: round(profile.cuts[cut].bytes / row.bytes, 1),
            accuracy: round(row.accuracy),
          },
        ];
      }),
    );
    return { cut, bytes: profile.cuts[cut].bytes, lowest };
  });
  const ratios = table.map(({ lowest }) => lowest['1pp']?.ratio ?? 1).sort((a, b) => a - b);
  const low = profile.packed.filter((row) => row.bits <= 4 && row.staticScale && profile.cuts[row.cut].sparse);
  const better = low.filter((row) => row.accuracy >= row.staticScale.accuracy - 1e-9).length;
  return {
    ...{
      title: profile.model.name,
      images: profile.samples,
      accuracy: round(profile.final.accuracy),
      cuts: sparse.length,
    },
    ratioAt1pp: { median: ratios[ratios.length >> 1], least: ratios[0], most: ratios.at(-1) },
    shareOfCutsAt6BitsOrLess: round(
      table.filter(({ lowest }) => (lowest['1pp']?.bits ?? 32) <= 6).length / table.length,
      3,
    ),
    perInputAgainstStatic: low.length > 0 && {
      widths: '1 to 4 bits',
      perInputAtLeastAsAccurate: `${better} of ${low.length}`,
      meanGainPoints: round(
        (100 * low.reduce((sum, row) => sum + row.accuracy - row.staticScale.accuracy, 0)) / low.length,
        2,
      ),
      samplesClampedByStatic: round(low.reduce((sum, row) => sum + row.staticScale.clamped, 0) / low.length, 3),
    },
    ...{ met: ratios[ratios.length >> 1] >= 10, table },
  };
}

function report() {
  const profiles = measuredProfiles();
  const rows = Object.fromEntries(Object.entries(profiles).map(([key, profile]) => [key, networkResult(profile)]));
  const codecRows = existsSync(codecsFile) ? JSON.parse(readFileSync(codecsFile, 'utf8')) : undefined;
  const result = {
    bench: 'split-compression',
    bar: {
      ratioAt1pp: 10,
      what: 'median over the cuts where only ReLU outputs cross, ≥ 1,000 images; LZ4 on the front of size and time',
    },
    papers: {
      dynoBestRatioAt4Bits: 60,
      dynoLowestBits: 'most ReLU splits 4 to 6 bits below 1 pp',
      dynoSamplesClampedByStatic: 0.4535,
      spinnLossAt8Bits: 'below 0.65 pp',
    },
    device: Object.values(profiles)[0].device.machine,
    networks: rows,
    codecs: codecRows,
  };
  writeFileSync(resultFile, `${JSON.stringify(result, null, 2)}\n`);
  const plots = Object.values(profiles).map((profile) => ({
    title: profile.model.name,
    xLabel: 'cut (only ReLU outputs cross)',
    yLabel: `${profile.model.name}: times smaller than float32`,
    yFromZero: true,
    series: [0.01, 0.02, 0.05].map((drop, style) => ({
      name: `fewest bits within ${100 * drop} pp`,
      ...{ style, line: true },
      points: cutsMeasured(profile)
        .filter((cut) => profile.cuts[cut].sparse)
        .flatMap((cut) => {
          const row = rowOf(profile, cut, drop);
          return row
            ? [{ x: cut, y: profile.cuts[cut].bytes / row.bytes, label: drop === 0.01 ? `${row.bits}` : undefined }]
            : [];
        }),
    })),
  }));
  writeFileSync(
    resultFile.replace('.json', '.svg'),
    stackedPlots('How much smaller what crosses a cut becomes; labels: bits', plots),
  );
  for (const [key, row] of Object.entries(rows)) console.log(key, JSON.stringify({ ...row, table: row.table.length }));
  console.log(basename(resultFile), JSON.stringify(codecRows?.front));
}

if (part === 'profile') await profile();
else if (part === 'repack') await repack();
else if (part === 'alone') await alone();
else if (part === 'codecs') await codecs();
else report();
