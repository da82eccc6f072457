/** @file Shape rules of recurrent layers. */
import { formatShape, intOf, stringOf, type Dim } from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferRule } from '../record.js';
import { dtypeOf, requireRank, sameDim, shapeOf, typed, type RuleTable } from './support.js';

/**
 * RNN, GRU, LSTM (7 … 22): X [seq, batch, input] → Y [seq, dirs, batch, hidden], Y_h and Y_c [dirs, batch, hidden];
 * with `layout` 1 the batch comes first everywhere. W is [dirs, gates·hidden, input], R [dirs, gates·hidden, hidden].
 */
const recurrent =
  (gates: number): InferRule =>
  ({ node, inputs }) => {
    const [x, w, r] = inputs.map(shapeOf);
    requireRank(node, 'X', x, 3, 3);
    requireRank(node, 'W', w, 3, 3);
    requireRank(node, 'R', r, 3, 3);
    const direction = stringOf(node, 'direction', 'forward');
    if (!['forward', 'reverse', 'bidirectional'].includes(direction))
      throw new ShapeError(node, `direction '${direction}' is unknown`);
    const dirs = direction === 'bidirectional' ? 2 : 1;
    const hidden = sameDim(node, 'hidden_size and R', intOf(node, 'hidden_size', undefined) ?? null, r?.[2] ?? null);
    if (x && w) sameDim(node, `inputs of X ${formatShape(x)} and W ${formatShape(w)}`, x[2]!, w[2]!);
    if (w) sameDim(node, `directions and W ${formatShape(w)}`, dirs, w[0]!);
    if (w && typeof hidden === 'number') sameDim(node, `gates of W ${formatShape(w)}`, gates * hidden, w[1]!);
    const batchFirst = intOf(node, 'layout', 0) === 1;
    const [batch, length]: readonly Dim[] =
      x === undefined ? [null, null] : batchFirst ? [x[0]!, x[1]!] : [x[1]!, x[0]!];
    const state: readonly Dim[] = batchFirst ? [batch!, dirs, hidden] : [dirs, batch!, hidden];
    const sequence: readonly Dim[] = batchFirst ? [batch!, length!, dirs, hidden] : [length!, dirs, batch!, hidden];
    const dtype = dtypeOf(inputs[0]);
    return { types: [typed(dtype, sequence), typed(dtype, state), typed(dtype, state)] };
  };

export const recurrentShapes: RuleTable = {
  RNN: recurrent(1),
  GRU: recurrent(3),
  LSTM: recurrent(4),
};
