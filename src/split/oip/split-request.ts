/** @file A split request: an ordinary ModelInfer whose parameters say where the device stopped and how its tensors are packed. */
import * as z from 'zod/mini';
import { Tensor } from '../../ir/index.js';
import { inEnglish } from '../../platform/index.js';
// Exit policies travel as the exits system writes them.
import type { DesignChoice } from '../../exits/design.js';
import { policyKinds } from '../../exits/policies/index.js';
import type { PolicyKind } from '../../exits/policies/policy.js';
import type { NamedTensor, Parameter, Parameters } from './messages.js';
import { OipError } from './status.js';

/** Names of the parameters of split requests and of what servers say about themselves; docs/split-protocol.md. */
export const PARAMETERS = {
  cut: 'cuttle_cut',
  packing: 'cuttle_packing',
  policy: 'cuttle_policy',
  deadlineMs: 'cuttle_deadline_ms',
  model: 'cuttle_model',
  client: 'cuttle_client',
  computeMs: 'cuttle_compute_ms',
  queueMs: 'cuttle_queue_ms',
  load: 'cuttle_load',
  batch: 'cuttle_batch',
  cuts: 'cuttle_cuts',
  exits: 'cuttle_exits',
} as const;

/** The one packing so far: a frame of docs/split-frames.md, version 1. */
export const FRAME_PACKING = 'cutf1';

/** Input tensor that holds the frame, UINT8 [bytes]. */
export const FRAME_INPUT = 'cuttle_frame';

/** Output tensors besides the logits, INT64 [n] each. */
export const EXIT_OUTPUT = 'exit';
export const LABEL_OUTPUT = 'label';

/** What a request asks for beyond plain inference. All of it is optional. */
export interface SplitParameters {
  /** Where the server goes on; absent for plain inference on whole inputs. */
  readonly cut?: number;
  /** The tensors come as one frame; otherwise as ordinary inputs, one per tensor of the frontier. */
  readonly framed?: boolean;
  /** Exits, policy and thresholds of the whole network. */
  readonly design?: DesignChoice;
  /** Time left when the request is sent, ms. */
  readonly deadlineMs?: number;
  /** `modelDigest` of the model that the device holds; the server refuses to go on with another one. */
  readonly model?: string;
  /** Who asks, for limits per client where no token says it. */
  readonly client?: string;
}

/** What a server says with its answer. */
export interface ServerReport {
  /** Compute for this request's batch, ms. */
  readonly computeMs: number;
  /** Wait before that, ms. */
  readonly queueMs: number;
  /** Slow-down against an idle server, 1 or more. */
  readonly load: number;
  /** Samples that ran together. */
  readonly batch: number;
}

/** Split parameters as a request carries them. */
export function writeSplitParameters(split: SplitParameters): Parameters {
  const parameters = new Map<string, Parameter>();
  if (split.cut !== undefined) parameters.set(PARAMETERS.cut, BigInt(split.cut));
  if (split.framed === true) parameters.set(PARAMETERS.packing, FRAME_PACKING);
  if (split.design !== undefined) parameters.set(PARAMETERS.policy, JSON.stringify(split.design));
  if (split.deadlineMs !== undefined) parameters.set(PARAMETERS.deadlineMs, split.deadlineMs);
  if (split.model !== undefined) parameters.set(PARAMETERS.model, split.model);
  if (split.client !== undefined) parameters.set(PARAMETERS.client, split.client);
  return parameters;
}

const gate = z.strictObject({
  weights: z.strictObject({ top1: z.number(), margin: z.number(), entropy: z.number() }),
  classes: z.array(z.number()),
});
const design = z.strictObject({
  exits: z.array(z.int()).check(z.maxLength(1024)),
  policy: z.strictObject({
    kind: z.enum(policyKinds as [PolicyKind, ...PolicyKind[]]),
    thresholds: z.union([z.number(), z.array(z.number()).check(z.maxLength(1024))]),
    temperatures: z.optional(z.array(z.number())),
    gates: z.optional(z.array(gate)),
  }),
  fallback: z.enum(['most-confident', 'last']),
  truncated: z.optional(z.boolean()),
});

/** The split parameters of a request. Throws OipError 'invalid' for values of the wrong kind. */
export function readSplitParameters(parameters: Parameters): SplitParameters {
  const cut = numberIn(parameters, PARAMETERS.cut);
  if (cut !== undefined && (!Number.isSafeInteger(cut) || cut < 0))
    throw new OipError('invalid', `parameter ${PARAMETERS.cut} is ${cut}, which is no cut`);
  const packing = textIn(parameters, PARAMETERS.packing);
  if (packing !== undefined && packing !== FRAME_PACKING)
    throw new OipError(
      'unsupported',
      `the packing '${packing.slice(0, 64)}' is not known; this server takes ${FRAME_PACKING}`,
    );
  if (packing !== undefined && cut === undefined)
    throw new OipError('invalid', `a request with ${PARAMETERS.packing} needs ${PARAMETERS.cut}`);
  const deadlineMs = numberIn(parameters, PARAMETERS.deadlineMs);
  const policy = textIn(parameters, PARAMETERS.policy);
  return {
    cut,
    framed: packing !== undefined,
    design: policy === undefined ? undefined : readDesign(policy),
    deadlineMs,
    model: textIn(parameters, PARAMETERS.model),
    client: textIn(parameters, PARAMETERS.client),
  };
}

/** What a server reported, as parameters of its reply. */
export function writeServerReport({ computeMs, queueMs, load, batch }: ServerReport): Parameters {
  return new Map<string, Parameter>([
    [PARAMETERS.computeMs, computeMs],
    [PARAMETERS.queueMs, queueMs],
    [PARAMETERS.load, load],
    [PARAMETERS.batch, BigInt(batch)],
  ]);
}

/** What a server reported; undefined where it says nothing (servers of other makes). Throws OipError 'invalid'. */
export function readServerReport(parameters: Parameters): ServerReport | undefined {
  const computeMs = numberIn(parameters, PARAMETERS.computeMs);
  if (computeMs === undefined) return undefined;
  return {
    computeMs,
    queueMs: numberIn(parameters, PARAMETERS.queueMs) ?? 0,
    load: numberIn(parameters, PARAMETERS.load) ?? 1,
    batch: numberIn(parameters, PARAMETERS.batch) ?? 1,
  };
}

/** A frame as the request's one input. */
export function frameInput(frame: Uint8Array): NamedTensor {
  return { name: FRAME_INPUT, tensor: Tensor.fromBytes('uint8', [frame.length], frame) };
}

/** A number among parameters, of either number type. Throws OipError 'invalid' for another kind of value. */
export function numberIn(parameters: Parameters, name: string): number | undefined {
  const value = parameters.get(name);
  if (value === undefined) return undefined;
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number' || Number.isNaN(number))
    throw new OipError('invalid', `parameter ${name} is not a number`);
  return number;
}

function textIn(parameters: Parameters, name: string): string | undefined {
  const value = parameters.get(name);
  if (value !== undefined && typeof value !== 'string') throw new OipError('invalid', `parameter ${name} is not text`);
  return value;
}

function readDesign(text: string): DesignChoice {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new OipError('invalid', `parameter ${PARAMETERS.policy} is not JSON`, { cause });
  }
  const result = design.safeParse(json, inEnglish);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new OipError('invalid', `parameter ${PARAMETERS.policy}: ${path.map(String).join('.')}: ${message}`);
}
