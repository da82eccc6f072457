/** @file Evaluates designs on a threshold grid with bit sets, 32 samples at a time: the inner loop of every search. */
import { checkCosts, cumulativeCosts, type ExitCosts } from './costs.js';
import { InvalidDesignError } from './design.js';
import { predictMemory } from './latency.js';
import { exitPolicies, leaves } from './policies/index.js';
import type { Fallback, PolicyKind } from './policies/policy.js';
import { evidenceColumn, type ScoreTables } from './scores.js';
import type { ThresholdGrid } from './thresholds.js';

/** What a search needs to know of a design. `counts` is valid until the next evaluation. */
export interface QuickEvaluation {
  correct: number;
  accuracy: number;
  average: number;
  worstCase: number;
  /** 0 where the costs state no memory. */
  memoryBytes: number;
  /** How many samples stop at each instantiated exit; only the first `exits` entries count. */
  readonly counts: Uint32Array;
}

/**
 * For each exit and threshold of the grid, the samples that pass; for each exit, the samples it gets right; for each pair,
 * where the later is more confident, or agrees. A design is then a few AND/OR operations per 32 samples. Bit sets are
 * made when first used: at most (N + 1)² + N·T of samples/8 bytes each (58 candidates, 10,000 samples, 64 thresholds: 9 MB).
 */
export class DesignEvaluator {
  readonly scores: ScoreTables;
  readonly costs: ExitCosts;
  readonly grid: ThresholdGrid;
  readonly fallback: Fallback;
  /** Evaluations done so far. */
  evaluations = 0;
  readonly #words: number;
  readonly #lastWord: number;
  readonly #upTo: Float64Array;
  readonly #right: (Int32Array | undefined)[];
  readonly #passes: (Int32Array | undefined)[][];
  readonly #surer: (Int32Array | undefined)[];
  readonly #agrees: (Int32Array | undefined)[];
  readonly #target: ArrayLike<number>;
  readonly #chain: Int32Array[] = [];
  readonly #result: QuickEvaluation;

  /**
   * `target` replaces the labels as what counts as right (agreement with another network's predictions).
   * Throws InvalidDesignError where scores, costs and grid do not fit each other.
   */
  constructor(
    scores: ScoreTables,
    costs: ExitCosts,
    grid: ThresholdGrid,
    fallback: Fallback,
    target: ArrayLike<number> = scores.labels,
  ) {
    checkCosts(costs);
    if (costs.segments.length !== scores.exits || grid.values.length < scores.exits - 1)
      throw new InvalidDesignError(
        `scores of ${scores.exits} exits, costs of ${costs.segments.length} and a grid of ${grid.values.length} do not fit`,
      );
    if (scores.samples === 0) throw new InvalidDesignError('there are no samples to evaluate designs on');
    this.scores = scores;
    this.costs = costs;
    this.grid = grid;
    this.fallback = fallback;
    this.#target = target;
    this.#words = Math.ceil(scores.samples / 32);
    const rest = scores.samples % 32;
    this.#lastWord = rest === 0 ? -1 : (1 << rest) - 1;
    this.#upTo = cumulativeCosts(costs.segments);
    this.#right = Array.from({ length: scores.exits }, () => undefined);
    this.#passes = Array.from({ length: scores.exits }, () => []);
    this.#surer = Array.from({ length: scores.exits ** 2 }, () => undefined);
    this.#agrees = Array.from({ length: scores.exits ** 2 }, () => undefined);
    this.#result = {
      correct: 0,
      accuracy: 0,
      average: 0,
      worstCase: 0,
      memoryBytes: 0,
      counts: new Uint32Array(scores.exits),
    };
  }

  get kind(): PolicyKind {
    return this.grid.kind;
  }

  /**
   * Evaluates the design with these instantiated exits (ascending; the final one, N, included unless truncated).
   * `thresholds[i]` is the index into `grid.values[exit]` for instantiated exit number i; the last needs none; a list of
   * one entry is shared. The result object is reused by the next call.
   */
  evaluate(instantiated: readonly number[], thresholds: readonly number[]): QuickEvaluation {
    this.evaluations++;
    const result = this.#result;
    const { counts } = result;
    const last = instantiated.length - 1;
    const passes: Int32Array[] = [];
    const right: Int32Array[] = [];
    for (let i = 0; i <= last; i++) {
      right.push(this.#rightBits(instantiated[i]!));
      counts[i] = 0;
      if (i < last) passes.push(this.#passBits(instantiated, i, thresholds[thresholds.length === 1 ? 0 : i]!));
    }
    const surer = this.fallback === 'last' || last === 0 ? undefined : this.#surerPairs(instantiated);
    const rightAtEnd = right[last]!;
    const words = this.#words;
    let correct = 0;
    for (let w = 0; w < words; w++) {
      let going = w === words - 1 ? this.#lastWord : -1;
      let good = 0;
      for (let i = 0; i < last && going !== 0; i++) {
        const stop = going & passes[i]![w]!;
        if (stop === 0) continue;
        counts[i]! += popcount(stop);
        good |= stop & right[i]![w]!;
        going &= ~stop;
      }
      if (going !== 0) {
        counts[last]! += popcount(going);
        good |= surer === undefined ? going & rightAtEnd[w]! : rightOfSurest(going, w, surer, right);
      }
      correct += popcount(good);
    }
    result.correct = correct;
    result.accuracy = correct / this.scores.samples;
    this.#addCosts(instantiated, result);
    return result;
  }

  #addCosts(instantiated: readonly number[], result: QuickEvaluation): void {
    const { heads } = this.costs;
    const { samples } = this.scores;
    let left = samples;
    let before = 0;
    result.average = 0;
    result.worstCase = 0;
    for (let i = 0; i < instantiated.length; i++) {
      const exit = instantiated[i]!;
      const stage = this.#upTo[exit]! - before + heads[exit]!;
      before = this.#upTo[exit]!;
      result.average += (left / samples) * stage;
      result.worstCase += stage;
      left -= result.counts[i]!;
    }
    result.memoryBytes = this.costs.memory === undefined ? 0 : predictMemory(this.costs, instantiated)!;
  }

  #rightBits(exit: number): Int32Array {
    return (this.#right[exit] ??= this.#bits((s) => this.scores.prediction[exit]![s] === this.#target[s]));
  }

  /** Samples that pass instantiated exit number `i`. */
  #passBits(instantiated: readonly number[], i: number, threshold: number): Int32Array {
    const exit = instantiated[i]!;
    const limit = this.grid.values[exit]![threshold];
    if (limit === undefined)
      throw new InvalidDesignError(`the grid has no threshold number ${threshold} for exit ${exit}`);
    const policy = exitPolicies[this.kind];
    if (policy.evidence === 'streak') return this.#streakBits(instantiated, i, limit);
    const values = evidenceColumn(this.scores, policy.evidence, exit);
    return (this.#passes[exit]![threshold] ??= this.#bits((s) => leaves(policy, values[s]!, limit)));
  }

  /** Samples on which exits i − patience … i agree: depends on the design, so it is put together anew from pairs. */
  #streakBits(instantiated: readonly number[], i: number, patience: number): Int32Array {
    const bits = (this.#chain[i] ??= new Int32Array(this.#words));
    if (patience <= 0) return bits.fill(-1);
    if (i < patience) return bits.fill(0);
    bits.fill(-1);
    for (let k = 0; k < patience; k++) {
      const agree = this.#agreeBits(instantiated[i - k - 1]!, instantiated[i - k]!);
      for (let w = 0; w < bits.length; w++) bits[w]! &= agree[w]!;
    }
    return bits;
  }

  #agreeBits(earlier: number, later: number): Int32Array {
    const [a, b] = [this.scores.prediction[earlier]!, this.scores.prediction[later]!];
    return (this.#agrees[earlier * this.scores.exits + later] ??= this.#bits((s) => a[s] === b[s]));
  }

  /** Row-major lower triangle: [i][j], j < i, where instantiated exit i is strictly surer than the earlier j. */
  #surerPairs(instantiated: readonly number[]): Int32Array[] {
    const pairs: Int32Array[] = [];
    for (let i = 1; i < instantiated.length; i++)
      for (let j = 0; j < i; j++) {
        const key = instantiated[j]! * this.scores.exits + instantiated[i]!;
        const [a, b] = [this.scores.top1[instantiated[j]!]!, this.scores.top1[instantiated[i]!]!];
        pairs.push((this.#surer[key] ??= this.#bits((s) => b[s]! > a[s]!)));
      }
    return pairs;
  }

  #bits(test: (sample: number) => boolean): Int32Array {
    const bits = new Int32Array(this.#words);
    for (let s = 0; s < this.scores.samples; s++) if (test(s)) bits[s >>> 5]! |= 1 << (s & 31);
    return bits;
  }
}

/**
 * Of the samples `going` in word `w`, those that the most confident instantiated exit gets right. The leader's answer is
 * carried along: exit i takes over where it is surer than every earlier one.
 */
function rightOfSurest(going: number, w: number, surer: readonly Int32Array[], right: readonly Int32Array[]): number {
  let good = right[0]![w]!;
  for (let i = 1, row = 0; i < right.length; row += i++) {
    let leads = going;
    for (let j = 0; j < i && leads !== 0; j++) leads &= surer[row + j]![w]!;
    good = (good & ~leads) | (leads & right[i]![w]!);
  }
  return good & going;
}

/** Number of set bits of a 32-bit word. */
function popcount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
