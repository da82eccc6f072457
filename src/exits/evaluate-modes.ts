/** @file Look-up of the inference modes that the policy alone does not describe: one fixed exit, and a deadline. */
import { answersCalibration, type CalibratedAnswers } from './calibrate.js';
import type { ExitCosts } from './costs.js';
import { InvalidDesignError, type DesignChoice } from './design.js';
import { mostConfident, traceDesign } from './evaluate.js';
import { costsByExit } from './latency.js';
import { budgetedCost } from './modes.js';
import { instantiatedExits } from './rates.js';
import type { ScoreTables } from './scores.js';

/** What a mode does on a set of samples. */
export interface EvaluatedMode extends CalibratedAnswers {
  /** Mean per sample, in the unit of the costs. */
  readonly averageCost: number;
  /** Share of the samples that stop at each exit, by index; the final one last. */
  readonly exitShares: Float64Array;
}

/** Anytime inference cut at one deadline. */
export interface AnytimeStep extends EvaluatedMode {
  /** Exits that have answered. */
  readonly exits: number;
  /** The earliest deadline at which they have: the cost of running through them. */
  readonly deadline: number;
}

/** Mode "subnet": one exit answers for everybody. */
export function evaluateSubnet(scores: ScoreTables, costs: ExitCosts, exit: number): EvaluatedMode {
  if (!Number.isInteger(exit) || exit < 0 || exit >= scores.exits)
    throw new InvalidDesignError(`exit ${exit} is not one of the network's ${scores.exits}`);
  const exitShares = new Float64Array(scores.exits);
  exitShares[exit] = 1;
  const by = new Uint16Array(scores.samples).fill(exit);
  return { ...answersCalibration(scores, by), averageCost: budgetedCost(costs, exit), exitShares };
}

/** The mode of a design as it is: each sample leaves where the policy says ("input-dependent", and within a planned batch). */
export function evaluateAnswers(scores: ScoreTables, costs: ExitCosts, choice: DesignChoice): EvaluatedMode {
  const traced = traceDesign(scores, costs, choice);
  const exitShares = new Float64Array(scores.exits);
  traced.instantiated.forEach((exit, i) => (exitShares[exit] = traced.exitCounts[i]! / scores.samples));
  return {
    ...answersCalibration(scores, traced.answeredBy),
    averageCost: traced.latency.average,
    exitShares,
  };
}

/**
 * Mode "anytime": a design cut by a deadline after each number of its exits, in order. A sample that the policy let go keeps
 * its answer; for the others the fallback answers from the exits that have run. What `AnytimeSession.before` gives.
 */
export function evaluateAnytime(scores: ScoreTables, costs: ExitCosts, choice: DesignChoice): readonly AnytimeStep[] {
  const { exitOf } = traceDesign(scores, costs, choice);
  const instantiated = instantiatedExits(choice, scores.exits - 1);
  const byExit = costsByExit(costs, instantiated);
  const place = new Map(instantiated.map((exit, position) => [exit, position]));
  return instantiated.map((last, position) => {
    const ran = instantiated.slice(0, position + 1);
    const final = position === instantiated.length - 1;
    const by = new Uint16Array(scores.samples);
    const exitShares = new Float64Array(scores.exits);
    let cost = 0;
    for (let s = 0; s < scores.samples; s++) {
      const left = place.get(exitOf[s]!)!;
      const gone = left < position || (left === position && !final);
      const stop = Math.min(left, position);
      by[s] = gone ? exitOf[s]! : choice.fallback === 'last' ? last : mostConfident(scores, ran, s);
      exitShares[instantiated[stop]!]! += 1 / scores.samples;
      cost += byExit[stop]!;
    }
    return {
      ...answersCalibration(scores, by),
      averageCost: cost / scores.samples,
      exitShares,
      exits: position + 1,
      deadline: byExit[position]!,
    };
  });
}
