/** @file A second opinion: designs evaluated sample by sample straight from the logits, sharing no code with src/exits. */
import type { ExitCosts } from '../../src/exits/costs.js';
import type { DesignChoice } from '../../src/exits/design.js';
import type { Memo } from '../../src/exits/memo.js';

export interface NaiveOutcome {
  readonly exitOf: number[];
  readonly answeredBy: number[];
  readonly predictions: number[];
  readonly accuracy: number;
  readonly averageLatency: number;
  readonly worstCase: number;
}

export function naiveOutcome(memo: Memo, costs: ExitCosts, choice: DesignChoice): NaiveOutcome {
  const final = memo.logits.length - 1;
  const exits = choice.truncated === true ? [...choice.exits] : [...choice.exits, final];
  const { kind, thresholds, temperatures } = choice.policy;
  const outcome = { exitOf: [] as number[], answeredBy: [] as number[], predictions: [] as number[] };
  let latency = 0;
  for (let sample = 0; sample < memo.labels.length; sample++) {
    const seen: { exit: number; prediction: number; top1: number }[] = [];
    let spent = 0;
    let next = 0;
    for (let position = 0; position < exits.length; position++) {
      const exit = exits[position]!;
      for (; next <= exit; next++) spent += costs.segments[next]!;
      spent += costs.heads[exit]!;
      const p = softmax(memo, exit, sample, temperatures?.[position] ?? 1);
      const prediction = p.indexOf(Math.max(...p));
      const sorted = [...p].sort((a, b) => b - a);
      seen.push({ exit, prediction, top1: Math.fround(sorted[0]!) });
      if (position === exits.length - 1) break;
      const limit = Math.fround(typeof thresholds === 'number' ? thresholds : thresholds[position]!);
      let stop: boolean;
      if (kind === 'confidence') stop = Math.fround(sorted[0]!) >= limit;
      else if (kind === 'margin') stop = Math.fround(sorted[0]! - sorted[1]!) >= limit;
      else if (kind === 'entropy')
        stop = Math.fround(-p.reduce((h, x) => h + (x > 0 ? x * Math.log(x) : 0), 0)) < limit;
      else if (kind === 'learned') {
        const { weights, classes } = choice.policy.gates![position]!;
        const entropy = Math.fround(-p.reduce((h, x) => h + (x > 0 ? x * Math.log(x) : 0), 0));
        const margin = Math.fround(sorted[0]! - sorted[1]!);
        const sum = weights.top1 * Math.fround(sorted[0]!) + weights.margin * margin + weights.entropy * entropy;
        stop = Math.fround(1 / (1 + Math.exp(-sum - classes[prediction]!))) >= limit;
      } else {
        let agreements = 0;
        for (let i = seen.length - 1; i > 0 && seen[i]!.prediction === seen[i - 1]!.prediction; i--) agreements++;
        stop = agreements >= limit;
      }
      if (stop) break;
    }
    let answer = seen.at(-1)!;
    if (seen.length === exits.length && choice.fallback === 'most-confident')
      for (const candidate of [...seen].reverse()) if (candidate.top1 >= answer.top1) answer = candidate;
    outcome.exitOf.push(seen.at(-1)!.exit);
    outcome.answeredBy.push(answer.exit);
    outcome.predictions.push(answer.prediction);
    latency += spent;
  }
  const right = outcome.predictions.filter((prediction, sample) => prediction === memo.labels[sample]).length;
  let worstCase = 0;
  for (let segment = 0; segment <= exits.at(-1)!; segment++) worstCase += costs.segments[segment]!;
  for (const exit of exits) worstCase += costs.heads[exit]!;
  const samples = memo.labels.length;
  return { ...outcome, accuracy: right / samples, averageLatency: latency / samples, worstCase };
}

function softmax(memo: Memo, exit: number, sample: number, temperature: number): number[] {
  const row = Array.from(memo.logits[exit]!.subarray(sample * memo.classes, (sample + 1) * memo.classes));
  const max = Math.max(...row);
  const powers = row.map((logit) => Math.exp((logit - max) / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
