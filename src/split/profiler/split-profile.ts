/**
 * @file The split profile (JSON, versioned): what is measured once for a network, so that a client can choose at run time
 * where to cut it, when to leave early and how many bits to send.
 */
import * as z from 'zod/mini';
import { CuttleError } from '../../ir/index.js';
import { inEnglish } from '../../platform/index.js';
import { deviceSchema } from '../../runtime/index.js';
// The policies that a split network leaves by are those of the exits system.
import type { DesignChoice } from '../../exits/design.js';
import { policyKinds } from '../../exits/policies/index.js';
import type { PolicyKind } from '../../exits/policies/policy.js';
import { SchedulerError } from '../scheduler/errors.js';
import { NO_EXITS, type ExitRule } from '../scheduler/rule.js';

export const SPLIT_PROFILE_FORMAT = 'cuttle.split';
export const SPLIT_PROFILE_VERSION = 1;

const count = z.int().check(z.nonnegative());
const share = z.number().check(z.gte(0), z.lte(1));
const amount = z.number().check(z.nonnegative());
const name = z.string();

const exitSchema = z.object({
  /** Number in the progressive model. */
  exit: count,
  /** The smallest cut whose device part computes it. */
  position: count,
  temperature: z.number().check(z.positive()),
  /** Names of the nodes that only this exit needs. */
  nodes: z.array(name),
  /** What it gets right alone, at full precision. */
  accuracy: share,
});

const outcomeSchema = z.object({
  accuracy: share,
  /** Share of all samples that stop at each exit, the final one last. */
  stops: z.array(share),
});

const cutSchema = z.object({
  /** Names of the backbone's nodes between the cut before and this one. */
  nodes: z.array(name),
  /** Every tensor that crosses. */
  frontier: z.array(name),
  /** Every crossing tensor comes from a ReLU. */
  sparse: z.boolean(),
  /** Bytes that cross for one sample, unpacked. */
  bytes: amount,
});

const packedSchema = z.object({
  cut: count,
  bits: z.int().check(z.gte(1), z.lte(32)),
  /** The layout and codec that take least time over the link stated in `packedFor`. */
  layout: z.enum(['lanes', 'planes']),
  codec: z.enum(['stored', 'lz4', 'deflate', 'zstd']),
  /** Mean bytes of a frame with one sample. */
  bytes: amount,
  /** Time to pack and to unpack one sample on the machine that measured, ms. */
  packMs: amount,
  unpackMs: amount,
  /** Accuracy where no exit is run. */
  accuracy: share,
  /** Per threshold: exits before the cut see full precision, those behind it what was unpacked. */
  outcomes: z.array(outcomeSchema),
  /**
   * What each exit gets right alone: those before the cut at full precision, those behind it on what was unpacked. Profiles
   * of earlier versions lack it: they offer no exit alone.
   */
  exitAccuracy: z.optional(z.array(share)),
  /** The same width with ranges taken from a few samples beforehand instead of from each tensor, where it was measured. */
  staticScale: z.optional(z.object({ accuracy: share, clamped: share })),
});

const sideSchema = z.object({
  /** `measured`: on the machine that measured the rest. `profile`: from a profile of another. `assumed`: taken as equal to the device's. */
  source: z.enum(['measured', 'profile', 'assumed']),
  machine: deviceSchema,
  /** Per cut: time of the backbone's nodes between the cut before and this one, for one sample, ms. */
  cutMs: z.array(amount),
  /** Per exit: time of the nodes that only it needs, ms. */
  exitMs: z.array(amount),
});

/** Schema of a split profile, version 1. Fields may be added within a version; none is renamed. */
export const splitProfileSchema = z.object({
  format: z.literal(SPLIT_PROFILE_FORMAT),
  version: z.literal(SPLIT_PROFILE_VERSION),
  model: z.object({
    name: z.optional(name),
    /** Of the model file's bytes. */
    sha256: z.optional(name),
    classes: z.int().check(z.gte(2)),
    /** Number of the progressive model's early exits: the final exit's number. */
    candidates: count,
  }),
  /** How many samples accuracy and sizes were measured on, and which. */
  samples: z.int().check(z.positive()),
  data: z.optional(name),
  policy: z.object({
    kind: z.enum(policyKinds as [PolicyKind, ...PolicyKind[]]),
    fallback: z.enum(['most-confident', 'last']),
  }),
  exits: z.array(exitSchema),
  /** The network's own classifier at full precision; `temperature` as for the exits. */
  final: z.object({ position: count, temperature: z.number().check(z.positive()), accuracy: share }),
  /** Shared by all exits of a configuration. */
  thresholds: z.array(z.number()),
  /** From the inputs (server only) to the end (device only). */
  cuts: z.array(cutSchema),
  /** Everything on the device, per threshold. */
  local: z.array(outcomeSchema),
  packed: z.array(packedSchema),
  /** Bytes per millisecond of the link that layouts and codecs were chosen for. */
  packedFor: z.number().check(z.positive()),
  /** Bytes of one answer. */
  responseBytes: amount,
  device: sideSchema,
  server: sideSchema,
  /** Power of the device in watts, where it is known. */
  power: z.optional(z.object({ compute: amount, send: amount, idle: amount })),
});

export type SplitProfile = z.infer<typeof splitProfileSchema>;
export type SplitOutcome = z.infer<typeof outcomeSchema>;
export type PackedCut = z.infer<typeof packedSchema>;
export type SideTimes = z.infer<typeof sideSchema>;

/** JSON that is no split profile of a version that we read, or whose parts do not fit each other. Exit code 3. */
export class SplitProfileError extends CuttleError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super('invalid', 'split/profile', message, {
      hint: 'Make a split profile with: cuttle split table MODEL --data DATA --out FILE',
      ...options,
    });
  }
}

/** Checks a parsed JSON value (or JSON text) as a split profile, inner consistency included. Throws SplitProfileError. */
export function parseSplitProfile(json: unknown): SplitProfile {
  let value = json;
  if (typeof json === 'string')
    try {
      value = JSON.parse(json) as unknown;
    } catch (cause) {
      throw new SplitProfileError('the split profile is not JSON', { cause });
    }
  const version = typeof value === 'object' && value !== null && 'version' in value ? value.version : undefined;
  if (typeof version === 'number' && version > SPLIT_PROFILE_VERSION)
    throw new SplitProfileError(
      `the split profile has version ${version}; this Cuttle reads up to ${SPLIT_PROFILE_VERSION}`,
    );
  const parsed = splitProfileSchema.safeParse(value, inEnglish);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    const where = path.length === 0 ? '' : ` at '${path.join('.')}'`;
    throw new SplitProfileError(`this is no split profile: ${message}${where}`, { cause: parsed.error });
  }
  checkSplitProfile(parsed.data);
  return parsed.data;
}

/** Throws SplitProfileError unless cuts, exits, thresholds and times speak of the same network. */
export function checkSplitProfile(profile: SplitProfile): void {
  const { cuts, exits, final, thresholds, packed, local } = profile;
  const fail = (why: string): never => {
    throw new SplitProfileError(`the split profile is broken: ${why}`);
  };
  if (cuts.length < 2) fail('a network has at least two cuts');
  for (const [i, { position }] of [...exits, final].entries())
    if (position >= cuts.length || (i > 0 && position < exits[i - 1]!.position))
      fail(`exit number ${i + 1} lies at cut ${position}`);
  for (const [side, { cutMs, exitMs }] of Object.entries({ device: profile.device, server: profile.server }))
    if (cutMs.length !== cuts.length || exitMs.length !== exits.length)
      fail(
        `the ${side} has times of ${cutMs.length} cuts and ${exitMs.length} exits, not ${cuts.length} and ${exits.length}`,
      );
  const outcomes = [...packed.flatMap((row) => [row.outcomes]), local];
  for (const rows of outcomes)
    if (rows.length !== thresholds.length || rows.some(({ stops }) => stops.length !== exits.length + 1))
      fail(`outcomes do not fit ${thresholds.length} thresholds and ${exits.length} exits`);
  const alone = packed.filter(({ exitAccuracy }) => exitAccuracy !== undefined);
  if (alone.some(({ exitAccuracy }) => exitAccuracy!.length !== exits.length))
    fail(`accuracies of single exits do not fit ${exits.length} exits`);
  const bits = bitsOf(profile);
  const numbers = cutsMeasured(profile);
  const complete =
    packed.length === numbers.length * bits.length &&
    packed.every((row, i) => row.cut === numbers[Math.floor(i / bits.length)] && row.bits === bits[i % bits.length]);
  if (packed.length === 0 || !complete) fail('packed sizes are not every bit-width at every measured cut, in order');
  if (numbers.some((cut, i) => cut >= cuts.length - 1 || (i > 0 && cut <= numbers[i - 1]!)))
    fail('the measured cuts are not ascending cuts that send something');
}

/** The bit-widths that were measured, in their order. */
export function bitsOf({ packed }: Pick<SplitProfile, 'packed'>): readonly number[] {
  return [...new Set(packed.map(({ bits }) => bits))];
}

/** The cuts that were measured; the last one, which sends nothing, is not among them. */
export function cutsMeasured({ packed }: Pick<SplitProfile, 'packed'>): readonly number[] {
  return [...new Set(packed.map(({ cut }) => cut))];
}

/** The rules that were measured: every threshold, every exit alone where its accuracy is known, and running none. */
export function rulesOf({ exits, thresholds, packed }: SplitProfile): readonly ExitRule[] {
  if (exits.length === 0) return [NO_EXITS];
  const alone = packed.every(({ exitAccuracy }) => exitAccuracy !== undefined);
  return [
    ...thresholds.map((threshold) => ({ threshold })),
    ...(alone ? exits.map(({ exit }) => ({ exit })) : []),
    NO_EXITS,
  ];
}

/** The place of an exit among those of the profile. Throws SchedulerError for exits that do not take part. */
export function placeOfExit({ exits }: Pick<SplitProfile, 'exits'>, exit: number): number {
  const place = exits.findIndex((one) => one.exit === exit);
  if (place < 0) throw new SchedulerError(`exit ${exit} was not measured`);
  return place;
}

/** The cut that a rule really needs: where the one exit of all samples lies on the device, nothing is sent. */
export function cutServed(profile: SplitProfile, cut: number, rule: ExitRule): number {
  const local = 'exit' in rule && profile.exits[placeOfExit(profile, rule.exit)]!.position <= cut;
  return local ? profile.cuts.length - 1 : cut;
}

/**
 * The exits and policy that a rule of the scheduler's tables stands for, for the network of the profile; `undefined` where
 * no exit is run. Throws SchedulerError for exits that do not take part.
 */
export function splitDesign(profile: SplitProfile, rule: ExitRule): DesignChoice | undefined {
  const { exits, final, policy } = profile;
  if ('exit' in rule) {
    const { exit, temperature } = exits[placeOfExit(profile, rule.exit)]!;
    // It answers for whatever reaches it: its threshold is unused.
    const alone = { kind: 'confidence', thresholds: 0, temperatures: [temperature] } as const;
    return { exits: [exit], policy: alone, fallback: 'last', truncated: true };
  }
  if (rule.threshold === Infinity || exits.length === 0) return undefined;
  return {
    exits: exits.map(({ exit }) => exit),
    policy: {
      kind: policy.kind,
      thresholds: rule.threshold,
      temperatures: [...exits, final].map(({ temperature }) => temperature),
    },
    fallback: policy.fallback,
  };
}
