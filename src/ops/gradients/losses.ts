/** @file Gradients of ONNX's loss operators: SoftmaxCrossEntropyLoss and NegativeLogLikelihoodLoss. */
import { intOf, stringOf, Tensor } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { castTo } from './arith.js';
import { arithOf, dimValue } from './shaping.js';

/**
 * The weight with which each label's log-probability enters the loss, already times the incoming gradient: [N, d…].
 * 0 for ignored labels; divided by the total weight for the mean.
 */
function labelWeights(c: VjpContext, g: string): { weight: string; oneHot: string } {
  const e = arithOf(c);
  const [scores, labels, weights] = c.inputs as readonly [string, string, string | undefined];
  const ignored = intOf(c.node, 'ignore_index', undefined);
  const reduction = stringOf(c.node, 'reduction', 'mean');
  const labelType = c.type(labels).dtype;
  if (labelType !== 'int64' && labelType !== 'int32') c.refuse(`its labels are ${labelType}`);

  let safe = labels;
  let weight: string | undefined;
  if (ignored !== undefined) {
    const skip = c.b.op('Equal', [labels, c.b.constant(Tensor.scalar(labelType, ignored))]);
    // An ignored label may lie outside the classes; class 0 stands in, with weight 0.
    safe = c.b.op('Where', [skip, c.b.constant(Tensor.scalar(labelType, 0)), labels]);
    weight = e.cast(e.not(skip));
  }
  if (weights !== undefined) {
    const own = c.b.op('Gather', [weights, safe], { axis: 0 });
    weight = weight === undefined ? own : e.mul(own, weight);
  }
  // ONNX Runtime has OneHot for int64 labels and float32 values.
  const index = labelType === 'int64' ? safe : castTo(c.b, safe, 'int64');
  const single = c.b.op('OneHot', [index, dimValue(c, scores, 1), c.b.constant(Tensor.floats([0, 1]))], { axis: 1 });
  const oneHot = e.dtype === 'float32' ? single : e.cast(single);
  if (reduction === 'mean') {
    const total = weight === undefined ? e.cast(c.b.op('Size', [labels])) : e.sum(weight, undefined, 0);
    const each = e.div(g, total);
    weight = weight === undefined ? each : e.mul(weight, each);
  } else weight = weight === undefined ? g : e.mul(weight, g);
  return { weight, oneHot };
}

/** A per-label value [N, d…] against [N, C, d…]; a scalar broadcasts by itself. */
function acrossClasses(c: VjpContext, weight: string): string {
  const scalar =
    c.inputs[2] === undefined &&
    !c.node.attributes.has('ignore_index') &&
    stringOf(c.node, 'reduction', 'mean') !== 'none';
  return scalar ? weight : c.b.op('Unsqueeze', [weight, c.b.int64s([1])]);
}

/** SoftmaxCrossEntropyLoss-13: (softmax − one-hot)·weight, plus what flows back through the log-probabilities. */
const softmaxCrossEntropy: VjpRule = (c) => {
  if (c.wants(2)) c.refuse('class weights are not differentiated: keep them constant');
  if (!c.wants(0)) return [];
  const e = arithOf(c);
  const [gLoss, gLogs] = c.grads;
  const scores = c.inputs[0]!;
  const logs = c.outputs[1];
  const probabilities = logs === undefined ? c.b.op('Softmax', [scores], { axis: 1 }) : e.exp(logs);
  let result: string | undefined;
  if (gLoss !== undefined) {
    const { weight, oneHot } = labelWeights(c, gLoss);
    result = e.mul(e.sub(probabilities, oneHot), acrossClasses(c, weight));
  }
  if (gLogs !== undefined) {
    const through = e.sub(gLogs, e.mul(probabilities, e.sum(gLogs, [1])));
    result = result === undefined ? through : e.add(result, through);
  }
  return [result];
};

/** NegativeLogLikelihoodLoss-13: −one-hot·weight. */
const negativeLogLikelihood: VjpRule = (c) => {
  if (c.wants(2)) c.refuse('class weights are not differentiated: keep them constant');
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const e = arithOf(c);
  const { weight, oneHot } = labelWeights(c, g);
  return [e.neg(e.mul(oneHot, acrossClasses(c, weight)))];
};

export const lossGradients: Readonly<Record<string, VjpRule>> = {
  SoftmaxCrossEntropyLoss: softmaxCrossEntropy,
  NegativeLogLikelihoodLoss: negativeLogLikelihood,
};
