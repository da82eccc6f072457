/** @file Gradients of RNN, GRU and LSTM: back-propagation through time with all products of whole sequences outside the loop. */
import type { Shape } from '../../ir/index.js';
import { tensorType } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { gruBackward } from './recurrent-gru.js';
import {
  B,
  directionOf,
  INITIAL_C,
  INITIAL_H,
  PEEPHOLES,
  R,
  readLayer,
  W,
  X,
  type Direction,
  type DirectionGradients,
  type RecurrentLayer,
} from './recurrent-layer.js';
import { lstmBackward } from './recurrent-lstm.js';
import { rnnBackward } from './recurrent-rnn.js';
import { range, reshapeLike, zerosLike } from './shaping.js';

/**
 * The rule of one operator. `backward` finds, for one direction, the gradients of the gates' pre-activations; those of X,
 * W, R and B are one product or sum each over all steps (Werbos 1990). Batch and length may be symbols.
 */
const recurrent =
  (backward: (direction: Direction) => DirectionGradients): VjpRule =>
  (c) => {
    if (c.grads.every((gradient) => gradient === undefined)) return [];
    const layer = readLayer(c);
    // Nothing of the outputs depends on anything then, and Scan does not run on sequences without steps.
    if (c.shape(c.inputs[X]!)[0] === 0)
      return c.inputs.map((input, i) => (input !== undefined && c.wants(i) ? zerosLike(c, input) : undefined));
    const y = c.outputs[0] ?? c.output(0, tensorType(layer.dtype, outputShape(c, layer)));
    const parts = range(layer.directions).map((index) => {
      const direction = directionOf(layer, index, y);
      return { direction, found: backward(direction) };
    });
    const stacked = (form: (part: (typeof parts)[number]) => string): string => {
      const each = parts.map((part) => c.b.op('Unsqueeze', [form(part), c.b.int64s([0])]));
      return each.length === 1 ? each[0]! : c.b.op('Concat', each, { axis: 0 });
    };
    const gradients: (string | undefined)[] = [];
    if (c.wants(X)) gradients[X] = inputGradient(layer, parts);
    if (c.wants(W)) gradients[W] = stacked(({ direction, found }) => product(c, found.input, direction.x));
    if (c.wants(R))
      gradients[R] = stacked(({ found }) => {
        const rows = found.recurrent.map(({ gates, states }) => product(c, gates, states));
        return rows.length === 1 ? rows[0]! : c.b.op('Concat', rows, { axis: 0 });
      });
    if (c.inputs[B] !== undefined && c.wants(B))
      gradients[B] = stacked(({ found }) => {
        const input = layer.e.sum(found.input, [0], 0);
        const own = found.recurrentBias === found.input ? input : layer.e.sum(found.recurrentBias, [0], 0);
        return c.b.op('Concat', [input, own], { axis: 0 });
      });
    if (c.wants(INITIAL_H)) gradients[INITIAL_H] = stacked(({ found }) => found.initialH);
    if (c.wants(INITIAL_C)) gradients[INITIAL_C] = stacked(({ found }) => found.initialC!);
    if (c.wants(PEEPHOLES)) gradients[PEEPHOLES] = stacked(({ found }) => found.peepholes!());
    return c.inputs.map((_, index) => gradients[index]);
  };

/** [T, directions, B, hidden]. */
function outputShape(c: VjpContext, { directions, hidden }: RecurrentLayer): Shape {
  const [steps, batch] = c.shape(c.inputs[X]!);
  return [steps!, directions, batch!, hidden];
}

/** aᵀ·b: a weight's gradient, summed over all steps and sequences by the product. */
function product(c: VjpContext, a: string, b: string): string {
  return c.b.op('Gemm', [a, b], { transA: 1 });
}

function inputGradient(
  { c, e }: RecurrentLayer,
  parts: readonly { readonly direction: Direction; readonly found: DirectionGradients }[],
): string {
  const each = parts.map(({ direction, found }) => c.b.op('MatMul', [found.input, direction.w]));
  return reshapeLike(c, each.length === 1 ? each[0]! : e.add(each[0]!, each[1]!), c.inputs[X]!);
}

export const recurrentGradients: Readonly<Record<string, VjpRule>> = {
  RNN: recurrent(rnnBackward),
  GRU: recurrent(gruBackward),
  LSTM: recurrent(lstmBackward),
};
