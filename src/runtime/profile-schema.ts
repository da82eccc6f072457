/** @file The profile artefact: what each layer costs on one device, as versioned JSON. */
import * as z from 'zod/mini';
import { CuttleError } from '../ir/index.js';
import { inEnglish } from '../platform/index.js';
import { deviceSchema } from './device.js';
import { latencySchema } from './latency.js';

export const PROFILE_VERSION = 1;

const layerSchema = z.object({
  /** The node that the time is about. */
  name: z.string(),
  op: z.string(),
  /** Kernel time, ms per run, starting it and conversions that it needs included. */
  ms: z.number().check(z.nonnegative()),
  /** Part of the sum over all layers, 0 to 1. */
  share: z.number().check(z.gte(0), z.lte(1)),
  /** Every node fused into these kernels, `name` included; absent where the layer is that node alone. */
  members: z.optional(z.array(z.string())),
  /** ONNX Runtime's execution provider that ran it; several where its kernels were shared out. */
  provider: z.optional(z.string()),
  /** It ran elsewhere than on the provider that the session was opened for. */
  fallback: z.optional(z.boolean()),
});

/** JSON schema of a profile. Fields may be added within a version; none is renamed. */
export const profileSchema = z.object({
  kind: z.literal('cuttle.profile'),
  version: z.literal(PROFILE_VERSION),
  device: deviceSchema,
  /** The sizes that the inputs had. */
  inputs: z.record(z.string(), z.array(z.int().check(z.nonnegative()))),
  optimization: z.enum(['disabled', 'basic', 'extended', 'all']),
  /** End to end, measured without the profiler, in the same process. */
  latencyMs: latencySchema,
  /** Sum of all kernel times, `otherMs` included. */
  kernelMs: z.number().check(z.nonnegative()),
  /** A whole run while the profiler watched; what it exceeds `kernelMs` by is the profiler itself. */
  profiledMs: z.number().check(z.nonnegative()),
  /** latencyMs.p50 / kernelMs: multiply a layer's ms by it to get its part of the latency that a caller sees. */
  scale: z.number().check(z.positive()),
  /** In the order in which they ran. */
  layers: z.array(layerSchema),
  /** Kernel time that belongs to no node of the graph. */
  otherMs: z.number().check(z.nonnegative()),
  /** Mean of the faster half of the runs: taken like the kernel times, which add up to it. */
  quietMs: z.optional(z.number().check(z.nonnegative())),
  /** What the profiler added to the time of every kernel, ms, measured on operators without work and already taken off. */
  profilerMs: z.optional(z.number().check(z.nonnegative())),
  /** How many kernels one run starts. */
  kernels: z.optional(z.int()),
  /** A call with the same inputs and outputs and nothing in between, ms: the binding's part of every latency. */
  callMs: z.optional(z.number().check(z.nonnegative())),
  /** Process memory after the runs and the most it ever was, bytes; absent where the host does not tell. */
  memory: z.optional(z.object({ residentBytes: z.int(), peakResidentBytes: z.int() })),
});

export type Profile = z.infer<typeof profileSchema>;
export type ProfileLayer = z.infer<typeof layerSchema>;

/** JSON that is no profile of a version that we read. Exit code 3. */
export class ProfileFormatError extends CuttleError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super('invalid', 'runtime/profile-format', message, {
      hint: 'Make a profile with: cuttle profile MODEL --json > profile.json',
      ...options,
    });
  }
}

/** Checks a parsed JSON value (or JSON text) as a profile, of this device or another. Throws ProfileFormatError. */
export function parseProfile(json: unknown): Profile {
  let value = json;
  if (typeof json === 'string')
    try {
      value = JSON.parse(json) as unknown;
    } catch (cause) {
      throw new ProfileFormatError('the profile is not JSON', { cause });
    }
  const version = typeof value === 'object' && value !== null && 'version' in value ? value.version : undefined;
  if (typeof version === 'number' && version > PROFILE_VERSION)
    throw new ProfileFormatError(`the profile has version ${version}; this Cuttle reads up to ${PROFILE_VERSION}`);
  const parsed = profileSchema.safeParse(value, inEnglish);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new ProfileFormatError(`the profile is broken at '${issue.path.join('.')}': ${issue.message}`, {
      cause: parsed.error,
    });
  }
  return parsed.data;
}

/**
 * Time of each group of nodes, ms. A fused layer counts for the group of its own node; layers of nodes in no group count
 * nowhere; a node in two groups counts in both. Times are scaled so that all layers together give the measured latency
 * (`scaled: false`: bare kernel times).
 */
export function segmentTimes(
  profile: Profile,
  groups: readonly ReadonlySet<string>[],
  options: { readonly scaled?: boolean } = {},
): Float64Array {
  const scale = (options.scaled ?? true) ? profile.scale : 1;
  const times = new Float64Array(groups.length);
  for (const layer of profile.layers)
    groups.forEach((group, index) => {
      if (group.has(layer.name)) times[index]! += layer.ms * scale;
    });
  return times;
}
