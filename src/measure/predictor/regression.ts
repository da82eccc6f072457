/** @file Small learners of a layer's time: a law of operations and bytes, ridge regression on logarithms, boosted stumps on what these leave. */
import * as z from 'zod/mini';

/** One decision on one feature. */
const stumpSchema = z.object({ feature: z.int(), at: z.number(), below: z.number(), above: z.number() });

/** JSON schema of a fitted learner: a linear function of standardised inputs, then corrections. */
export const learnerSchema = z.object({
  /** Mean and deviation of each input. */
  centre: z.array(z.number()),
  scale: z.array(z.number()),
  weights: z.array(z.number()),
  intercept: z.number(),
  stumps: z.array(stumpSchema),
});

export type Learner = z.infer<typeof learnerSchema>;

export interface LearnerOptions {
  /** Strength of the ridge. */
  readonly ridge: number;
  /** Rounds of boosting after it; 0 for none. */
  readonly rounds: number;
  /** Use the linear part at all, or only the mean. */
  readonly linear: boolean;
}

/** Share of each stump's correction that is applied. */
const RATE = 0.1;
/** Samples that must lie on either side of a stump. */
const LEAF = 3;

/** What a learner says of one input. */
export function apply({ centre, scale, weights, intercept, stumps }: Learner, x: readonly number[]): number {
  let y = intercept;
  for (let i = 0; i < weights.length; i++) y += (weights[i]! * (x[i]! - centre[i]!)) / scale[i]!;
  for (const { feature, at, below, above } of stumps) y += x[feature]! <= at ? below : above;
  return y;
}

/** Fits least squares with a ridge, then stumps on the residuals. Needs at least one sample; inputs that do not vary count for nothing. */
export function fitLearner(
  xs: readonly (readonly number[])[],
  ys: readonly number[],
  options: LearnerOptions,
): Learner {
  const n = xs.length;
  const width = xs[0]!.length;
  const columns = Array.from({ length: width }, (_, i) => xs.map((x) => x[i]!));
  const centre = columns.map((column) => column.reduce((a, b) => a + b, 0) / n);
  const deviation = columns.map((column, i) =>
    Math.sqrt(column.reduce((sum, x) => sum + (x - centre[i]!) ** 2, 0) / n),
  );
  const scale = deviation.map((value) => (value > 1e-9 ? value : 1));
  const intercept = ys.reduce((a, b) => a + b, 0) / n;
  const weights = options.linear
    ? solveRidge(xs, ys, { centre, scale, intercept, ridge: options.ridge })
    : new Array<number>(width).fill(0);
  const learner = { centre, scale, weights, intercept, stumps: [] as Learner['stumps'] };
  const residuals = ys.map((y, i) => y - apply(learner, xs[i]!));
  const orders = columns.map((column) => column.map((_, i) => i).sort((a, b) => column[a]! - column[b]!));
  for (let round = 0; round < options.rounds; round++) {
    const stump = bestStump(columns, orders, residuals);
    if (stump === undefined) break;
    learner.stumps.push(stump);
    for (let i = 0; i < n; i++) residuals[i]! -= columns[stump.feature]![i]! <= stump.at ? stump.below : stump.above;
  }
  return learner;
}

/** JSON schema of a law of time: so much per operation, per byte and per layer, ms. */
export const lawSchema = z.object({ perFlop: z.number(), perByte: z.number(), perLayer: z.number() });

export type Law = z.infer<typeof lawSchema>;

/** Work of a layer as the law takes it. */
export interface Worked {
  readonly flops: number;
  readonly bytes: number;
}

export const lawTime = ({ perFlop, perByte, perLayer }: Law, { flops, bytes }: Worked): number =>
  perFlop * flops + perByte * bytes + perLayer;

/**
 * The law with non-negative coefficients whose relative errors have the least squares: of all choices of coefficients that are not
 * zero, the best one that stays non-negative. Times must be positive; needs at least one.
 */
export function fitLaw(work: readonly Worked[], times: readonly number[]): Law {
  const rows = work.map(({ flops, bytes }, i) => [flops / times[i]!, bytes / times[i]!, 1 / times[i]!]);
  const sizes = [0, 1, 2].map((c) => Math.hypot(...rows.map((row) => row[c]!)) || 1);
  let best: { readonly law: Law; readonly error: number } | undefined;
  for (let choice = 1; choice < 8; choice++) {
    const used = [0, 1, 2].filter((c) => (choice & (1 << c)) !== 0);
    const weights = solveRidge(
      rows.map((row) => used.map((c) => row[c]! / sizes[c]!)),
      rows.map(() => 1),
      { centre: used.map(() => 0), scale: used.map(() => 1), intercept: 0, ridge: 1e-9 },
    );
    if (weights.some((weight) => weight < 0)) continue;
    const [perFlop, perByte, perLayer] = [0, 1, 2].map((c) =>
      used.includes(c) ? weights[used.indexOf(c)]! / sizes[c]! : 0,
    );
    const law = { perFlop: perFlop!, perByte: perByte!, perLayer: perLayer! };
    const error = work.reduce((sum, item, i) => sum + (lawTime(law, item) / times[i]! - 1) ** 2, 0);
    if (best === undefined || error < best.error) best = { law, error };
  }
  return best!.law;
}

function solveRidge(
  xs: readonly (readonly number[])[],
  ys: readonly number[],
  given: {
    readonly centre: readonly number[];
    readonly scale: readonly number[];
    readonly intercept: number;
    readonly ridge: number;
  },
): number[] {
  const { centre, scale, intercept, ridge } = given;
  const width = centre.length;
  const matrix = Array.from({ length: width }, (_, i) => {
    const row = new Float64Array(width + 1);
    row[i] = ridge * xs.length;
    return row;
  });
  xs.forEach((x, s) => {
    const standard = x.map((value, i) => (value - centre[i]!) / scale[i]!);
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) matrix[i]![j]! += standard[i]! * standard[j]!;
      matrix[i]![width]! += standard[i]! * (ys[s]! - intercept);
    }
  });
  // The ridge makes the matrix positive definite: elimination needs no pivoting.
  for (let i = 0; i < width; i++)
    for (let r = i + 1; r < width; r++) {
      const factor = matrix[r]![i]! / matrix[i]![i]!;
      for (let c = i; c <= width; c++) matrix[r]![c]! -= factor * matrix[i]![c]!;
    }
  const weights = new Array<number>(width).fill(0);
  for (let i = width - 1; i >= 0; i--) {
    let value = matrix[i]![width]!;
    for (let c = i + 1; c < width; c++) value -= matrix[i]![c]! * weights[c]!;
    weights[i] = value / matrix[i]![i]!;
  }
  return weights;
}

/** The split that lowers the squared residuals most, its corrections already damped; `undefined` where none helps. */
function bestStump(
  columns: readonly (readonly number[])[],
  orders: readonly (readonly number[])[],
  residuals: readonly number[],
): Learner['stumps'][number] | undefined {
  const n = residuals.length;
  const total = residuals.reduce((a, b) => a + b, 0);
  let best: Learner['stumps'][number] | undefined;
  let gain = 1e-9;
  columns.forEach((column, feature) => {
    const order = orders[feature]!;
    let sum = 0;
    for (let i = 0; i < n - 1; i++) {
      sum += residuals[order[i]!]!;
      const [here, next] = [column[order[i]!]!, column[order[i + 1]!]!];
      const left = i + 1;
      if (next - here < 1e-12 || left < LEAF || n - left < LEAF) continue;
      const explained = sum ** 2 / left + (total - sum) ** 2 / (n - left) - total ** 2 / n;
      if (explained <= gain) continue;
      gain = explained;
      best = { feature, at: (here + next) / 2, below: (RATE * sum) / left, above: (RATE * (total - sum)) / (n - left) };
    }
  });
  return best;
}
