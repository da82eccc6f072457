/** @file `cuttle demo`: the main job on embedded digits, from training the network on. */
import { z } from 'zod';
import { loadModel } from '../../onnx/node.js';
import { parseBudgets } from '../../exits/adapt/budget.js';
import { readProgressive } from '../../exits/progressive.js';
import { basename, exists, joinPath } from '../../platform/node/files.js';
import { sha256OfFile } from '../../platform/node/hash.js';
import { batches, resolvePreprocessing, type ImageDataset } from '../../data/index.js';
import { openData } from '../../data/node.js';
import { measureSplit, type LabelledInputs } from '../../split/index.js';
import { writeSplitProfile } from '../../split/split-profile-file.js';
import { trainToFile } from '../../train/node.js';
import { buildArchitecture } from '../../zoo/index.js';
import { writeExampleImage } from '../adapt-report.js';
import { runAdapt } from '../run-adapt.js';
import { defineVerb, option } from '../verb.js';
import { showTraining } from './train.js';

/** What the demo trains: deep enough that leaving early pays, small enough for two minutes on two cores. */
const ARCHITECTURE = 'resnet-8';

export const demo = defineVerb({
  name: 'demo',
  summary: 'Show the main job on 10,000 embedded digits: train a network, give it early exits, meet latency budgets.',
  args: [],
  flags: [
    ['--out <folder>', 'where everything goes (default cuttle-demo)'],
    ['--epochs <count>', 'passes over the digits for the network (default 2)'],
    ['--exit-epochs <count>', 'passes over the digits for its exits (default 2)'],
    ['--seed <number>', 'seed of everything (default 0)'],
    ['--force', 'write into a folder that holds something else'],
  ],
  options: z.object({
    out: option.text().default('cuttle-demo'),
    epochs: option.count().default(2),
    exitEpochs: option.count().default(2),
    seed: option.seed(),
    force: option.flag(),
  }),
  examples: ['cuttle demo', 'cuttle demo --out elsewhere --json'],
  async run({ options, console, signal }) {
    const { seed, out } = options;
    const data = await openData('mnist', { seed });
    const path = joinPath(out, 'backbone.onnx');
    if (!options.force && (await exists(path))) console.log(`${path} is there already`);
    else {
      console.log(`training ${ARCHITECTURE} on ${data.train.size} handwritten digits`);
      await trainToFile({
        out: path,
        force: options.force,
        model: ({ classes, input }) => buildArchitecture(ARCHITECTURE, { classes, input, seed }),
        data,
        epochs: options.epochs,
        seed,
        signal,
        onEvent: showTraining(console, 'network'),
      });
    }
    const backbone = await loadModel(path);
    const result = await runAdapt(
      { console, signal },
      {
        name: path,
        out,
        // The backbone is already there.
        force: true,
        modelSha256: await sha256OfFile(path),
        dataName: 'mnist',
        backbone,
        data,
        preprocessing: resolvePreprocessing(backbone).preprocessing,
        budgets: parseBudgets(['50%', '75%', '40%']),
        constraint: 'average',
        policies: ['confidence'],
        fallback: 'most-confident',
        effort: { seed },
        recipe: { head: { kind: 'msdnet' }, epochs: options.exitEpochs, learningRate: 0.004 },
        session: { threads: 1 },
        seed,
      },
    );
    await writeExampleImage(joinPath(out, 'digit.png'), data.test, 0);
    // The test part is sorted by class.
    for (let i = 0; i < MORE_IMAGES; i++)
      await writeExampleImage(
        joinPath(out, `digits/${i}.png`),
        data.test,
        Math.floor(((i + 0.5) * data.test.size) / MORE_IMAGES),
      );
    console.log('measuring the network at every cut');
    await measureCuts(out, data.calibration, signal);
    return result;
  },
});

/** Test images besides the first, to try by hand: one of every digit. */
const MORE_IMAGES = 10;
/** Images that the cuts are measured on, and the widths and thresholds tried: enough to look at, in seconds. */
const CUT_IMAGES = 200;
const CUT_GRID = { bits: [2, 4, 8, 32], thresholds: [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99] } as const;

/** Writes the split profile that `cuttle split simulate` and the studio play with. */
async function measureCuts(out: string, images: ImageDataset, signal: AbortSignal): Promise<void> {
  const path = joinPath(out, 'progressive.onnx');
  const { model, info } = readProgressive(await loadModel(path));
  const { preprocessing } = resolvePreprocessing(model);
  const samples: LabelledInputs[] = [];
  for await (const { images: batch, labels } of batches(images, { batchSize: 50, preprocessing, signal })) {
    samples.push({ feeds: { [info.input]: batch }, labels: labels.numbers() });
    if (samples.length * 50 >= CUT_IMAGES) break;
  }
  const profile = await measureSplit(model, samples, {
    ...CUT_GRID,
    threads: 1,
    model: { name: basename(path), sha256: await sha256OfFile(path) },
    data: `${CUT_IMAGES} calibration images of mnist`,
    signal,
  });
  await writeSplitProfile(joinPath(out, 'split-profile.json'), profile, { force: true });
}
