/** @file The exit-costs artefact (JSON, versioned): what the parts of a progressive model cost on one device, for searches elsewhere. */
import * as z from 'zod/mini';
import { CuttleError } from '../ir/index.js';
import { inEnglish } from '../platform/index.js';
import { deviceSchema, profileSchema } from '../runtime/index.js';
import { InvalidCostsError, type ExitCosts } from './costs.js';
import { exitMemory, exitParts, type MeasuredCosts } from './measure-costs.js';
import type { Progressive } from './progressive.js';

export const EXIT_COSTS_KIND = 'cuttle.exit-costs';
export const EXIT_COSTS_VERSION = 1;

const ms = z.number().check(z.nonnegative());

/** JSON schema of measured exit costs. Fields may be added within a version; none is renamed. */
export const exitCostsFileSchema = z.object({
  kind: z.literal(EXIT_COSTS_KIND),
  version: z.literal(EXIT_COSTS_VERSION),
  device: deviceSchema,
  /** How the parts were told apart: by the runtime's profiler, or each as a model of its own. */
  method: z.enum(['profiler', 'parts']),
  /** Values that the exits hang on, in order: the network that this is about. */
  exits: z.array(z.string()),
  /** Backbone work between neighbouring exits, and after the last: one more than `exits`. */
  segmentsMs: z.array(ms),
  /** The heads' own kernels, without `exitMs`. */
  headsMs: z.array(ms),
  /** What each exit adds besides its head where it is executed: its decision, and handing on what crosses. */
  exitMs: z.array(ms),
  /** The backbone alone, as a caller waits for it. */
  backboneMs: ms,
  /** Of the progressive model with all exits, where the method was the profiler. */
  profile: z.optional(profileSchema),
});

export type ExitCostsFile = z.infer<typeof exitCostsFileSchema>;

/** JSON that is no exit costs of a version that we read. Exit code 3. */
export class ExitCostsFormatError extends CuttleError {
  constructor(message: string, cause?: unknown) {
    super('invalid', 'exits/costs-format', message, {
      hint: 'Measure them on the device: cuttle adapt … --device NAME --lab FOLDER.',
      cause,
    });
  }
}

/** Whether a parsed JSON value claims to be exit costs. */
export function isExitCosts(json: unknown): boolean {
  return typeof json === 'object' && json !== null && 'kind' in json && json.kind === EXIT_COSTS_KIND;
}

/** Checks a parsed JSON value as exit costs. Throws ExitCostsFormatError. */
export function parseExitCosts(json: unknown): ExitCostsFile {
  const version = typeof json === 'object' && json !== null && 'version' in json ? json.version : undefined;
  if (typeof version === 'number' && version > EXIT_COSTS_VERSION)
    throw new ExitCostsFormatError(
      `the exit costs have version ${version}; this Cuttle reads up to ${EXIT_COSTS_VERSION}`,
    );
  const parsed = exitCostsFileSchema.safeParse(json, inEnglish);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new ExitCostsFormatError(
    `the exit costs are broken at '${issue.path.join('.')}': ${issue.message}`,
    parsed.error,
  );
}

/** Measured costs as an artefact. */
export function exitCostsFile(
  { info }: Progressive,
  { costs, profile, method, device, backboneMs, exitMs }: MeasuredCosts,
): ExitCostsFile {
  return {
    kind: EXIT_COSTS_KIND,
    version: EXIT_COSTS_VERSION,
    device,
    method,
    exits: info.exits.map(({ value }) => value),
    segmentsMs: [...costs.segments],
    headsMs: [...costs.heads].slice(0, -1).map((head, exit) => Math.max(0, head - exitMs[exit]!)),
    exitMs: [...exitMs],
    backboneMs,
    ...(profile !== undefined && { profile }),
  };
}

/**
 * The costs as the search takes them, memory included. Throws InvalidCostsError where they are of another network.
 */
export function costsFromFile(progressive: Progressive, file: ExitCostsFile): ExitCosts {
  const { info } = progressive;
  const hint = 'Measure the progressive model itself, the file with all exits, on that device.';
  if (file.exits.join('\n') !== info.exits.map(({ value }) => value).join('\n'))
    throw new InvalidCostsError('the exit costs are of a network with other exits', hint);
  const early = info.exits.length;
  if (file.segmentsMs.length !== early + 1 || file.headsMs.length !== early || file.exitMs.length !== early)
    throw new InvalidCostsError(`the exit costs do not have ${early + 1} segments and ${early} heads`, hint);
  return {
    segments: Float64Array.from(file.segmentsMs),
    heads: Float64Array.from([...file.headsMs.map((head, exit) => head + file.exitMs[exit]!), 0]),
    unit: 'ms',
    memory: exitMemory(progressive, exitParts(progressive)),
  };
}
