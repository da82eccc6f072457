/** @file A found design on test images it was not chosen by: accuracy, exits, and latency on this device. */
import { batches, takeSamples, type ImageDataset, type Preprocessing } from '../../data/index.js';
import type { SessionOptions } from '../../runtime/index.js';
import type { DesignChoice } from '../design.js';
import { measureDesign, type MeasuredDesign } from '../measure-design.js';
import type { Progressive } from '../progressive.js';
import { instantiatedExits } from '../rates.js';
import { openProgressive } from '../session.js';

export interface MeasuredOnTest {
  readonly samples: number;
  readonly accuracy: number;
  /** The plain network on the same images. */
  readonly backboneAccuracy: number;
  /** Share of the images that stop at each instantiated exit. */
  readonly exitRates: readonly number[];
  /** Share of right answers among these; `null` where none stops there. */
  readonly exitAccuracy: readonly (number | null)[];
  /** Exit (number in the progressive model) and label per image. */
  readonly exitOf: Int32Array;
  readonly labels: Int32Array;
  /** Top-1 probability of the exit that answered, per image. */
  readonly confidence: Float32Array;
  /** Single images, this device; absent where none were timed. */
  readonly latency?: Pick<MeasuredDesign, 'staged' | 'baked' | 'backbone'>;
}

export interface MeasureFoundOptions {
  readonly test: ImageDataset;
  readonly preprocessing: Preprocessing;
  readonly session: SessionOptions;
  /** 0: no timing. */
  readonly latencySamples: number;
  readonly signal: AbortSignal | undefined;
}

const BATCH = 100;

/** Runs a design over the test images in its staged form, the plain network beside it, and times single images. */
export async function measureFound(
  progressive: Progressive,
  choice: DesignChoice,
  options: MeasureFoundOptions,
): Promise<MeasuredOnTest> {
  const { test, preprocessing, session, latencySamples, signal } = options;
  const final = progressive.info.exits.length;
  const exitOf = new Int32Array(test.size);
  const labels = new Int32Array(test.size);
  const confidence = new Float32Array(test.size);
  let plainRight = 0;
  let done = 0;
  const plainChoice: DesignChoice = { exits: [], policy: { kind: 'confidence', thresholds: 1 }, fallback: 'last' };
  {
    await using staged = await openProgressive(progressive, choice, { backend: session.backend });
    await using plain = await openProgressive(progressive, plainChoice, { backend: session.backend });
    for await (const { images } of batches(test, { batchSize: BATCH, preprocessing, signal })) {
      const { answers } = await staged.run(images, { signal });
      const reference = (await plain.run(images, { signal })).answers;
      answers.forEach((answer, i) => {
        exitOf[done + i] = answer.exit;
        labels[done + i] = answer.prediction;
        confidence[done + i] = answer.confidence;
        if (reference[i]!.prediction === test.labels[done + i]) plainRight++;
      });
      done += answers.length;
    }
  }

  const exits = instantiatedExits(choice, final);
  const stopped = exits.map(() => 0);
  const right = exits.map(() => 0);
  for (let s = 0; s < test.size; s++) {
    const place = exits.indexOf(exitOf[s]!);
    stopped[place]!++;
    if (labels[s] === test.labels[s]) right[place]!++;
  }
  return {
    samples: test.size,
    accuracy: right.reduce((sum, count) => sum + count, 0) / test.size,
    backboneAccuracy: plainRight / test.size,
    exitRates: stopped.map((count) => count / test.size),
    exitAccuracy: right.map((count, i) => (stopped[i] === 0 ? null : count / stopped[i]!)),
    exitOf,
    labels,
    confidence,
    ...(latencySamples > 0 && { latency: await timeSingles(progressive, choice, options) }),
  };
}

async function timeSingles(
  progressive: Progressive,
  choice: DesignChoice,
  options: MeasureFoundOptions,
): Promise<MeasuredDesign> {
  const { test, preprocessing, session, latencySamples, signal } = options;
  const count = Math.min(latencySamples, test.size);
  // Spread over the set, because stored order may go by class.
  const chosen = takeSamples(
    test,
    Uint32Array.from({ length: count }, (_, i) => Math.floor((i * test.size) / count)),
  );
  for await (const { images } of batches(chosen, { batchSize: count, preprocessing }))
    return await measureDesign(progressive, choice, images, { ...session, signal });
  throw new RangeError('there are no test images to time');
}
