/** @file Evaluates any design by look-up in the score tables: accuracy, who stops where, latency. No network is run. */
import { checkCosts, type ExitCosts } from './costs.js';
import { checkDesign, InvalidDesignError, type DesignChoice } from './design.js';
import { predictLatency, predictMemory, type PredictedLatency } from './latency.js';
import { sameGate } from './policies/gate.js';
import { exitPolicies, leaves, temperatureAt, thresholdAt } from './policies/index.js';
import { instantiatedExits, reachRates } from './rates.js';
import { evidenceColumn, nextStreak, type ScoreTables } from './scores.js';

/** What a design does on a set of samples. */
export interface EvaluatedDesign {
  readonly accuracy: number;
  readonly correct: number;
  readonly samples: number;
  /** Exit indices in order, the final one (N) included unless truncated. */
  readonly instantiated: readonly number[];
  /** How many samples stop at each instantiated exit. */
  readonly exitCounts: Uint32Array;
  /** Share of the samples that reach each instantiated exit. */
  readonly reach: Float64Array;
  /** In the unit of the costs. */
  readonly latency: PredictedLatency;
  /** Where the costs state memory. */
  readonly memoryBytes: number | undefined;
}

/** The same, with what happened to every sample. */
export interface TracedDesign extends EvaluatedDesign {
  /** Per sample, the exit index where execution stopped. */
  readonly exitOf: Uint16Array;
  /** Per sample, the exit index whose prediction was returned; differs from `exitOf` only through the fallback. */
  readonly answeredBy: Uint16Array;
  readonly predictions: Uint16Array;
}

/**
 * Evaluates a design sample by sample, exit by exit. The scores must have been made with the design's temperatures.
 * Throws InvalidDesignError where the design does not fit scores or costs. For searches over thousands of designs there
 * is `DesignEvaluator` (evaluate-bits.ts), which gives the same numbers.
 */
export function traceDesign(scores: ScoreTables, costs: ExitCosts, choice: DesignChoice): TracedDesign {
  const final = scores.exits - 1;
  checkFit(scores, costs, choice);
  const { samples, labels } = scores;
  const instantiated = instantiatedExits(choice, final);
  const policy = exitPolicies[choice.policy.kind];
  const exitOf = new Uint16Array(samples);
  const answeredBy = new Uint16Array(samples);
  const predictions = new Uint16Array(samples);
  const exitCounts = new Uint32Array(instantiated.length);
  const streaks = new Int32Array(samples);
  const going = Uint32Array.from({ length: samples }, (_, s) => s);
  let arriving = samples;
  for (let position = 0; position < instantiated.length - 1; position++) {
    const exit = instantiated[position]!;
    const prediction = scores.prediction[exit]!;
    const previous = position === 0 ? undefined : scores.prediction[instantiated[position - 1]!]!;
    const values = policy.evidence === 'streak' ? undefined : evidenceColumn(scores, policy.evidence, exit);
    const threshold = thresholdAt(choice.policy, position);
    let going2 = 0;
    for (let i = 0; i < arriving; i++) {
      const s = going[i]!;
      streaks[s] = nextStreak(streaks[s]!, previous?.[s], prediction[s]!);
      if (leaves(policy, values === undefined ? streaks[s] : values[s]!, threshold)) {
        exitOf[s] = answeredBy[s] = exit;
        predictions[s] = prediction[s]!;
        exitCounts[position]!++;
      } else going[going2++] = s;
    }
    arriving = going2;
  }
  const last = instantiated.at(-1)!;
  exitCounts[instantiated.length - 1] = arriving;
  for (let i = 0; i < arriving; i++) {
    const s = going[i]!;
    exitOf[s] = last;
    answeredBy[s] = choice.fallback === 'last' ? last : mostConfident(scores, instantiated, s);
    predictions[s] = scores.prediction[answeredBy[s]]![s]!;
  }
  let correct = 0;
  for (let s = 0; s < samples; s++) if (predictions[s] === labels[s]) correct++;
  const reach = reachRates(exitCounts, samples);
  return {
    accuracy: correct / samples,
    correct,
    samples,
    instantiated,
    exitCounts,
    reach,
    latency: predictLatency(costs, instantiated, reach),
    memoryBytes: predictMemory(costs, instantiated),
    exitOf,
    answeredBy,
    predictions,
  };
}

/** `traceDesign` without the per-sample arrays. */
export function evaluateDesign(scores: ScoreTables, costs: ExitCosts, choice: DesignChoice): EvaluatedDesign {
  const traced = traceDesign(scores, costs, choice);
  const { accuracy, correct, samples, instantiated, exitCounts, reach, latency, memoryBytes } = traced;
  return { accuracy, correct, samples, instantiated, exitCounts, reach, latency, memoryBytes };
}

/** The instantiated exit with the largest top-1 probability for a sample; the earliest among equals. */
export function mostConfident(scores: ScoreTables, instantiated: readonly number[], sample: number): number {
  let best = instantiated[0]!;
  for (const exit of instantiated) if (scores.top1[exit]![sample]! > scores.top1[best]![sample]!) best = exit;
  return best;
}

/** Throws InvalidDesignError or InvalidCostsError unless scores, costs and design speak of the same network. */
function checkFit(scores: ScoreTables, costs: ExitCosts, choice: DesignChoice): void {
  checkCosts(costs);
  if (costs.segments.length !== scores.exits)
    throw new InvalidDesignError(
      `the costs speak of ${costs.segments.length} exits and the scores of ${scores.exits}, the final one counted`,
    );
  if (scores.samples === 0) throw new InvalidDesignError('there are no samples to evaluate the design on');
  checkDesign(choice, scores.exits - 1);
  instantiatedExits(choice, scores.exits - 1).forEach((exit, position) => {
    const wanted = temperatureAt(choice.policy, position);
    if (wanted !== scores.temperatures[exit])
      throw new InvalidDesignError(
        `the design has temperature ${wanted} at exit ${exit}, the scores were made with ${scores.temperatures[exit]}`,
        { hint: 'Make the score tables with the temperatures of the design.' },
      );
  });
  if (exitPolicies[choice.policy.kind].evidence === 'gate')
    choice.exits.forEach((exit, position) => {
      if (!sameGate(choice.policy.gates![position]!, scores.gates?.[exit]))
        throw new InvalidDesignError(
          `the design's gate at exit ${exit} is not the one that the scores were made with`,
          {
            hint: 'Add the gates of the design to the score tables (withGates).',
          },
        );
    });
}
