/** @file An exit policy in ONNX operators: the same evidence as `rowEvidence`, the same comparison as `leaves`. */
import { float, Tensor, type GraphBuilder } from '../ir/index.js';
import { emitGate } from './bake-gate.js';
import { exitPolicies, temperatureAt, thresholdAt } from './policies/index.js';
import type { EvidenceName, ExitPolicy, PolicyConfig } from './policies/policy.js';

/** What one exit leaves for later ones to look at. */
export interface ExitState {
  /** Predicted class, int64 [1]; only where the policy counts agreements. */
  readonly prediction: string | undefined;
  /** Agreements in a row, float32 [1]; `undefined` where it is known to be 0. */
  readonly streak: string | undefined;
}

export interface Decision extends ExitState {
  /** True where the sample leaves: bool, one element. */
  readonly leave: string;
  /** Largest softmax probability, float32 [1, 1]; only where the decision rests on it and float32 resolves it. */
  readonly top1: string | undefined;
}

/** Evidence that is a number of the softmax alone. */
type SoftmaxEvidence = Exclude<EvidenceName, 'streak' | 'gate'>;

/** In what evidence is computed. */
export type Precision = 'float32' | 'float64';

/**
 * How near a threshold may come to the end of the scale where softmax saturates (confidence and margin 1, entropy 0)
 * before float32 is too coarse: its rounding, some 1e-7, does not shrink as the scores crowd towards that end.
 */
const CROWDED = 2 ** -7;

/**
 * Appends the decision of the design's exit number `position` on `logits` [1, classes]. Between convolutions every small
 * operator costs far more than its arithmetic, for its code has left the caches: each policy is written in as few as
 * possible, in float32 where that resolves the scores around the threshold, and in float64, as `rowEvidence` computes,
 * where it does not.
 */
export function emitDecision(
  b: GraphBuilder,
  config: PolicyConfig,
  position: number,
  logits: string,
  before: ExitState | undefined,
): Decision {
  const policy = exitPolicies[config.kind];
  const threshold = Math.fround(thresholdAt(config, position));
  const name = `exit_${position}`;
  if (policy.evidence === 'streak') return emitStreak(b, policy, threshold, logits, before, name);
  if (policy.evidence === 'gate') {
    const scaled = emitScaled(b, logits, [temperatureAt(config, position)], 'float32', name);
    const leave = emitGate(b, config.gates![position]!, threshold, logits, scaled, name);
    return { prediction: undefined, streak: undefined, top1: undefined, leave };
  }
  const precision = precisionFor(policy.evidence, threshold);
  const scaled = emitScaled(b, logits, [temperatureAt(config, position)], precision, name);
  const evidence = evidenceEmitters[policy.evidence](b, scaled, precision, name);
  return {
    prediction: undefined,
    streak: undefined,
    top1: policy.evidence === 'top1' && precision === 'float32' ? evidence : undefined,
    leave: compareReal(b, policy, evidence, threshold, precision, name),
  };
}

/** What the evidence for one threshold must be computed in. */
export function precisionFor(evidence: SoftmaxEvidence, threshold: number): Precision {
  const saturated = evidence === 'entropy' ? 0 : 1;
  return Math.abs(threshold - saturated) < CROWDED ? 'float64' : 'float32';
}

/**
 * What confidences must be compared in where the most confident of the design's first `deciding` exits and the last one
 * answers: float32 only where none of those that let the sample pass can be saturated.
 */
export function fallbackPrecision(config: PolicyConfig, deciding: number): Precision {
  const { evidence } = exitPolicies[config.kind];
  if (evidence === 'streak' || evidence === 'gate') return 'float64';
  for (let position = 0; position < deciding; position++) {
    const threshold = thresholdAt(config, position);
    const resolved = evidence === 'entropy' ? threshold >= CROWDED : threshold <= 1 - CROWDED;
    if (!resolved) return 'float64';
  }
  return 'float32';
}

/** Class with the largest logit, int64 [1]. */
export function emitPrediction(b: GraphBuilder, logits: string, name: string): string {
  return b.op('ArgMax', [logits], { axis: 1, keepdims: 0 }, { name: `${name}/prediction` });
}

/** Rows of logits in a precision, each divided by its temperature. */
export function emitScaled(
  b: GraphBuilder,
  logits: string,
  temperatures: readonly number[],
  precision: Precision,
  name: string,
): string {
  const wide = precision === 'float64' ? b.op('Cast', [logits], { to: FLOAT64 }, { name: `${name}/wide` }) : logits;
  if (temperatures.every((temperature) => temperature === 1)) return wide;
  const betas = temperatures.map((temperature) => 1 / temperature);
  const beta = b.constant(Tensor.of(precision, [betas.length, 1], betas), `${name}/beta`);
  return b.op('Mul', [wide, beta], {}, { name: `${name}/scaled` });
}

const FLOAT64 = 11;

/** Largest softmax probability of each row, [rows, 1]. */
export function emitTop1(b: GraphBuilder, scaled: string, name: string): string {
  const softmax = b.op('Softmax', [scaled], { axis: 1 }, { name: `${name}/softmax` });
  return b.op('ReduceMax', [softmax, b.int64s([1])], { keepdims: 1 }, { name: `${name}/top1` });
}

type EvidenceEmitter = (b: GraphBuilder, scaled: string, precision: Precision, name: string) => string;

/** Real-valued evidence from scaled logits, [1, 1]. */
const evidenceEmitters: Readonly<Record<SoftmaxEvidence, EvidenceEmitter>> = {
  top1: (b, scaled, _, name) => emitTop1(b, scaled, name),
  entropy(b, scaled, _, name) {
    // −Σ p · ln p as one product of a row with a column.
    const logs = b.op('LogSoftmax', [scaled], { axis: 1 }, { name: `${name}/logs` });
    const softmax = b.op('Exp', [logs], {}, { name: `${name}/softmax` });
    return b.op('Gemm', [softmax, logs], { alpha: float(-1), transB: 1 }, { name: `${name}/entropy` });
  },
  margin(b, scaled, precision, name) {
    const softmax = b.op('Softmax', [scaled], { axis: 1 }, { name: `${name}/softmax` });
    const [top] = b.ops('TopK', [softmax, b.int64s([2])], { axis: 1 }, { name: `${name}/top2`, outputs: 2 });
    const difference = b.constant(Tensor.of(precision, [2, 1], [1, -1]), `${name}/difference`);
    return b.op('MatMul', [top, difference], {}, { name: `${name}/margin` });
  },
};

/**
 * `x ≥ t` or `x < t`. In float64 it is `round(x)`, to float32, that is compared, as `rowEvidence` rounds: x is compared
 * with the point half-way to the next smaller float32, which belongs to t or not as ties go to even.
 */
function compareReal(
  b: GraphBuilder,
  policy: ExitPolicy,
  evidence: string,
  threshold: number,
  precision: Precision,
  name: string,
): string {
  const wide = precision === 'float64';
  const boundary = wide ? (threshold + previousFloat32(threshold)) / 2 : threshold;
  const included = !wide || Math.fround(boundary) >= threshold;
  const limit = b.constant(Tensor.scalar(precision, boundary), `${name}/threshold`);
  const op =
    policy.leaves === 'at-least' ? (included ? 'GreaterOrEqual' : 'Greater') : included ? 'Less' : 'LessOrEqual';
  return b.op(op, [evidence, limit], {}, { name: `${name}/leave` });
}

/** The next float32 below a finite one. */
export function previousFloat32(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  if (value === 0) return -(2 ** -149);
  const bits = view.getInt32(0);
  view.setInt32(0, value > 0 ? bits - 1 : bits + 1);
  return view.getFloat32(0);
}

function emitStreak(
  b: GraphBuilder,
  policy: ExitPolicy,
  threshold: number,
  logits: string,
  before: ExitState | undefined,
  name: string,
): Decision {
  const prediction = emitPrediction(b, logits, name);
  const limit = (): string => b.constant(Tensor.of('float32', [1], [threshold]), `${name}/threshold`);
  const op = policy.leaves === 'at-least' ? 'GreaterOrEqual' : 'Less';
  if (before?.prediction === undefined) {
    const zero = b.constant(Tensor.of('float32', [1], [0]), `${name}/no_streak`);
    const leave = b.op(op, [zero, limit()], {}, { name: `${name}/leave` });
    return { prediction, streak: undefined, top1: undefined, leave };
  }
  const agrees = b.op('Equal', [prediction, before.prediction], {}, { name: `${name}/agrees` });
  const count = (value: number): string => b.constant(Tensor.of('float32', [1], [value]));
  const longer =
    before.streak === undefined ? count(1) : b.op('Add', [before.streak, count(1)], {}, { name: `${name}/longer` });
  const streak = b.op('Where', [agrees, longer, count(0)], {}, { name: `${name}/streak` });
  const leave = b.op(op, [streak, limit()], {}, { name: `${name}/leave` });
  return { prediction, streak, top1: undefined, leave };
}
