/** @file The main job: a trained classifier, images and latency budgets in; early-exit designs that meet them out. */
import { batches, type DataSplits, type Preprocessing } from '../../data/index.js';
import { writeClasses, writePreprocessing } from '../../data/index.js';
import { CuttleError, type Model } from '../../ir/index.js';
import { decodeModel, encodeModel } from '../../onnx/index.js';
import type { DeviceDescription, Profile, SessionOptions } from '../../runtime/index.js';
import { bakeDesign } from '../bake.js';
import { calibrateExits, type ExitCalibration } from '../calibrate.js';
import { filterCandidates, type CandidateFilter } from '../candidates-filter.js';
import { findCandidates } from '../candidates.js';
import { attachFittingExits } from '../fit-heads.js';
import { collectMemo } from '../collect.js';
import { costsFromFile, type ExitCostsFile } from '../costs-file.js';
import { backboneCost, type ExitCosts } from '../costs.js';
import type { HeadConfig } from '../heads/index.js';
import { costsFromProfile, macsCosts, measureExitCosts } from '../measure-costs.js';
import { decodeMemo, encodeMemo, type Memo } from '../memo.js';
import { fitGates, withGates } from '../policies/fit-gates.js';
import { readProgressive, withTemperatures, type Progressive } from '../progressive.js';
import { scoreTables, type ScoreTables } from '../scores.js';
import { InfeasibleBudgetError } from '../search/problem.js';
import { trainExits, type ExitTrainEvent, type TrainExitsOptions } from '../train-exits.js';
import { measureFound, type MeasuredOnTest } from './measure-found.js';
import { searchDesigns, type BudgetOutcome, type DesignFronts, type DesignSearch } from './search-designs.js';
import { checkpointIn, remembered, type Workspace } from './workspace.js';

/** How exits are made and trained. */
export interface ExitRecipe extends Pick<
  TrainExitsOptions,
  'backbone' | 'distillation' | 'epochs' | 'batchSize' | 'learningRate' | 'weightDecay' | 'augment' | 'maxHeadsPerStep'
> {
  readonly head: HeadConfig;
  readonly candidates?: CandidateFilter;
}

export interface AdaptOptions extends Pick<
  DesignSearch,
  'budgets' | 'constraint' | 'policies' | 'fallback' | 'effort' | 'maxMemory'
> {
  readonly backbone: Model;
  /** Hash of the backbone's file and of the data's identity: decides what of an earlier run can be used again. */
  readonly identity: string;
  readonly data: DataSplits;
  readonly preprocessing: Preprocessing;
  readonly recipe: ExitRecipe;
  /** Of the progressive model on another device: search for that one; nothing is measured here then. */
  readonly profile?: Profile | ExitCostsFile;
  /** Measures the progressive model on another device, instead of `profile`. */
  readonly measureElsewhere?: (progressive: Progressive) => Promise<ExitCostsFile>;
  readonly session?: SessionOptions;
  readonly seed: number;
  readonly workspace: Workspace;
  /** Test images that are timed one by one per design; 100 where omitted. */
  readonly latencySamples?: number;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: AdaptEvent) => void;
}

export type AdaptEvent =
  | {
      readonly kind: 'candidates';
      readonly count: number;
      readonly of: number;
      /** What hangs on each; a width of 0 for heads without convolutions. */
      readonly head: { readonly kind: string; readonly width: number };
    }
  | { readonly kind: 'training'; readonly event: ExitTrainEvent }
  | { readonly kind: 'reused'; readonly what: 'exits' | 'memo' }
  | { readonly kind: 'memo'; readonly done: number; readonly total: number }
  | { readonly kind: 'profiling'; readonly where: 'here' | 'elsewhere' }
  | { readonly kind: 'searching' }
  | {
      readonly kind: 'found';
      readonly policy: string;
      /** Latency that the budget allows, what the design is predicted to take, and the plain network, ms. */
      readonly limitMs: number;
      readonly latencyMs: number;
      readonly backboneMs: number;
      readonly accuracy: number;
      readonly exits: readonly number[];
    }
  | { readonly kind: 'measuring'; readonly done: number; readonly total: number };

/** A design that meets its budget. */
export interface AdaptedDesign extends Extract<BudgetOutcome, { found: object }> {
  readonly baked: Model;
  /** Really run on the test images; latency only where the design was searched for this device. */
  readonly test: MeasuredOnTest;
}

export interface Adapted {
  readonly progressive: Progressive;
  readonly calibration: readonly ExitCalibration[];
  readonly memo: Memo;
  readonly scores: ScoreTables;
  readonly costs: ExitCosts;
  /** Per layer; absent where another device has no profiler. */
  readonly profile: Profile | undefined;
  /** What the latencies are of. */
  readonly machine: DeviceDescription;
  /** On the test images. `latencyMs`: median on this device, or what the other device's profile says. */
  readonly backbone: { readonly accuracy: number; readonly latencyMs: number };
  readonly designs: readonly AdaptedDesign[];
  readonly unreachable: readonly Extract<BudgetOutcome, { found: undefined }>[];
  readonly fronts: DesignFronts;
  /** Whether latencies were measured here or come from a profile alone. */
  readonly device: 'here' | 'profile';
}

/** No candidate is left to carry an exit. Exit code 2. */
export class NoExitsError extends CuttleError {
  constructor() {
    super('usage', 'exits/no-exits', 'there is no candidate left to carry an exit', {
      hint: 'Loosen the candidate filter.',
    });
  }
}

/** Names of the workspace's blobs. */
const TRAINED = 'exits.onnx';
const MEMO = 'calibration.memo';
const CHECKPOINT = 'exits.checkpoint';
const MEMO_BATCH = 100;

/**
 * Trains exits at every candidate, fills the memo, profiles, searches one design per budget, bakes each and runs it on the
 * test images. What the workspace holds from an earlier run with the same inputs is not computed again.
 * Throws InfeasibleBudgetError where no budget can be met, and what the steps throw.
 */
export async function adapt(options: AdaptOptions): Promise<Adapted> {
  const { data, preprocessing, session = {}, onEvent, signal } = options;
  const trained = await trainedExits(options);
  const memo = await calibrationMemo(options, trained);
  const calibration = calibrateExits(memo);
  const temperatures = calibration.map(({ temperature }) => temperature);
  const progressive = withTemperatures(trained, temperatures);
  const plain = scoreTables(memo, temperatures);
  const scores = options.policies.includes('learned') ? withGates(plain, fitGates(plain)) : plain;

  const { costs, profile, machine, here } = await costsOf(progressive, options);

  onEvent?.({ kind: 'searching' });
  const backboneMs = backboneCost(costs);
  const onFound: DesignSearch['onFound'] = (policy, { predicted, choice }, limitMs) =>
    onEvent?.({
      ...{ kind: 'found', policy, limitMs, backboneMs, exits: choice.exits, accuracy: predicted.accuracy },
      latencyMs: options.constraint === 'average' ? predicted.latency.average : predicted.latency.worstCase,
    });
  const fronts = searchDesigns({ ...options, scores, costs, macs: macsCosts(progressive).segments, onFound });
  const found = fronts.outcomes.filter((outcome) => outcome.found !== undefined);
  const unreachable = fronts.outcomes.filter((outcome) => outcome.found === undefined);
  if (found.length === 0) throw new InfeasibleBudgetError(unreachable[0]!.limitMs, unreachable[0]!.lowestMs, 'ms');

  const designs: AdaptedDesign[] = [];
  for (const outcome of found) {
    onEvent?.({ kind: 'measuring', done: designs.length, total: found.length });
    const test = await measureFound(progressive, outcome.found.choice, {
      test: data.test,
      preprocessing,
      session,
      latencySamples: !here ? 0 : (options.latencySamples ?? 100),
      signal,
    });
    designs.push({ ...outcome, baked: bakeDesign(progressive, outcome.found.choice), test });
  }
  return {
    progressive,
    calibration,
    memo,
    scores,
    costs,
    profile,
    machine,
    backbone: { accuracy: designs[0]!.test.backboneAccuracy, latencyMs: fronts.backbone.latency },
    designs,
    unreachable,
    fronts,
    device: here ? 'here' : 'profile',
  };
}

/** What the parts cost: as a profile says, as another device measures, or as this one does. */
async function costsOf(
  progressive: Progressive,
  { profile, measureElsewhere, session = {}, onEvent, signal }: AdaptOptions,
): Promise<Pick<Adapted, 'costs' | 'profile' | 'machine'> & { readonly here: boolean }> {
  if (profile !== undefined && profile.kind === 'cuttle.profile')
    return { costs: costsFromProfile(progressive, profile), profile, machine: profile.device, here: false };
  if (profile !== undefined || measureElsewhere !== undefined) {
    if (profile === undefined) onEvent?.({ kind: 'profiling', where: 'elsewhere' });
    const file = profile ?? (await measureElsewhere!(progressive));
    return { costs: costsFromFile(progressive, file), profile: file.profile, machine: file.device, here: false };
  }
  onEvent?.({ kind: 'profiling', where: 'here' });
  const measured = await measureExitCosts(progressive, { ...session, signal });
  return { costs: measured.costs, profile: measured.profile, machine: measured.device, here: true };
}

/** The over-provisioned network with trained exits, temperatures 1. */
async function trainedExits(options: AdaptOptions): Promise<Progressive> {
  const { backbone, recipe, data, preprocessing, seed, workspace, session, signal, onEvent } = options;
  const key = JSON.stringify({ identity: options.identity, recipe, seed, preprocessing, images: data.train.size });
  const { bytes, reused } = await remembered(workspace, TRAINED, key, async () => {
    const candidates = findCandidates(writeClasses(writePreprocessing(backbone, preprocessing), data.train.classes));
    const chosen = filterCandidates(candidates.all, recipe.candidates);
    if (chosen.length === 0) throw new NoExitsError();
    const attached = attachFittingExits(candidates, chosen, recipe.head, seed);
    const { kind, width } = attached.info.exits[0]!.head;
    onEvent?.({ kind: 'candidates', count: chosen.length, of: candidates.all.length, head: { kind, width } });
    const { progressive } = await trainExits(attached, {
      ...recipe,
      data: data.train,
      preprocessing,
      seed,
      // Training may use every core, whatever the device will use for inference.
      session: { backend: session?.backend },
      checkpoints: checkpointIn(workspace, CHECKPOINT),
      signal,
      onEvent: (event) => onEvent?.({ kind: 'training', event }),
    });
    return encodeModel(progressive.model);
  });
  await workspace.remove(CHECKPOINT);
  if (reused) onEvent?.({ kind: 'reused', what: 'exits' });
  return readProgressive(decodeModel(bytes));
}

async function calibrationMemo(options: AdaptOptions, progressive: Progressive): Promise<Memo> {
  const { data, preprocessing, seed, workspace, session, signal, onEvent, recipe } = options;
  const { calibration } = data;
  const key = JSON.stringify({
    identity: options.identity,
    recipe,
    seed,
    preprocessing,
    images: calibration.size,
    train: data.train.size,
  });
  const { bytes, reused } = await remembered(workspace, MEMO, key, async () => {
    onEvent?.({ kind: 'memo', done: 0, total: calibration.size });
    return encodeMemo(
      await collectMemo(progressive, batches(calibration, { batchSize: MEMO_BATCH, preprocessing }), {
        backend: session?.backend,
        signal,
        onProgress: (done) => onEvent?.({ kind: 'memo', done, total: calibration.size }),
      }),
    );
  });
  if (reused) onEvent?.({ kind: 'reused', what: 'memo' });
  return decodeMemo(bytes);
}
