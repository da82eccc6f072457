/** @file An exit policy in ONNX operators: the same evidence as `rowEvidence`, the same comparison as `leaves`. */
import { Tensor, type GraphBuilder } from '../ir/index.js';
import { exitPolicies, temperatureAt, thresholdAt } from './policies/index.js';
import type { ExitPolicy, PolicyConfig } from './policies/policy.js';

/** What one exit leaves for later ones to look at. */
export interface ExitState {
  /** Predicted class, int64 [1]; only where the policy counts agreements. */
  readonly prediction: string | undefined;
  /** Agreements in a row, int64 [1]; `undefined` where it is known to be 0. */
  readonly streak: string | undefined;
}

export interface Decision extends ExitState {
  /** True where the sample leaves: bool, one element. */
  readonly leave: string;
}

/**
 * Appends the decision of the design's exit number `position` on `logits` [1, classes]. Evidence is computed in float64,
 * as `rowEvidence` does, so that it agrees with it but for the order of sums; the rounding to float32 is part of the
 * comparison.
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
  const temperature = temperatureAt(config, position);
  const name = `exit_${position}`;
  if (policy.evidence === 'streak') return emitStreak(b, policy, threshold, logits, before, name);
  const evidence = evidenceEmitters[policy.evidence](b, emitScaled(b, logits, temperature, name), name);
  return { prediction: undefined, streak: undefined, leave: compareReal(b, policy, evidence, threshold, name) };
}

/** Class with the largest logit, int64 [1]. */
export function emitPrediction(b: GraphBuilder, logits: string, name: string): string {
  return b.op('ArgMax', [logits], { axis: 1, keepdims: 0 }, { name: `${name}/prediction` });
}

/** Logits as float64, divided by the temperature. */
export function emitScaled(b: GraphBuilder, logits: string, temperature: number, name: string): string {
  const wide = b.op('Cast', [logits], { to: FLOAT64 }, { name: `${name}/wide` });
  if (temperature === 1) return wide;
  const beta = b.constant(Tensor.scalar('float64', 1 / temperature), `${name}/beta`);
  return b.op('Mul', [wide, beta], {}, { name: `${name}/scaled` });
}

const FLOAT64 = 11;

type EvidenceEmitter = (b: GraphBuilder, scaled: string, name: string) => string;

const reduce = (b: GraphBuilder, op: 'ReduceMax' | 'ReduceSum', x: string, name: string): string =>
  b.op(op, [x, b.int64s([1])], { keepdims: 1 }, { name });

/** Real-valued evidence from scaled logits, float64 [1, 1]. */
const evidenceEmitters: Readonly<Record<'top1' | 'entropy' | 'margin', EvidenceEmitter>> = {
  top1: (b, scaled, name) =>
    reduce(b, 'ReduceMax', b.op('Softmax', [scaled], { axis: 1 }, { name: `${name}/softmax` }), `${name}/top1`),
  entropy(b, scaled, name) {
    // ln Σ exp(below) − Σ exp(below) · below / Σ exp(below), with below = scaled − max.
    const max = reduce(b, 'ReduceMax', scaled, `${name}/max`);
    const below = b.op('Sub', [scaled, max], {}, { name: `${name}/below` });
    const powers = b.op('Exp', [below], {}, { name: `${name}/powers` });
    const sum = reduce(b, 'ReduceSum', powers, `${name}/sum`);
    const weighted = reduce(b, 'ReduceSum', b.op('Mul', [powers, below]), `${name}/weighted`);
    return b.op('Sub', [b.op('Log', [sum]), b.op('Div', [weighted, sum])], {}, { name: `${name}/entropy` });
  },
  margin(b, scaled, name) {
    const softmax = b.op('Softmax', [scaled], { axis: 1 }, { name: `${name}/softmax` });
    const [top] = b.ops('TopK', [softmax, b.int64s([2])], { axis: 1 }, { name: `${name}/top2`, outputs: 2 });
    const [first, second] = b.ops('Split', [top!], { axis: 1, num_outputs: 2 }, { name: `${name}/split`, outputs: 2 });
    return b.op('Sub', [first!, second!], {}, { name: `${name}/margin` });
  },
};

/**
 * `round(x) ≥ t` or `round(x) < t`, where round takes float64 to float32: x is compared with the point half-way to the
 * next smaller float32, which belongs to t or not as ties go to even.
 */
function compareReal(b: GraphBuilder, policy: ExitPolicy, evidence: string, threshold: number, name: string): string {
  const boundary = Number.isFinite(threshold) ? (threshold + previousFloat32(threshold)) / 2 : threshold;
  const included = Math.fround(boundary) >= threshold;
  const limit = b.constant(Tensor.scalar('float64', boundary), `${name}/threshold`);
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
    return { prediction, streak: undefined, leave: b.op(op, [zero, limit()], {}, { name: `${name}/leave` }) };
  }
  const agrees = b.op('Equal', [prediction, before.prediction], {}, { name: `${name}/agrees` });
  const one = b.constant(Tensor.of('int64', [1], [1]));
  const longer = before.streak === undefined ? one : b.op('Add', [before.streak, one], {}, { name: `${name}/longer` });
  const streak = b.op(
    'Where',
    [agrees, longer, b.constant(Tensor.of('int64', [1], [0]))],
    {},
    { name: `${name}/streak` },
  );
  const real = b.op('Cast', [streak], { to: 1 }, { name: `${name}/streak_real` });
  return { prediction, streak, leave: b.op(op, [real, limit()], {}, { name: `${name}/leave` }) };
}
