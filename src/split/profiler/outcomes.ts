/** @file What a split network answers: exits before the cut on full precision, those behind it on what was unpacked. By look-up. */
import { exitPolicies, leaves } from '../../exits/policies/index.js';
import type { Fallback, PolicyKind } from '../../exits/policies/policy.js';
// Score tables and their columns are those that designs are evaluated with.
import { evidenceColumn, nextStreak, type ScoreTables } from '../../exits/scores.js';
import type { SplitOutcome } from './split-profile.js';

/** One configuration of a split network. */
export interface OutcomeQuestion {
  /** Scores at full precision: exits in order, the final one last. */
  readonly full: ScoreTables;
  /** Scores of the same samples behind the cut; the exits before it are not read. */
  readonly behind: ScoreTables;
  /** How many of the exits lie before the cut: these the device runs. */
  readonly before: number;
  readonly policy: PolicyKind;
  readonly threshold: number;
  readonly fallback: Fallback;
}

/**
 * Accuracy, and where the samples stop. The server answers for what it gets: the fallback counts the exits behind the cut
 * alone, and patience counts anew there, as the running halves do. Where everything lies before the cut, the fallback
 * counts all. Throws InvalidDesignError for policies that need gates.
 */
export function splitOutcome(question: OutcomeQuestion): SplitOutcome {
  const { full, behind, before } = question;
  const { samples, exits, labels } = full;
  const stops = new Array<number>(exits).fill(0);
  let right = 0;
  const going: number[] = [];
  const device = walk(question, full, 0, before);
  for (let s = 0; s < samples; s++) {
    if (device.exit[s]! < 0) {
      going.push(s);
      continue;
    }
    stops[device.exit[s]!]!++;
    if (device.prediction[s] === labels[s]) right++;
  }
  const server = walk(question, behind, before, exits);
  for (const s of going) {
    stops[server.exit[s]!]!++;
    if (server.prediction[s] === labels[s]) right++;
  }
  return { accuracy: right / samples, stops: stops.map((count) => count / samples) };
}

/** Per sample, where it leaves among the exits from `first` to before `end`, and its prediction; −1 where it does not. */
function walk(
  { policy: kind, threshold, fallback }: OutcomeQuestion,
  scores: ScoreTables,
  first: number,
  end: number,
): { readonly exit: Int32Array; readonly prediction: Int32Array } {
  const { samples, exits } = scores;
  const policy = exitPolicies[kind];
  const exit = new Int32Array(samples).fill(-1);
  const prediction = new Int32Array(samples);
  const streaks = new Int32Array(samples);
  for (let e = first; e < end; e++) {
    const predicted = scores.prediction[e]!;
    const last = e === exits - 1;
    const values = policy.evidence === 'streak' || last ? undefined : evidenceColumn(scores, policy.evidence, e);
    for (let s = 0; s < samples; s++) {
      if (exit[s]! >= 0) continue;
      const before = e === first ? undefined : scores.prediction[e - 1]![s];
      streaks[s] = nextStreak(streaks[s]!, before, predicted[s]!);
      if (!last && !leaves(policy, values === undefined ? streaks[s]! : values[s]!, threshold)) continue;
      exit[s] = e;
      prediction[s] = last && fallback === 'most-confident' ? surest(scores, first, s) : predicted[s]!;
    }
  }
  return { exit, prediction };
}

/** The prediction of the most confident exit from `first` on, the earliest among equals. */
function surest({ top1, prediction, exits }: ScoreTables, first: number, sample: number): number {
  let best = first;
  for (let e = first + 1; e < exits; e++) if (top1[e]![sample]! > top1[best]![sample]!) best = e;
  return prediction[best]![sample]!;
}
