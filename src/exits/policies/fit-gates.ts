/** @file Trains the learned policy's gates on a memo's scores: penalised logistic regression by Newton's method. */
import { InvalidDesignError } from '../design-error.js';
import { gateColumns, type ScoreTables } from '../scores.js';
import type { Gate } from './gate.js';

export interface FitGatesOptions {
  /** Weight of the squared parameters in the loss (a sum over samples). */
  readonly ridge?: number;
  /** The same for each class's deviation from the common bias: rare classes stay near it. */
  readonly classRidge?: number;
}

const RIDGE = 0.01;
const CLASS_RIDGE = 1;
const MAX_STEPS = 100;
const TOLERANCE = 1e-9;

/** Features besides the class: top-1, margin, entropy, and 1 for the common bias. */
const DENSE = 4;

/**
 * One gate per candidate exit. The target of a sample at an exit is 1 where leaving costs nothing (the exit is right, or the
 * final exit is wrong too) and 0 where only going on gives the right answer; a gate estimates its probability. The problem is
 * convex and the solver deterministic: the same scores give the same gates. Throws InvalidDesignError where there are no samples.
 */
export function fitGates(scores: ScoreTables, options: FitGatesOptions = {}): readonly Gate[] {
  if (scores.samples === 0) throw new InvalidDesignError('there are no samples to train gates on');
  const final = scores.exits - 1;
  const finalRight = (s: number): boolean => scores.prediction[final]![s] === scores.labels[s];
  return Array.from({ length: final }, (_, exit) => {
    const target = Uint8Array.from({ length: scores.samples }, (__, s) =>
      scores.prediction[exit]![s] === scores.labels[s] || !finalRight(s) ? 1 : 0,
    );
    return fitGate(scores, exit, target, options);
  });
}

/** The tables with trained gates and what they say of every sample: what the learned policy needs. */
export function withGates(scores: ScoreTables, gates: readonly Gate[]): ScoreTables {
  return { ...scores, ...gateColumns(scores, gates) };
}

/** Parameters of one gate while it is fitted: DENSE common ones, then one deviation per class. */
interface Step {
  readonly loss: number;
  readonly dense: Float64Array;
  readonly classes: Float64Array;
}

function fitGate(
  scores: ScoreTables,
  exit: number,
  target: Uint8Array,
  { ridge = RIDGE, classRidge = CLASS_RIDGE }: FitGatesOptions,
): Gate {
  const problem = new GateProblem(scores, exit, target, ridge, classRidge);
  let dense = new Float64Array(DENSE);
  let classes = new Float64Array(scores.classes);
  let loss = problem.loss(dense, classes);
  for (let step = 0; step < MAX_STEPS; step++) {
    const direction = problem.newton(dense, classes);
    const next = lineSearch(problem, { loss, dense, classes }, direction);
    const gain = loss - next.loss;
    ({ dense, classes, loss } = next as {
      dense: Float64Array<ArrayBuffer>;
      classes: Float64Array<ArrayBuffer>;
      loss: number;
    });
    if (gain <= TOLERANCE * (1 + loss)) break;
  }
  const [top1, margin, entropy, bias] = dense as unknown as [number, number, number, number];
  return { weights: { top1, margin, entropy }, classes: Array.from(classes, (deviation) => deviation + bias) };
}

/** Halves a Newton step until it lowers the loss; the old point where none does. */
function lineSearch(problem: GateProblem, from: Step, direction: Omit<Step, 'loss'>): Step {
  for (let scale = 1; scale > 1e-6; scale /= 2) {
    const dense = from.dense.map((value, i) => value - scale * direction.dense[i]!);
    const classes = from.classes.map((value, i) => value - scale * direction.classes[i]!);
    const loss = problem.loss(dense, classes);
    if (loss < from.loss) return { loss, dense, classes };
  }
  return from;
}

/** Penalised logistic loss of one exit's gate, with gradient and Newton direction. */
class GateProblem {
  readonly #features: readonly Float32Array[];
  readonly #prediction: Uint16Array;

  constructor(
    private readonly scores: ScoreTables,
    exit: number,
    private readonly target: Uint8Array,
    private readonly ridge: number,
    private readonly classRidge: number,
  ) {
    this.#features = [scores.top1[exit]!, scores.margin[exit]!, scores.entropy[exit]!];
    this.#prediction = scores.prediction[exit]!;
  }

  loss(dense: Float64Array, classes: Float64Array): number {
    let sum = 0;
    for (let s = 0; s < this.scores.samples; s++) {
      const z = this.#logOdds(dense, classes, s);
      const signed = this.target[s] === 1 ? z : -z;
      // −ln σ(z), written so that neither end overflows.
      sum += Math.max(0, -signed) + Math.log1p(Math.exp(-Math.abs(signed)));
    }
    for (const value of dense) sum += 0.5 * this.ridge * value * value;
    for (const value of classes) sum += 0.5 * this.classRidge * value * value;
    return sum;
  }

  /**
   * H⁻¹ g. The classes' block of H is diagonal, a sample having one class, so it is eliminated first and a DENSE × DENSE
   * system is left, whatever the number of classes.
   */
  newton(dense: Float64Array, classes: Float64Array): Omit<Step, 'loss'> {
    const { samples } = this.scores;
    const gradient = dense.map((value) => this.ridge * value);
    const classGradient = classes.map((value) => this.classRidge * value);
    const hessian = new Float64Array(DENSE * DENSE);
    const diagonal = new Float64Array(classes.length).fill(this.classRidge);
    const cross = new Float64Array(classes.length * DENSE);
    for (let i = 0; i < DENSE; i++) hessian[i * DENSE + i] = this.ridge;
    const row = new Float64Array(DENSE).fill(1);
    for (let s = 0; s < samples; s++) {
      this.#features.forEach((column, i) => (row[i] = column[s]!));
      const p = 1 / (1 + Math.exp(-this.#logOdds(dense, classes, s)));
      const error = p - this.target[s]!;
      const weight = p * (1 - p);
      const c = this.#prediction[s]!;
      classGradient[c]! += error;
      diagonal[c]! += weight;
      for (let i = 0; i < DENSE; i++) {
        gradient[i]! += error * row[i]!;
        cross[c * DENSE + i]! += weight * row[i]!;
        for (let j = 0; j <= i; j++) hessian[i * DENSE + j]! += weight * row[i]! * row[j]!;
      }
    }
    for (let i = 0; i < DENSE; i++) {
      for (let c = 0; c < diagonal.length; c++) {
        const share = cross[c * DENSE + i]! / diagonal[c]!;
        gradient[i]! -= share * classGradient[c]!;
        for (let j = 0; j <= i; j++) hessian[i * DENSE + j]! -= share * cross[c * DENSE + j]!;
      }
      for (let j = 0; j < i; j++) hessian[j * DENSE + i] = hessian[i * DENSE + j]!;
    }
    const direction = solve(hessian, gradient);
    const classDirection = classGradient.map((value, c) => {
      let rest = value;
      for (let i = 0; i < DENSE; i++) rest -= cross[c * DENSE + i]! * direction[i]!;
      return rest / diagonal[c]!;
    });
    return { dense: direction, classes: classDirection };
  }

  #logOdds(dense: Float64Array, classes: Float64Array, s: number): number {
    const [top1, margin, entropy] = this.#features as [Float32Array, Float32Array, Float32Array];
    return (
      dense[3]! +
      classes[this.#prediction[s]!]! +
      dense[0]! * top1[s]! +
      dense[1]! * margin[s]! +
      dense[2]! * entropy[s]!
    );
  }
}

/** Solves a small symmetric positive definite system by Cholesky's factorisation; both arguments are overwritten. */
function solve(matrix: Float64Array, right: Float64Array): Float64Array {
  const n = right.length;
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < j; k++) matrix[j * n + j]! -= matrix[j * n + k]! ** 2;
    matrix[j * n + j] = Math.sqrt(matrix[j * n + j]!);
    for (let i = j + 1; i < n; i++) {
      for (let k = 0; k < j; k++) matrix[i * n + j]! -= matrix[i * n + k]! * matrix[j * n + k]!;
      matrix[i * n + j]! /= matrix[j * n + j]!;
    }
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) right[i]! -= matrix[i * n + k]! * right[k]!;
    right[i]! /= matrix[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) right[i]! -= matrix[k * n + i]! * right[k]!;
    right[i]! /= matrix[i * n + i]!;
  }
  return right;
}
