/** @file The lab's protocol: what agents, owners and the server say to each other, as schemas (docs/lab-protocol.md). */
import * as z from 'zod/mini';
import { inEnglish } from '../../platform/index.js';
import { LabError } from './errors.js';

/** Version of the protocol; the path of every request begins with `/lab/v1`. */
export const LAB_VERSION = 1;

/** What an agent can be asked to do. */
export const jobKinds = ['latency', 'profile', 'exit-costs'] as const;
export type JobKind = (typeof jobKinds)[number];

/** Files that a model may be. */
export const modelFormats = ['onnx', 'tflite'] as const;
export type ModelFormat = (typeof modelFormats)[number];

/** What an agent may compute on: the runtime's own back ends, and those of agents written elsewhere. */
const backendName = z.string().check(z.regex(/^[a-z][a-z0-9-]{0,31}$/));
const count = z.int().check(z.positive());
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const line = (most: number) => z.string().check(z.maxLength(most));

/** Name of a device: what `--device` says. */
const deviceName = z.string().check(z.regex(/^[\p{L}\p{N}][\p{L}\p{N} ._+()-]{0,63}$/u));
/** Made up by whoever asks, so that the same request sent twice is one request. */
const uniqueId = z.string().check(z.regex(/^[A-Za-z0-9_-]{8,64}$/));

/** State of a device that changes from minute to minute; what the host does not tell is absent. */
export const deviceStateSchema = z.object({
  /** 0 to 1. */
  batteryLevel: z.optional(z.number()),
  charging: z.optional(z.boolean()),
  /** The hottest thermal zone, °C. */
  celsius: z.optional(z.number()),
  /** Compute Pressure API: nominal, fair, serious or critical. */
  pressure: z.optional(line(32)),
  /** Linux: the scaling governor, and what the first processor runs at now, MHz. */
  governor: z.optional(line(32)),
  megahertz: z.optional(z.number()),
  /** Processes ready to run, mean of the last minute. */
  load: z.optional(z.number()),
});
export type DeviceState = z.infer<typeof deviceStateSchema>;

/** What an agent says of its device when it joins. */
export const deviceDescriptionSchema = z.object({
  /** `node`, `browser`, `android` or another kind of agent. */
  agent: line(32),
  /** System on a chip or model of the machine. */
  soc: z.optional(line(128)),
  cpu: line(256),
  arch: line(64),
  physicalCores: count,
  logicalCores: count,
  cpuFeatures: z.array(line(32)).check(z.maxLength(64)),
  memoryBytes: z.optional(count),
  os: line(128),
  /** Name and version, such as `Chromium 126`. */
  browser: z.optional(line(128)),
  /** `node 20.20.2`, or the browser's user agent. */
  platform: line(512),
  gpu: z.optional(line(256)),
  /** What it can compute on, and with how many threads at most. */
  backends: z
    .array(
      z.object({
        name: backendName,
        maxThreads: count,
        /** What it runs; ONNX where omitted. */
        formats: z.optional(z.array(z.enum(modelFormats)).check(z.minLength(1))),
      }),
    )
    .check(z.minLength(1), z.maxLength(16)),
  kinds: z.array(z.enum(jobKinds)),
  state: z.optional(deviceStateSchema),
  /** In sentences: what it lacks and why. */
  remarks: z.array(line(512)).check(z.maxLength(16)),
});
export type LabDeviceDescription = z.infer<typeof deviceDescriptionSchema>;

/** What is to be measured. */
export const jobSpecSchema = z.object({
  kind: z.enum(jobKinds),
  /** SHA-256 of the model's file. */
  model: sha256,
  /** What that file is; ONNX where omitted. */
  format: z.optional(z.enum(modelFormats)),
  /** Of the model, for people. */
  name: line(200),
  backend: backendName,
  threads: z.optional(count),
  /** Size of the inputs' first axis, where it is open. */
  batch: z.optional(count),
  /** Sizes of named dims. */
  dims: z.record(line(128), count),
  runs: count,
  warmup: z.int().check(z.nonnegative()),
  /** Goes on for at least this long. */
  minSeconds: z.optional(z.number().check(z.nonnegative())),
});
export type JobSpec = z.infer<typeof jobSpecSchema>;

/** Why a job could not be done. */
export const jobErrorSchema = z.object({
  kind: z.enum(['usage', 'invalid', 'unsupported', 'failed']),
  code: line(64),
  message: line(2000),
  hint: z.optional(line(2000)),
});
export type JobError = z.infer<typeof jobErrorSchema>;

/** What came of a job. */
export const outcomeSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('done'),
    /** By the kind of the job: see results.ts. */
    value: z.unknown(),
    before: z.optional(deviceStateSchema),
    after: z.optional(deviceStateSchema),
  }),
  z.object({ kind: z.literal('failed'), error: jobErrorSchema }),
  /** The agent could not go on, another attempt may succeed. */
  z.object({ kind: z.literal('given-up'), why: line(500) }),
]);
export type Outcome = z.infer<typeof outcomeSchema>;

export const joinRequestSchema = z.object({
  name: deviceName,
  /** What an earlier join answered: the same device comes back. */
  known: z.optional(z.object({ id: uniqueId, secret: line(128) })),
  description: deviceDescriptionSchema,
});
export type JoinRequest = z.infer<typeof joinRequestSchema>;

export const joinAnswerSchema = z.object({
  id: z.string(),
  /** Bearer token of this device's further requests. */
  secret: z.string(),
  /** The asked name, or one made different from other devices'. */
  name: z.string(),
  /** A lease ends this long after its last heartbeat. */
  leaseMs: z.number(),
  lab: z.string(),
});
export type JoinAnswer = z.infer<typeof joinAnswerSchema>;

export const leaseRequestSchema = z.object({
  lease: uniqueId,
  /** How long to wait for a job; the server waits at most 25 s. */
  waitMs: z.number().check(z.nonnegative()),
  state: z.optional(deviceStateSchema),
});
export const leaseAnswerSchema = z.object({
  job: z.nullable(z.object({ id: z.string(), spec: jobSpecSchema, attempt: count })),
});
export type LeaseAnswer = z.infer<typeof leaseAnswerSchema>;

/** `go`: go on. `stop`: the lease is no longer the agent's own, because the job was cancelled or given to another one. */
export const beatAnswerSchema = z.object({ say: z.enum(['go', 'stop']) });
export type BeatAnswer = z.infer<typeof beatAnswerSchema>;

export const resultAnswerSchema = z.object({ accepted: z.boolean() });
export type ResultAnswer = z.infer<typeof resultAnswerSchema>;

export const jobStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;
export type JobState = (typeof jobStates)[number];

export const submitRequestSchema = z.object({
  /** Names of devices; a job for each. Empty: any one device that can. */
  devices: z.array(deviceName).check(z.maxLength(1000)),
  specs: z.array(jobSpecSchema).check(z.minLength(1), z.maxLength(1000)),
  /** Measures anew what was measured already. */
  again: z.optional(z.boolean()),
});
export type SubmitRequest = z.infer<typeof submitRequestSchema>;

/** A job as the server shows it. Times are milliseconds since 1970. */
export const jobViewSchema = z.object({
  id: z.string(),
  /** Whose it is; null for any one device. */
  device: z.nullable(z.string()),
  spec: jobSpecSchema,
  state: z.enum(jobStates),
  attempts: z.int(),
  submittedAt: z.number(),
  /** Name of the device that runs or ran it. */
  runBy: z.optional(z.string()),
  settledAt: z.optional(z.number()),
  error: z.optional(jobErrorSchema),
});
export type JobView = z.infer<typeof jobViewSchema>;

/** A job that is done, with what was measured. */
export const resultViewSchema = z.extend(jobViewSchema, {
  value: z.unknown(),
  before: z.optional(deviceStateSchema),
  after: z.optional(deviceStateSchema),
});
export type ResultView = z.infer<typeof resultViewSchema>;

export const deviceViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  description: deviceDescriptionSchema,
  state: z.optional(deviceStateSchema),
  joinedAt: z.number(),
  seenAt: z.number(),
  /** Heard of within the last lease. */
  live: z.boolean(),
  /** The job that it runs. */
  job: z.optional(z.string()),
});
export type DeviceView = z.infer<typeof deviceViewSchema>;

export const jobListSchema = z.object({ jobs: z.array(jobViewSchema) });
export const submitAnswerSchema = z.object({
  jobs: z.array(jobViewSchema),
  /** How many of them are new; the others were there already. */
  added: z.int(),
});
export type SubmitAnswer = z.infer<typeof submitAnswerSchema>;
export const deviceListSchema = z.object({ devices: z.array(deviceViewSchema) });
export const resultListSchema = z.object({ results: z.array(resultViewSchema) });

/** Checks a message of the protocol. Throws LabError 'invalid' that names the place. */
export function parseMessage<Schema extends z.ZodMiniType>(
  schema: Schema,
  json: unknown,
  what: string,
): z.infer<Schema> {
  const parsed = schema.safeParse(json, inEnglish);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new LabError('invalid', 'lab/message', `${what} is broken at '${issue.path.join('.')}': ${issue.message}`, {
    hint: 'The protocol stands in docs/lab-protocol.md.',
    cause: parsed.error,
  });
}
