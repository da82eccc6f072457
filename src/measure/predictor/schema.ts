/** @file The predictor's file: what was learned of each family of layers on one device, and how well it held on unseen networks. */
import * as z from 'zod/mini';
import { CuttleError } from '../../ir/index.js';
import { inEnglish } from '../../platform/index.js';
import { deviceSchema } from '../../runtime/index.js';
import { families, featureNames } from './features.js';
import { lawSchema, learnerSchema } from './regression.js';

export const PREDICTOR_VERSION = 1;

const layerSchema = z.object({
  family: z.enum(families),
  features: z.record(z.enum(featureNames), z.number()),
});

/** JSON schema of one profiled network to learn from, as it stands under `sample` in a saved profile. */
export const networkSampleSchema = z.object({
  name: z.string(),
  /** Networks of one group are held out together: variants of an architecture know too much of each other. */
  group: z.string(),
  macs: z.number().check(z.nonnegative()),
  /** Median of whole runs, ms. */
  latencyMs: z.number().check(z.positive()),
  /** Layers as the profile found them, with their kernel times. */
  layers: z.array(z.extend(layerSchema, { ms: z.number().check(z.nonnegative()) })),
  /** The layers that `fusedLayers` expects without a profile: what an unseen network is predicted from. */
  fused: z.array(layerSchema),
});

export type NetworkSample = z.infer<typeof networkSampleSchema>;

const errorSchema = z.object({
  /** |predicted / measured − 1| over the held-out networks. */
  median: z.number(),
  mean: z.number(),
  worst: z.number(),
  /** Spearman's ρ of predicted and measured times. */
  spearman: z.number(),
});

/** JSON schema of a fitted predictor. */
export const predictorSchema = z.object({
  kind: z.literal('cuttle.predictor'),
  version: z.literal(PREDICTOR_VERSION),
  device: deviceSchema,
  /** Features that the learners take, as logarithms of one more than each. */
  features: z.array(z.string()),
  families: z.record(
    z.string(),
    z.object({
      /** Which learner cross-validation chose. */
      learner: z.string(),
      layers: z.int(),
      /** Median |predicted / measured − 1| of held-out layers. */
      medianError: z.number(),
      /** Time by operations and bytes; absent where the learner does without. */
      law: z.optional(lawSchema),
      /** Logarithm of the time, or of its ratio to the law. */
      fitted: learnerSchema,
    }),
  ),
  /** Latency beyond the kernels' times: so many ms a run, and so many a layer. */
  overhead: z.object({ runMs: z.number(), layerMs: z.number() }),
  /** Networks that it was learned from. */
  networks: z.array(z.string()),
  /** And from how many made-up ones. */
  probes: z.optional(z.int()),
  /** Each group of networks predicted by what was learned from the others; absent with fewer than three groups. */
  validation: z.optional(
    z.object({
      predictor: errorSchema,
      /** Latency in proportion to MACs. */
      macs: errorSchema,
      /** Latency as a power of MACs. */
      macsPower: errorSchema,
      networks: z.array(
        z.object({
          name: z.string(),
          group: z.string(),
          measuredMs: z.number(),
          predictedMs: z.number(),
          macsMs: z.number(),
          macsPowerMs: z.number(),
        }),
      ),
    }),
  ),
});

export type Predictor = z.infer<typeof predictorSchema>;

/** JSON that is no predictor of a version that we read, or profiles that none can be learned from. */
export class PredictorError extends CuttleError {
  constructor(kind: 'invalid' | 'usage', message: string, cause?: unknown) {
    super(kind, 'measure/predictor', message, {
      hint: 'Save profiles with: cuttle profile MODEL --save FILE; learn with: cuttle bench fit FILES --out predictor.json',
      cause,
    });
  }
}

/** Checks a parsed JSON value as a predictor. Throws PredictorError. */
export function parsePredictor(value: unknown): Predictor {
  const parsed = predictorSchema.safeParse(value, inEnglish);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new PredictorError(
    'invalid',
    `the predictor is broken at '${issue.path.join('.')}': ${issue.message}`,
    parsed.error,
  );
}

/** Reads the sample of a saved profile. Throws PredictorError where the profile was saved without one. */
export function parseSample(value: unknown, file: string): NetworkSample {
  const sample = typeof value === 'object' && value !== null && 'sample' in value ? value.sample : undefined;
  const parsed = networkSampleSchema.safeParse(sample, inEnglish);
  if (parsed.success) return parsed.data;
  throw new PredictorError('invalid', `'${file}' is a profile without described layers`, parsed.error);
}
