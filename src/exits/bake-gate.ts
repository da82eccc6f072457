/** @file A trained gate in ONNX operators: the same comparison as `gateScore` with a threshold, on the scale of log-odds. */
import { float, Tensor, type GraphBuilder } from '../ir/index.js';
import type { Gate } from './policies/gate.js';

/**
 * Whether a gate lets the row `logits` [1, classes] leave: bool, one element. `scaled` are the same logits divided by the exit's
 * temperature. The sigmoid is monotonic, so its argument is compared with the threshold's log-odds; the bias of the predicted
 * class is on the threshold's side of the comparison, where it costs one look-up. Top-1 and margin are one product of the two
 * largest probabilities with [w_top1 + w_margin, −w_margin]. float32 throughout: log-odds do not crowd towards an end as
 * probabilities do.
 */
export function emitGate(
  b: GraphBuilder,
  { weights, classes }: Gate,
  threshold: number,
  logits: string,
  scaled: string,
  name: string,
): string {
  const limit = logOdds(threshold);
  const logs = b.op('LogSoftmax', [scaled], { axis: 1 }, { name: `${name}/logs` });
  const softmax = b.op('Exp', [logs], {}, { name: `${name}/softmax` });
  const [top] = b.ops('TopK', [softmax, b.int64s([2])], { axis: 1 }, { name: `${name}/top2`, outputs: 2 });
  const column = Tensor.of('float32', [2, 1], [weights.top1 + weights.margin, -weights.margin]);
  const tops = b.op('MatMul', [top, b.constant(column, `${name}/gate_weights`)], {}, { name: `${name}/tops` });
  const evidence = b.op(
    'Gemm',
    [softmax, logs, tops],
    { alpha: float(-weights.entropy), transB: 1 },
    { name: `${name}/gate` },
  );
  const prediction = b.op('ArgMax', [logits], { axis: 1, keepdims: 0 }, { name: `${name}/prediction` });
  const limits = Tensor.floats(Float32Array.from(classes, (bias) => limit - bias));
  const needed = b.op(
    'Gather',
    [b.parameter(`${name}/gate_limits`, limits), prediction],
    { axis: 0 },
    { name: `${name}/limit` },
  );
  return b.op('GreaterOrEqual', [evidence, needed], {}, { name: `${name}/leave` });
}

/** ln(p / (1 − p)); all of the scale's values leave at 0 and below, none above 1. */
function logOdds(probability: number): number {
  if (probability <= 0) return -Infinity;
  // A score of exactly 1 is one that rounds to it: half a float32 step below.
  if (probability >= 1) return probability > 1 ? Infinity : Math.log(2 ** 25);
  return Math.log(probability / (1 - probability));
}
