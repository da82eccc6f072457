/** @file The design artefact (JSON, versioned): a design, the device and budget it was made for, what was predicted and what was measured. */
import * as z from 'zod/mini';
import { inEnglish } from '../platform/index.js';
import { checkDesign, InvalidDesignError, type DesignChoice } from './design.js';
import type { EvaluatedDesign } from './evaluate.js';
import { policyKinds } from './policies/index.js';
import type { Gate } from './policies/gate.js';
import type { PolicyKind } from './policies/policy.js';

export const DESIGN_FORMAT = 'cuttle.design';
export const DESIGN_VERSION = 1;

const count = z.int().check(z.gte(0));
const share = z.number().check(z.gte(0), z.lte(1));
const cost = z.number().check(z.gte(0));
const positive = z.number().check(z.positive());

const gate = z.strictObject({
  weights: z.strictObject({ top1: z.number(), margin: z.number(), entropy: z.number() }),
  /** Bias per predicted class. */
  classes: z.array(z.number()),
});

const exitEntry = z.strictObject({
  /** Candidate index in the progressive model; the number of candidates for the final exit. */
  exit: count,
  /** Name of the value that the exit hangs on. */
  at: z.optional(z.string()),
  /** Absent where the exit decides nothing: the last one. */
  threshold: z.optional(z.number()),
  temperature: positive,
  /** Trained gate, where the learned policy decides. */
  gate: z.optional(gate),
});

const outcome = z.strictObject({
  accuracy: share,
  latency: z.strictObject({ average: cost, worstCase: cost, unit: z.enum(['ms', 'macs']) }),
  /** Share of the samples that stop at each of `exits`, in their order. */
  exitRates: z.array(share),
  samples: count,
  memoryBytes: z.optional(cost),
});

const budget = z.strictObject({
  constraint: z.enum(['average', 'worst-case']),
  /** In the unit of the latencies. */
  limit: cost,
  /** As the user wrote it, such as `50%` or `4ms`. */
  asked: z.optional(z.string()),
  memoryBytes: z.optional(cost),
});

/** Schema of a design file, version 1. */
export const designSchema = z.strictObject({
  format: z.literal(DESIGN_FORMAT),
  version: z.literal(DESIGN_VERSION),
  /** All instantiated exits in order, the final one included unless the design is truncated. */
  exits: z.array(exitEntry).check(z.minLength(1)),
  truncated: z.boolean(),
  policy: z.strictObject({
    kind: z.enum(policyKinds as [PolicyKind, ...PolicyKind[]]),
    /** Whether one threshold serves all exits. */
    shared: z.boolean(),
    /** The shared threshold, kept even where no exit decides. */
    threshold: z.optional(z.number()),
  }),
  fallback: z.enum(['most-confident', 'last']),
  /** The network it belongs to. */
  model: z.strictObject({ name: z.optional(z.string()), sha256: z.optional(z.string()), candidates: count }),
  device: z.optional(z.record(z.string(), z.unknown())),
  budget: z.optional(budget),
  /** On the calibration set, by look-up. */
  predicted: outcome,
  /** On held-out samples, by running the network on the device. */
  measured: z.optional(z.partial(outcome)),
  calibration: z.strictObject({ samples: count, ece: z.optional(z.array(share)) }),
  search: z.optional(
    z.strictObject({ method: z.string(), seeds: z.array(z.number()), evaluations: z.optional(count) }),
  ),
});

export type DesignFile = z.infer<typeof designSchema>;

/** What a design file says beyond the choice itself. */
export interface DesignContext extends Pick<DesignFile, 'device' | 'budget' | 'measured' | 'search' | 'model'> {
  readonly predicted: EvaluatedDesign;
  readonly unit: 'ms' | 'macs';
  /** Expected calibration error per instantiated exit, after temperature scaling. */
  readonly ece?: readonly number[];
  /** Names of the values that the instantiated exits hang on. */
  readonly positions?: readonly string[];
}

/** Writes a choice and its circumstances as a design file. Throws InvalidDesignError where they do not fit each other. */
export function designFile(choice: DesignChoice, context: DesignContext): DesignFile {
  checkDesign(choice, context.model.candidates);
  const { predicted } = context;
  const { thresholds, gates } = choice.policy;
  const deciding = predicted.instantiated.length - 1;
  return parseDesign({
    format: DESIGN_FORMAT,
    version: DESIGN_VERSION,
    exits: predicted.instantiated.map((exit, i) => {
      const threshold = typeof thresholds === 'number' ? thresholds : thresholds[i];
      return {
        exit,
        ...(context.positions === undefined ? {} : { at: context.positions[i] }),
        ...(i < deciding ? { threshold } : {}),
        ...(gates?.[i] === undefined ? {} : { gate: { weights: gates[i].weights, classes: [...gates[i].classes] } }),
        temperature: choice.policy.temperatures?.[i] ?? 1,
      };
    }),
    truncated: choice.truncated === true,
    policy: {
      kind: choice.policy.kind,
      shared: typeof thresholds === 'number',
      ...(typeof thresholds === 'number' ? { threshold: thresholds } : {}),
    },
    fallback: choice.fallback,
    model: context.model,
    device: context.device,
    budget: context.budget,
    predicted: {
      accuracy: predicted.accuracy,
      latency: { ...predicted.latency, unit: context.unit },
      exitRates: Array.from(predicted.exitCounts, (stopped) => stopped / predicted.samples),
      samples: predicted.samples,
      memoryBytes: predicted.memoryBytes,
    },
    measured: context.measured,
    calibration: {
      samples: predicted.samples,
      ...(context.ece === undefined ? {} : { ece: [...context.ece] }),
    },
    search: context.search,
  });
}

/** Checks parsed JSON against the schema and its inner consistency. Throws InvalidDesignError. */
export function parseDesign(json: unknown): DesignFile {
  const parsed = designSchema.safeParse(json, inEnglish);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    const where = path.length === 0 ? '' : ` at '${path.join('.')}'`;
    throw new InvalidDesignError(`this is no design file: ${message}${where}`, { cause: parsed.error });
  }
  const file = parsed.data;
  if (file.truncated !== (file.exits.at(-1)!.exit !== file.model.candidates))
    throw new InvalidDesignError(
      file.truncated
        ? 'the design is called truncated, yet lists the final exit'
        : 'the design lacks the final exit, yet is not called truncated',
    );
  if (file.predicted.exitRates.length !== file.exits.length)
    throw new InvalidDesignError(`${file.predicted.exitRates.length} exit rates for ${file.exits.length} exits`);
  checkDesign(designChoice(file), file.model.candidates);
  return file;
}

function gateOf({ exit, gate }: z.infer<typeof exitEntry>): Gate {
  if (gate === undefined) throw new InvalidDesignError(`exit ${exit} of the design has no gate`);
  return gate;
}

/** The choice that a design file records. Throws InvalidDesignError where a deciding exit has no threshold. */
export function designChoice(file: DesignFile): DesignChoice {
  const listed = file.truncated ? file.exits : file.exits.slice(0, -1);
  const thresholds = listed.map((entry, i) => {
    const threshold = entry.threshold ?? (i === file.exits.length - 1 ? 0 : undefined);
    if (threshold === undefined) throw new InvalidDesignError(`exit ${entry.exit} of the design has no threshold`);
    return threshold;
  });
  const { kind, shared, threshold } = file.policy;
  if (shared && threshold === undefined)
    throw new InvalidDesignError('the design has a shared threshold, but does not state it');
  return {
    exits: listed.map((entry) => entry.exit),
    policy: {
      kind,
      thresholds: shared ? threshold! : thresholds,
      temperatures: file.exits.map((entry) => entry.temperature),
      ...(kind === 'learned' && { gates: listed.map((entry) => gateOf(entry)) }),
    },
    fallback: file.fallback,
    truncated: file.truncated,
  };
}
