/** @file Shape rules of losses and of the optimisers of ai.onnx.preview.training. */
import { formatShape, stringOf } from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferContext, InferRule } from '../record.js';
import { dtypeOf, requireRank, shapeOf, typed, type RuleTable } from './support.js';

/** The loss itself: one number, or one per label with reduction `none`. Scores are [N, C, …], labels [N, …]. */
function lossType({ node, inputs }: InferContext) {
  const [scores, labels] = inputs.map(shapeOf);
  requireRank(node, 'the scores', scores, 2);
  if (scores && labels && labels.length !== scores.length - 1)
    throw new ShapeError(node, `labels ${formatShape(labels)} do not fit scores ${formatShape(scores)}`);
  const reduction = stringOf(node, 'reduction', 'mean');
  if (!['none', 'mean', 'sum'].includes(reduction)) throw new ShapeError(node, `reduction '${reduction}' is unknown`);
  const each = labels ?? scores?.toSpliced(1, 1);
  return typed(dtypeOf(inputs[0]), reduction === 'none' ? each : []);
}

/** SoftmaxCrossEntropyLoss-12 … 13: the loss and the log probabilities. */
const softmaxCrossEntropy: InferRule = (context) => ({ types: [lossType(context), context.inputs[0]] });

/** Adam, Momentum, Adagrad: rate and step, then tensors, gradients and states of n tensors each; outputs drop the gradients. */
const optimiser =
  (states: number): InferRule =>
  ({ inputs }) => {
    const count = (inputs.length - 2) / (states + 2);
    return { types: [...inputs.slice(2, 2 + count), ...inputs.slice(2 + 2 * count)] };
  };

export const lossShapes: RuleTable = {
  NegativeLogLikelihoodLoss: (context) => ({ types: [lossType(context)] }),
  SoftmaxCrossEntropyLoss: softmaxCrossEntropy,
  'ai.onnx.preview.training:Adagrad': optimiser(1),
  'ai.onnx.preview.training:Adam': optimiser(2),
  'ai.onnx.preview.training:Momentum': optimiser(1),
  'com.microsoft:SoftmaxCrossEntropyLossInternal': softmaxCrossEntropy,
};
