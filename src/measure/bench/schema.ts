/** @file The result of a benchmark: versioned JSON with the device, every configuration, every opening. */
import * as z from 'zod/mini';
import { CuttleError } from '../../ir/index.js';
import { inEnglish } from '../../platform/index.js';
import { latencySchema } from '../../runtime/index.js';
import { configurationSchema } from './configuration.js';

export const BENCH_VERSION = 1;

const nonnegative = z.number().check(z.nonnegative());
const share = z.number().check(z.gte(0), z.lte(1));

/** JSON schema of a value with its interval. */
const intervalSchema = z.object({
  value: nonnegative,
  low: nonnegative,
  high: nonnegative,
  /** Probability that the interval is meant to have, such as 0.95. */
  level: share,
});

const memorySchema = z.object({
  /** The most that the measuring process ever held. */
  peakResidentBytes: z.int(),
  /** The most it held beyond what it held before the model was read. */
  addedBytes: z.int(),
});

/** What can make figures unreliable. */
export const noiseKinds = ['unsteady', 'openings-differ', 'busy-machine', 'few-runs'] as const;

const openingSchema = z.object({
  /** Median of its runs, ms. */
  p50: nonnegative,
  cv: nonnegative,
  runs: z.int().check(z.positive()),
  loadMs: nonnegative,
  firstMs: nonnegative,
  /** From asking for a process to the first result. */
  coldStartMs: z.optional(nonnegative),
  /** Starting the process, loading the runtime, reading the file. */
  processMs: z.optional(nonnegative),
  runtimeMs: z.optional(nonnegative),
  readMs: z.optional(nonnegative),
  background: z.optional(share),
  memory: z.optional(memorySchema),
  /** Every run, ms, where asked for. */
  samples: z.optional(z.array(nonnegative)),
});

const sustainedSchema = z.object({
  seconds: z.number().check(z.positive()),
  windowSeconds: z.number().check(z.positive()),
  /** The whole curve: seconds from the start, median and 90th percentile in ms, runs. */
  curve: z.array(
    z.object({ at: nonnegative, p50: nonnegative, p90: nonnegative, runs: z.int(), background: z.optional(share) }),
  ),
  /** How long the stretches are that `change` compares: a minute, or a quarter of a shorter run. */
  stretchSeconds: nonnegative,
  /** Typical time in the first and in the last stretch, ms. */
  firstMs: nonnegative,
  lastMs: nonnegative,
  /** lastMs / firstMs − 1. */
  change: z.number(),
  /** Theil–Sen slope, share of the first stretch's time per minute. */
  slopePerMinute: z.number(),
  /** Mann–Kendall test with autocorrelation (Hamed and Rao 1998). */
  p: share,
  verdict: z.enum(['slower', 'faster', 'steady']),
});

const entrySchema = z.object({
  model: z.object({
    name: z.string(),
    sha256: z.optional(z.string()),
    /** Of the form that was measured. */
    bytes: z.int(),
    macs: nonnegative,
    params: nonnegative,
    peakActivationBytes: nonnegative,
  }),
  configuration: configurationSchema,
  /** Geometric mean of the openings' medians with its bootstrap interval: what one more opening may be expected to take. */
  typicalMs: intervalSchema,
  /** All counted runs of all openings together. */
  latencyMs: latencySchema,
  /** Median of the openings' coefficients of variation. */
  cv: nonnegative,
  /** Coefficient of variation of the openings' medians. */
  spread: nonnegative,
  /** Batch over typicalMs: items per second, one call after the other. */
  throughput: nonnegative,
  coldStartMs: z.optional(nonnegative),
  loadMs: nonnegative,
  firstMs: nonnegative,
  memory: z.optional(memorySchema),
  background: z.optional(share),
  noise: z.array(z.enum(noiseKinds)),
  /** Share of test samples right in this precision, where data was given. */
  accuracy: z.optional(share),
  remarks: z.array(z.string()),
  openings: z.array(openingSchema),
  sustained: z.optional(sustainedSchema),
});

/** JSON schema of a benchmark's result. Fields may be added within a version; none is renamed. */
export const benchSchema = z.object({
  kind: z.literal('cuttle.bench'),
  version: z.literal(BENCH_VERSION),
  /** ISO 8601. */
  startedAt: z.string(),
  seconds: nonnegative,
  device: z.object({
    cpu: z.string(),
    arch: z.string(),
    physicalCores: z.int(),
    logicalCores: z.int(),
    cpuFeatures: z.array(z.string()),
    memoryBytes: z.optional(z.int()),
    os: z.string(),
    platform: z.string(),
    /** SHA-256 over the fields above: equal for runs on the same machine and system. */
    fingerprint: z.string(),
  }),
  /** Package and version by provider. */
  runtimes: z.record(z.string(), z.string()),
  settings: z.object({
    openings: z.int(),
    warmup: z.int(),
    runs: z.int(),
    minSeconds: nonnegative,
    maxSeconds: nonnegative,
    /** What static quantisation was calibrated on. */
    calibration: z.optional(z.string()),
  }),
  /** The benchmark's own part of every time: an empty call measured in the same way, ms. */
  harnessMs: nonnegative,
  /** One-minute load average before the first measurement. */
  loadAverage: z.optional(nonnegative),
  entries: z.array(entrySchema),
  /** What could not be measured, and why. */
  skipped: z.array(z.object({ model: z.string(), configuration: configurationSchema, reason: z.string() })),
});

export type BenchResult = z.infer<typeof benchSchema>;
export type BenchEntry = z.infer<typeof entrySchema>;
export type BenchOpening = z.infer<typeof openingSchema>;
export type Sustained = z.infer<typeof sustainedSchema>;
export type NoiseKind = (typeof noiseKinds)[number];

/** JSON that is no benchmark result of a version that we read. Exit code 3. */
export class BenchFormatError extends CuttleError {
  constructor(message: string, cause?: unknown) {
    super('invalid', 'measure/bench-format', message, {
      hint: 'Make one with: cuttle bench MODEL --out result.json',
      cause,
    });
  }
}

/** Checks a parsed JSON value as a benchmark's result. Throws BenchFormatError. */
export function parseBench(value: unknown): BenchResult {
  const version = typeof value === 'object' && value !== null && 'version' in value ? value.version : undefined;
  if (typeof version === 'number' && version > BENCH_VERSION)
    throw new BenchFormatError(`the result has version ${version}; this Cuttle reads up to ${BENCH_VERSION}`);
  const parsed = benchSchema.safeParse(value, inEnglish);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new BenchFormatError(
    `the benchmark's result is broken at '${issue.path.join('.')}': ${issue.message}`,
    parsed.error,
  );
}
