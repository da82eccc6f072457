/** @file Gradients of Softmax, LogSoftmax and Hardmax along any axis. */
import { intOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { arithOf, fromFront, zerosLike } from './shaping.js';

/** The normalised axis from the front. */
function axisOf(c: VjpContext): number {
  const rank = c.shape(c.inputs[0]!).length;
  return fromFront(intOf(c.node, 'axis', -1), rank);
}

/** dx = y·(g − Σ g·y). */
const softmax: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const e = arithOf(c);
  const y = c.outputs[0]!;
  const weighted = e.mul(g, y);
  return [e.sub(weighted, e.mul(y, e.sum(weighted, [axisOf(c)])))];
};

/** dx = g − eʸ·Σ g. */
const logSoftmax: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const e = arithOf(c);
  return [e.sub(g, e.mul(e.exp(c.outputs[0]!), e.sum(g, [axisOf(c)])))];
};

export const softmaxGradients: Readonly<Record<string, VjpRule>> = {
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  // A one-hot vector changes only by jumps.
  Hardmax: (c) => (c.wants(0) ? [zerosLike(c, c.inputs[0]!)] : []),
};
