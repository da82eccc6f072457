/** @file Shape rules of recurrent layers. */
import { formatShape, intOf, stringOf, type Dim, type Node, type Shape } from '../../ir/index.js';
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
    const rows = typeof hidden === 'number' ? gates * hidden : null;
    const [bias, , initialH, initialC, peepholes] = inputs.slice(3).map(shapeOf);
    checkRows(node, 'B', bias, dirs, rows === null ? null : 2 * rows);
    checkRows(node, 'P', peepholes, dirs, typeof hidden === 'number' ? 3 * hidden : null);
    const batchFirst = intOf(node, 'layout', 0) === 1;
    const [batch, length]: readonly Dim[] =
      x === undefined ? [null, null] : batchFirst ? [x[0]!, x[1]!] : [x[1]!, x[0]!];
    const state: readonly Dim[] = batchFirst ? [batch!, dirs, hidden] : [dirs, batch!, hidden];
    const sequence: readonly Dim[] = batchFirst ? [batch!, length!, dirs, hidden] : [length!, dirs, batch!, hidden];
    for (const [name, shape] of Object.entries({ initial_h: initialH, initial_c: initialC })) {
      requireRank(node, name, shape, 3, 3);
      if (shape)
        for (const axis of [0, 1, 2])
          sameDim(
            node,
            `dims of ${name} ${formatShape(shape)} and a state ${formatShape(state)}`,
            shape[axis]!,
            state[axis]!,
          );
    }
    const dtype = dtypeOf(inputs[0]);
    return { types: [typed(dtype, sequence), typed(dtype, state), typed(dtype, state)] };
  };

/** Biases and peepholes are [directions, size]. */
function checkRows(node: Node, name: string, shape: Shape | undefined, directions: number, size: Dim): void {
  requireRank(node, name, shape, 2, 2);
  if (shape === undefined) return;
  sameDim(node, `directions and ${name} ${formatShape(shape)}`, directions, shape[0]!);
  sameDim(node, `hidden units and ${name} ${formatShape(shape)}`, size, shape[1]!);
}

export const recurrentShapes: RuleTable = {
  RNN: recurrent(1),
  GRU: recurrent(3),
  LSTM: recurrent(4),
};
