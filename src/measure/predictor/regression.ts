/** @file Small learners of a layer's time: a law of what it does, ridge regression on logarithms, boosted trees on what these leave. */
import * as z from 'zod/mini';

/** Two questions about features, the second by the answer to the first, and what to add in each of the four cases. */
const treeSchema = z.object({
  feature: z.int(),
  at: z.number(),
  below: z.object({ feature: z.int(), at: z.number(), below: z.number(), above: z.number() }),
  above: z.object({ feature: z.int(), at: z.number(), below: z.number(), above: z.number() }),
});

/** JSON schema of a fitted learner: a linear function of standardised inputs, then corrections. */
export const learnerSchema = z.object({
  /** Mean and deviation of each input. */
  centre: z.array(z.number()),
  scale: z.array(z.number()),
  weights: z.array(z.number()),
  intercept: z.number(),
  trees: z.array(treeSchema),
});

export type Learner = z.infer<typeof learnerSchema>;
type Tree = Learner['trees'][number];
type Stump = Tree['below'];

export interface LearnerOptions {
  /** Strength of the ridge. */
  readonly ridge: number;
  /** Rounds of boosting after it; 0 for none. */
  readonly rounds: number;
  /** Use the linear part at all, or only the mean. */
  readonly linear: boolean;
}

/** Share of each tree's correction that is applied. */
const RATE = 0.15;
/** Samples that must lie on either side of a split. */
const LEAF = 3;

const answer = ({ feature, at, below, above }: Stump, x: readonly number[]): number =>
  x[feature]! <= at ? below : above;

/** What a learner says of one input. */
export function apply({ centre, scale, weights, intercept, trees }: Learner, x: readonly number[]): number {
  let y = intercept;
  for (let i = 0; i < weights.length; i++) y += (weights[i]! * (x[i]! - centre[i]!)) / scale[i]!;
  for (const tree of trees) y += answer(x[tree.feature]! <= tree.at ? tree.below : tree.above, x);
  return y;
}

/** Fits least squares with a ridge, then trees on the residuals. Needs at least one sample; inputs that do not vary count for nothing. */
export function fitLearner(
  xs: readonly (readonly number[])[],
  ys: readonly number[],
  options: LearnerOptions,
): Learner {
  const n = xs.length;
  const width = xs[0]!.length;
  const columns = Array.from({ length: width }, (_, i) => Float64Array.from(xs, (x) => x[i]!));
  const centre = columns.map((column) => column.reduce((a, b) => a + b, 0) / n);
  const deviation = columns.map((column, i) =>
    Math.sqrt(column.reduce((sum, x) => sum + (x - centre[i]!) ** 2, 0) / n),
  );
  const scale = deviation.map((value) => (value > 1e-9 ? value : 1));
  const intercept = ys.reduce((a, b) => a + b, 0) / n;
  const weights = options.linear
    ? solveRidge(xs, ys, { centre, scale, intercept, ridge: options.ridge })
    : new Array<number>(width).fill(0);
  const learner = { centre, scale, weights, intercept, trees: [] as Tree[] };
  const residuals = Float64Array.from(ys, (y, i) => y - apply(learner, xs[i]!));
  const orders = columns.map((column) => Uint32Array.from(column.keys()).sort((a, b) => column[a]! - column[b]!));
  const side = new Uint8Array(n);
  for (let round = 0; round < options.rounds; round++) {
    const root = bestStump(columns, orders, residuals, side, 0);
    if (root === undefined) break;
    for (let i = 0; i < n; i++) side[i] = columns[root.feature]![i]! <= root.at ? 1 : 2;
    const branch = (at: number, value: number): Stump =>
      bestStump(columns, orders, residuals, side, at) ?? {
        feature: root.feature,
        at: root.at,
        below: value,
        above: value,
      };
    const tree = { ...root, below: branch(1, root.below), above: branch(2, root.above) };
    learner.trees.push(tree);
    for (let i = 0; i < n; i++) {
      const { feature, at, below, above } = side[i] === 1 ? tree.below : tree.above;
      residuals[i]! -= columns[feature]![i]! <= at ? below : above;
    }
    side.fill(0);
  }
  return learner;
}

/** What a layer does, in the units of a law: each takes so long per piece. */
export const lawTerms = [
  'flops',
  'paddedMacs',
  'inputElements',
  'outputElements',
  'weightBytes',
  'coldBytes',
  'farBytes',
  'boundaryElements',
] as const;

export type LawTerm = (typeof lawTerms)[number];
export type Worked = Readonly<Record<LawTerm, number>>;

/** JSON schema of a law of time: ms per piece of each term, and per layer. */
export const lawSchema = z.object({ perLayer: z.number(), per: z.record(z.enum(lawTerms), z.number()) });

export type Law = z.infer<typeof lawSchema>;

export const lawTime = ({ perLayer, per }: Law, work: Worked): number =>
  lawTerms.reduce((sum, term) => sum + per[term] * work[term], perLayer);

const SWEEPS = 400;

/**
 * The law with non-negative coefficients whose relative errors have the least squares, by coordinate descent: the problem is
 * convex. Times must be positive; needs at least one.
 */
export function fitLaw(work: readonly Worked[], times: readonly number[]): Law {
  const columns = [
    Float64Array.from(times, (ms) => 1 / ms),
    ...lawTerms.map((term) => Float64Array.from(times, (ms, i) => work[i]![term] / ms)),
  ];
  const squares = columns.map((column) => column.reduce((sum, value) => sum + value ** 2, 0));
  const weights = columns.map(() => 0);
  const left = new Float64Array(times.length).fill(1);
  for (let sweep = 0; sweep < SWEEPS; sweep++)
    columns.forEach((column, c) => {
      if (squares[c] === 0) return;
      let product = 0;
      for (let i = 0; i < left.length; i++) product += column[i]! * left[i]!;
      const step = Math.max(-weights[c]!, product / squares[c]!);
      weights[c]! += step;
      for (let i = 0; i < left.length; i++) left[i]! -= step * column[i]!;
    });
  const [perLayer, ...terms] = weights;
  const per = Object.fromEntries(lawTerms.map((term, i) => [term, terms[i]!])) as Law['per'];
  return { perLayer: perLayer!, per };
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

/** The split of the samples on one side that lowers their squared residuals most, its corrections already damped; `undefined` where none helps. */
function bestStump(
  columns: readonly Float64Array[],
  orders: readonly Uint32Array[],
  residuals: Float64Array,
  side: Uint8Array,
  on: number,
): Stump | undefined {
  let [n, total] = [0, 0];
  for (let i = 0; i < residuals.length; i++)
    if (side[i] === on) {
      n++;
      total += residuals[i]!;
    }
  let best: Stump | undefined;
  let gain = 1e-9;
  columns.forEach((column, feature) => {
    const order = orders[feature]!;
    let [left, sum, here] = [0, 0, NaN];
    for (const i of order) {
      if (side[i] !== on) continue;
      const next = column[i]!;
      if (next - here >= 1e-12 && left >= LEAF && n - left >= LEAF) {
        const explained = sum ** 2 / left + (total - sum) ** 2 / (n - left) - total ** 2 / n;
        if (explained > gain) {
          gain = explained;
          const at = (here + next) / 2;
          best = { feature, at, below: (RATE * sum) / left, above: (RATE * (total - sum)) / (n - left) };
        }
      }
      here = next;
      left++;
      sum += residuals[i]!;
    }
  });
  return best;
}
