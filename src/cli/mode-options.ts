/** @file Options that choose the inference mode of a progressive model: one exit alone, a deadline, a budget that the images share. */
import { z } from 'zod';
import { batches, type DataSplits } from '../data/index.js';
import type { Preprocessing } from '../data/index.js';
import { planBatch } from '../exits/batch-budget.js';
import { collectMemo } from '../exits/collect.js';
import { backboneCost } from '../exits/costs.js';
import type { DesignChoice } from '../exits/design.js';
import { macsCosts } from '../exits/measure-costs.js';
import type { ClassifierMode } from '../exits/open-classifier.js';
import { isProgressive, readProgressive, type Progressive } from '../exits/progressive.js';
import { scoreTables } from '../exits/scores.js';
import type { Model } from '../ir/index.js';
import type { SessionOptions } from '../runtime/index.js';
import { UsageError } from './verb.js';

export const modeFlags = [
  ['--exit <exit>', 'let one exit answer for everybody: its number or name, or final (mode subnet)'],
  ['--deadline <ms>', 'take the best answer at hand after so many milliseconds (mode anytime)'],
] as const;

export const modeOptions = {
  exit: z.string().min(1).optional(),
  deadline: z.coerce.number('is not a number').positive('must be above 0').optional(),
};

type ModeGiven = z.infer<z.ZodObject<typeof modeOptions>>;

/** The mode that the flags ask for. Throws UsageError where they contradict each other or the model has no such exit. */
export function modeOf({ exit, deadline }: ModeGiven, design: string | undefined, model: Model): ClassifierMode {
  if (exit === undefined && deadline === undefined) return { kind: 'input-dependent' };
  if (exit !== undefined && deadline !== undefined)
    throw new UsageError('--exit and --deadline are two modes of inference', 'Give one of them.');
  const { info } = progressiveOf(model, exit === undefined ? '--deadline' : '--exit');
  if (deadline !== undefined) return { kind: 'anytime', deadlineMs: deadline };
  if (design !== undefined) throw new UsageError('with --exit no design takes part', 'Leave out --design.');
  const names = [...info.exits.map(({ value }) => value), 'final'];
  const number = /^\d+$/.test(exit!) ? Number(exit) : names.indexOf(exit!);
  if (number < 0 || number >= names.length)
    throw new UsageError(
      `the model has no exit '${exit}'`,
      `Exits are 0 to ${info.exits.length}, or: ${names.join(', ')}.`,
    );
  return { kind: 'subnet', exit: number };
}

/**
 * A design that spends `share` of the plain network's MACs on average over images like the calibration part's: thresholds per
 * exit, as MSDNet's batch budgets. `given` names exits and policy where not all exits and confidence are meant.
 * Throws InfeasibleBudgetError where no thresholds meet the budget, UsageError for models without exits.
 */
export async function designForBatch(
  model: Model,
  share: number,
  given: DesignChoice | undefined,
  context: {
    readonly data: Pick<DataSplits, 'calibration'>;
    readonly preprocessing: Preprocessing;
    readonly batch: number;
    readonly session: SessionOptions;
    readonly signal: AbortSignal;
  },
): Promise<DesignChoice> {
  const progressive = progressiveOf(model, '--batch-budget');
  const { info } = progressive;
  const { data, preprocessing, batch, session, signal } = context;
  const memo = await collectMemo(progressive, batches(data.calibration, { batchSize: batch, preprocessing, signal }), {
    ...session,
    signal,
  });
  const temperatures = [...info.exits.map(({ temperature }) => temperature), info.final.temperature];
  const costs = macsCosts(progressive);
  return planBatch(scoreTables(memo, temperatures), costs, {
    exits: given?.exits ?? info.exits.map((_, exit) => exit),
    policy: given?.policy.kind ?? 'confidence',
    thresholds: 'per-exit',
    budget: share * backboneCost(costs),
    fallback: given?.fallback,
  }).choice;
}

function progressiveOf(model: Model, flag: string): Progressive {
  if (!isProgressive(model))
    throw new UsageError(`${flag} is for progressive models; this one has no exits to choose from`);
  return readProgressive(model);
}
