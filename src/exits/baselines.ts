/** @file Published designs to compare with: SDN-6, BranchyNet-2, MSDNet's budgeted mode, Apparate's agreement rule, and the oracle. */
import { cumulativeCosts, type ExitCosts } from './costs.js';
import { InvalidDesignError, type DesignChoice } from './design.js';
import { evaluateDesign, type EvaluatedDesign } from './evaluate.js';
import { DesignEvaluator } from './evaluate-bits.js';
import { costsByExit, truncateDesign } from './latency.js';
import type { Fallback, PolicyKind } from './policies/policy.js';
import { instantiatedExits } from './rates.js';
import { exitAccuracy, type ScoreTables } from './scores.js';
import { keeps } from './search/search.js';
import type { LatencyConstraint } from './search/problem.js';
import { proportionThresholds, sdnThresholds, thresholdGrid } from './thresholds.js';

/** One setting of a baseline, evaluated on the calibration set. */
export interface SweptDesign {
  readonly choice: DesignChoice;
  readonly predicted: EvaluatedDesign;
}

/** SDN's six exits, as shares of the backbone's FLOPs (its code and SPINN §2.3). */
export const sdnPositions = [0.15, 0.3, 0.45, 0.6, 0.75, 0.9] as const;
/** BranchyNet's two exits as HAPI compares with it. */
export const branchyNetPositions = [1 / 3, 2 / 3] as const;

export interface SweepSettings {
  readonly scores: ScoreTables;
  readonly costs: ExitCosts;
  /** MACs of the backbone segments: where FLOP-equidistant exits go. Those of `costs` where absent. */
  readonly macs?: Float64Array;
  /** Candidates that may carry an exit; all where absent. */
  readonly candidates?: readonly number[];
  /**
   * Also offers each setting cut short at every exit: HAPI's run-time rule under a deadline, without which no baseline
   * fits a worst-case budget below the whole network.
   */
  readonly truncation?: 'allowed' | 'never';
}

/**
 * The candidates nearest to the given shares of the backbone's cost, each taken once; ascending. Throws
 * InvalidDesignError where there are fewer candidates than shares.
 */
export function exitsAtShares(
  segments: Float64Array,
  shares: readonly number[],
  candidates: readonly number[] = Array.from({ length: segments.length - 1 }, (_, i) => i),
): readonly number[] {
  if (candidates.length < shares.length)
    throw new InvalidDesignError(`${shares.length} exits cannot be placed on ${candidates.length} candidates`);
  const upTo = cumulativeCosts(segments);
  const total = upTo.at(-1)!;
  const free = new Set(candidates);
  const chosen = shares.map((share) => {
    let best: number | undefined;
    for (const exit of free)
      if (best === undefined || Math.abs(upTo[exit]! - share * total) < Math.abs(upTo[best]! - share * total))
        best = exit;
    free.delete(best!);
    return best!;
  });
  return chosen.sort((a, b) => a - b);
}

/** The same exits with each of the given threshold settings, evaluated. */
export function sweepThresholds(
  settings: SweepSettings,
  exits: readonly number[],
  kind: PolicyKind,
  fallback: Fallback,
  thresholds: readonly (number | readonly number[])[],
): readonly SweptDesign[] {
  const { scores, costs, truncation } = settings;
  const final = scores.exits - 1;
  const temperatures = instantiatedExits({ exits }, final).map((exit) => scores.temperatures[exit]!);
  const swept: SweptDesign[] = [];
  for (const threshold of thresholds) {
    const whole: DesignChoice = { exits, policy: { kind, thresholds: threshold, temperatures }, fallback };
    const lengths = truncation === 'allowed' ? exits.map((_, i) => i + 1) : [];
    for (const choice of [whole, ...lengths.map((length) => truncateDesign(whole, length, final))])
      swept.push({ choice, predicted: evaluateDesign(scores, costs, choice) });
  }
  return swept;
}

/** SDN with six FLOP-equidistant exits, top-1 confidence; its own threshold list and a fine sweep. Falls back to the most confident. */
export function sdnBaseline(settings: SweepSettings): readonly SweptDesign[] {
  const exits = exitsAtShares(settings.macs ?? settings.costs.segments, sdnPositions, settings.candidates);
  return sweepThresholds(settings, exits, 'confidence', 'most-confident', [
    ...sdnThresholds,
    ...fineThresholds(settings.scores, 'confidence'),
  ]);
}

/** BranchyNet with exits at 33 % and 66 % of the FLOPs, entropy thresholds swept. Falls back to the final exit. */
export function branchyNetBaseline(settings: SweepSettings): readonly SweptDesign[] {
  const exits = exitsAtShares(settings.macs ?? settings.costs.segments, branchyNetPositions, settings.candidates);
  return sweepThresholds(settings, exits, 'entropy', 'last', fineThresholds(settings.scores, 'entropy'));
}

/** MSDNet's budgeted batch mode on given exits: per-exit confidence thresholds for exit shares ∝ q^k, q from 1/20 to 39/20. */
export function msdnetBaseline(settings: SweepSettings, exits: readonly number[]): readonly SweptDesign[] {
  const instantiated = instantiatedExits({ exits }, settings.scores.exits - 1);
  const thresholds = Array.from({ length: 39 }, (_, i) =>
    proportionThresholds(settings.scores, 'confidence', instantiated, (i + 1) / 20),
  );
  return sweepThresholds(settings, exits, 'confidence', 'last', thresholds);
}

/**
 * Apparate's rule on given exits: the fastest per-exit confidence thresholds whose answers agree with the *final exit's*
 * for at least `agreement` of the samples (0.985 in its code). Greedy: from thresholds that let nobody leave, always the
 * one step looser that saves most latency and still agrees enough.
 */
export function agreementBaseline(
  settings: SweepSettings,
  exits: readonly number[],
  agreement = 0.985,
  size = 40,
): SweptDesign {
  const { scores, costs } = settings;
  const final = scores.exits - 1;
  const grid = thresholdGrid(scores, 'confidence', { size, shared: false });
  const closed = {
    ...grid,
    values: grid.values.map((values) => Float32Array.from([...values.filter((value) => value < 2), 2])),
  };
  const evaluator = new DesignEvaluator(scores, costs, closed, 'last', scores.prediction[final]);
  const instantiated = instantiatedExits({ exits }, final);
  const levels = exits.map((exit) => closed.values[exit]!.length - 1);
  let { average } = evaluator.evaluate(instantiated, levels);
  for (;;) {
    let step: { place: number; level: number; average: number } | undefined;
    for (let place = 0; place < exits.length; place++)
      for (let level = levels[place]! - 1; level >= 0; level--) {
        const tried = evaluator.evaluate(
          instantiated,
          levels.map((old, i) => (i === place ? level : old)),
        );
        if (tried.accuracy < agreement) break;
        if (tried.average < (step?.average ?? average)) step = { place, level, average: tried.average };
        // One step that changes anything is enough: larger ones would spend the whole allowance on one exit.
        if (tried.average < average) break;
      }
    if (step === undefined) break;
    levels[step.place] = step.level;
    average = step.average;
  }
  const thresholds = exits.map((exit, i) => closed.values[exit]![levels[i]!]!);
  return sweepThresholds({ scores, costs }, exits, 'confidence', 'last', [thresholds])[0]!;
}

/** The most accurate of the swept settings that meets the constraint (the faster of equals); undefined where none does. */
export function bestWithin<T extends SweptDesign>(
  swept: readonly T[],
  constraint: LatencyConstraint | undefined,
): T | undefined {
  let best: T | undefined;
  for (const design of swept) {
    if (!keeps(design.predicted, constraint)) continue;
    const gain = design.predicted.accuracy - (best?.predicted.accuracy ?? -1);
    if (gain > 0 || (gain === 0 && design.predicted.latency.average < best!.predicted.latency.average)) best = design;
  }
  return best;
}

/** What a policy that knew the labels would reach with given exits. */
export interface Oracle {
  /** Share of samples that at least one instantiated exit gets right. */
  readonly accuracy: number;
  /** `accuracy` minus the last instantiated exit's own: how much is lost by "overthinking". */
  readonly overthinkingGap: number;
  /** Average latency if each sample left at its first right exit, and ran to the end where none is right. */
  readonly averageLatency: number;
}

/** The oracle over the design's instantiated exits (ascending, the final one included where it exists). */
export function oracle(scores: ScoreTables, costs: ExitCosts, instantiated: readonly number[]): Oracle {
  const byExit = costsByExit(costs, instantiated);
  const last = instantiated.length - 1;
  let right = 0;
  let latency = 0;
  for (let s = 0; s < scores.samples; s++) {
    const first = instantiated.findIndex((exit) => scores.prediction[exit]![s] === scores.labels[s]);
    if (first >= 0) right++;
    latency += byExit[first < 0 ? last : first]!;
  }
  const accuracy = right / scores.samples;
  return {
    accuracy,
    overthinkingGap: accuracy - exitAccuracy(scores, instantiated[last]!),
    averageLatency: latency / scores.samples,
  };
}

/** Thresholds of a fine shared sweep: as many as the search's own grid and half as many again. */
function fineThresholds(scores: ScoreTables, kind: PolicyKind): number[] {
  const grid = thresholdGrid(scores, kind, { size: 96 });
  return grid.values.length === 0 ? [] : Array.from(grid.values[0]!);
}
