/** @file What `cuttle bench --data` adds to a model: calibration batches of its own, and its accuracy. */
import { batches, resolvePreprocessing } from '../data/index.js';
import { requiredInputs, type Model } from '../ir/index.js';
import type { BenchModel } from '../measure/node.js';
import { evaluate } from '../train/index.js';
import {
  openImages,
  preprocessingGiven,
  reportAssumed,
  type dataOptions,
  type preprocessingOptions,
} from './data-options.js';
import type { z } from 'zod';
import type { VerbContext } from './verb.js';

/** Images that ranges are measured on. */
const CALIBRATION_IMAGES = 256;
const BATCH = 32;

type Given = z.infer<z.ZodObject<typeof preprocessingOptions>> &
  Omit<z.infer<z.ZodObject<typeof dataOptions>>, 'data'> & { readonly data: string; readonly seed: number };

/** Calibration and accuracy of a model on the named images. Throws as `openImages` does. */
export async function withData(
  context: Pick<VerbContext<unknown>, 'console' | 'signal'>,
  { name, model }: BenchModel,
  options: Given,
): Promise<Pick<BenchModel, 'calibration' | 'accuracyOf'>> {
  const { preprocessing, assumed } = resolvePreprocessing(model, preprocessingGiven(options));
  context.console.log(`${name}: opening ${options.data}`);
  reportAssumed(context, assumed);
  const data = await openImages(context, options, { seed: options.seed }, preprocessing);
  const { signal } = context;
  const [input] = requiredInputs(model.graph);
  const batchSize = batchOf(model) ?? BATCH;
  return {
    calibration: async function* () {
      let left = CALIBRATION_IMAGES;
      for await (const { images } of batches(data.calibration, { batchSize, preprocessing, dropLast: true, signal })) {
        if (left <= 0) return;
        left -= batchSize;
        yield { [input!.name]: images };
      }
    },
    accuracyOf: async (given) =>
      (await evaluate(given, data.test, { preprocessing, batchSize: batchOf(model) ?? 64, signal })).accuracy,
  };
}

function batchOf(model: Model): number | undefined {
  const type = requiredInputs(model.graph)[0]?.type;
  const first = type?.kind === 'tensor' ? type.shape?.[0] : undefined;
  return typeof first === 'number' ? first : undefined;
}
