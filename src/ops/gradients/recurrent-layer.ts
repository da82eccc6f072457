/** @file What RNN, GRU and LSTM have in common: attributes, directions, padding, and the values of one direction. */
import { floatOf, intOf, stringOf, stringsOf, floatsOf, Tensor, type DataType } from '../../ir/index.js';
import type { VjpContext } from '../record.js';
import { type Arith, castTo } from './arith.js';
import { activationParameters, type Activation } from './recurrent-activations.js';
import { arithOf, dimValue, needStatic, reshape } from './shaping.js';

/** Operators of the family: gates per hidden unit, activations per direction, and the index of initial_c. */
const CELLS = {
  RNN: { gates: 1, activations: ['tanh'] },
  GRU: { gates: 3, activations: ['sigmoid', 'tanh'] },
  LSTM: { gates: 4, activations: ['sigmoid', 'tanh', 'tanh'] },
} as const;

/** Positions of inputs that all three operators share; LSTM has two more. */
export const X = 0;
export const W = 1;
export const R = 2;
export const B = 3;
export const LENGTHS = 4;
export const INITIAL_H = 5;
export const INITIAL_C = 6;
export const PEEPHOLES = 7;

/** A node of the family, read once. */
export interface RecurrentLayer {
  readonly c: VjpContext;
  readonly e: Arith;
  readonly dtype: DataType;
  readonly gates: number;
  readonly hidden: number;
  /** Elements of one input vector. */
  readonly features: number;
  /** 1 or 2. */
  readonly directions: number;
  readonly clip: number | undefined;
  /** Per direction, in the operator's order. */
  readonly activations: readonly (readonly Activation[])[];
  /** Truth per step and sequence, [T, B, 1]: whether the step is no padding. `undefined` without sequence_lens. */
  readonly inside: string | undefined;
  /** Truth per sequence, [B, 1]: whether it has any step. `undefined` without sequence_lens. */
  readonly nonEmpty: string | undefined;
}

/** Reads a node. Refuses layouts and functions that ONNX Runtime does not run. */
export function readLayer(c: VjpContext): RecurrentLayer {
  const op = c.node.op as keyof typeof CELLS;
  const { gates, activations } = CELLS[op];
  if (intOf(c.node, 'layout', 0) !== 0)
    c.refuse('layout 1 (batch first) is not run by ONNX Runtime: transpose around a layer of layout 0');
  const [, , features] = needStatic(c, c.shape(c.inputs[W]!), 'the shape of W') as [number, number, number];
  const [directions, , hidden] = needStatic(c, c.shape(c.inputs[R]!), 'the shape of R') as [number, number, number];
  if (features === 0 || hidden === 0) c.refuse('it has no input features or no hidden units');
  const clip = floatOf(c.node, 'clip', 0);
  const lengths = c.inputs[LENGTHS];
  return {
    c,
    e: arithOf(c),
    dtype: c.type(c.inputs[X]!).dtype,
    gates,
    hidden,
    features,
    directions,
    clip: clip > 0 ? clip : undefined,
    activations: readActivations(c, activations, directions),
    inside: lengths && insideOf(c, lengths),
    nonEmpty: lengths && c.b.op('Unsqueeze', [c.b.op('Greater', [lengths, zeroOf(c)]), c.b.int64s([1])]),
  };
}

const zeroOf = (c: VjpContext): string => c.b.constant(Tensor.scalar('int32', 0), 'zero');

/** t < length, [T, B, 1]. */
function insideOf(c: VjpContext, lengths: string): string {
  const { b } = c;
  const count = b.op('Squeeze', [dimValue(c, c.inputs[X]!, 0), b.int64s([0])]);
  const steps = b.op('Range', [
    b.constant(Tensor.scalar('int64', 0), 'first'),
    count,
    b.constant(Tensor.scalar('int64', 1), 'step'),
  ]);
  const limits = b.op('Unsqueeze', [castTo(b, lengths, 'int64'), b.int64s([0, 2])]);
  return b.op('Less', [b.op('Unsqueeze', [steps, b.int64s([1, 2])]), limits]);
}

/** Functions per direction; `activation_alpha` and `activation_beta` go in order to those functions that read them. */
function readActivations(
  c: VjpContext,
  defaults: readonly string[],
  directions: number,
): readonly (readonly Activation[])[] {
  const given = stringsOf(c.node, 'activations', undefined);
  const alphas = floatsOf(c.node, 'activation_alpha', []);
  const betas = floatsOf(c.node, 'activation_beta', []);
  let [nextAlpha, nextBeta] = [0, 0];
  return Array.from({ length: directions }, (_, direction) =>
    defaults.map((fallback, position): Activation => {
      const name = (given?.[direction * defaults.length + position] ?? fallback).toLowerCase();
      const parameters = activationParameters[name] ?? c.refuse(`its activation '${name}' is unknown`);
      return {
        name,
        alpha: parameters.alpha === undefined ? 0 : (alphas[nextAlpha++] ?? parameters.alpha),
        beta: parameters.beta === undefined ? 0 : (betas[nextBeta++] ?? parameters.beta),
      };
    }),
  );
}

/** One direction of a layer: its values with the direction axis taken away, time first and in the order of the input. */
export interface Direction {
  readonly layer: RecurrentLayer;
  readonly index: number;
  /** Whether it goes from the last step to the first. */
  readonly reverse: boolean;
  readonly activations: readonly Activation[];
  /** Inputs of all steps, [T·B, features]. */
  readonly x: string;
  /** Input weights, [gates·hidden, features]. */
  readonly w: string;
  /** Recurrent weights, [gates·hidden, hidden]. */
  readonly r: string;
  /** Biases of W and R, [gates·hidden] each; `undefined` without B. */
  readonly bias: readonly [w: string, r: string] | undefined;
  /** States after each step, [T, B, hidden]; 0 at padding. */
  readonly y: string;
  /** State before each step, [T, B, hidden]; without meaning at padding. */
  readonly previous: string;
  /** Gradients of the states, [T, B, hidden], and of the last ones, [B, hidden], where they have any. */
  readonly dY: string | undefined;
  readonly dH: string | undefined;
  readonly dC: string | undefined;
}

/** Takes one direction out of a layer's values. `y` is the layer's first output. */
export function directionOf(layer: RecurrentLayer, index: number, y: string): Direction {
  const { c, gates, hidden, features, directions } = layer;
  const { b } = c;
  const reverse = index === 1 || stringOf(c.node, 'direction', 'forward') === 'reverse';
  const pick = (value: string, axis: number): string => pickDirection(layer, value, index, axis);
  const optional = (value: string | undefined, axis: number): string | undefined => value && pick(value, axis);
  const bias = optional(c.inputs[B], 0);
  const halves =
    bias === undefined
      ? undefined
      : b.ops('Split', [bias, b.int64s([gates * hidden, gates * hidden])], { axis: 0 }, { outputs: 2 });
  const states = pick(y, 1);
  return {
    layer,
    index,
    reverse,
    activations: layer.activations[directions === 1 ? 0 : index]!,
    x: reshape(c, c.inputs[X]!, [-1, features]),
    w: pick(c.inputs[W]!, 0),
    r: pick(c.inputs[R]!, 0),
    bias: halves === undefined ? undefined : [halves[0]!, halves[1]!],
    y: states,
    previous: previousStates(layer, states, reverse, optional(c.inputs[INITIAL_H], 0)),
    dY: optional(c.grads[0], 1),
    dH: finalGradient(layer, optional(c.grads[1], 0)),
    dC: finalGradient(layer, optional(c.grads[2], 0)),
  };
}

/** A value's part for one direction, without the axis. */
export function pickDirection(layer: RecurrentLayer, value: string, index: number, axis: number): string {
  const { b } = layer.c;
  if (layer.directions === 1) return b.op('Squeeze', [value, b.int64s([axis])]);
  return b.op('Gather', [value, b.constant(Tensor.scalar('int64', index), 'direction')], { axis });
}

/**
 * The values one step earlier in the direction of travel, [T, B, hidden]; `initial` [B, hidden] (0 where omitted) before
 * the first. Padding between `initial` and the first real step is jumped over.
 */
export function previousStates(
  layer: RecurrentLayer,
  states: string,
  reverse: boolean,
  initial: string | undefined,
): string {
  const { b } = layer.c;
  if (initial === undefined)
    return b.op('Pad', [states, b.int64s(reverse ? [-1, 0, 0, 1, 0, 0] : [1, 0, 0, -1, 0, 0])]);
  const first = b.op('Unsqueeze', [initial, b.int64s([0])]);
  const axis = b.int64s([0]);
  const shifted = reverse
    ? b.op('Slice', [
        b.op('Concat', [states, first], { axis: 0 }),
        b.int64s([1]),
        b.int64s([Number.MAX_SAFE_INTEGER]),
        axis,
      ])
    : b.op('Slice', [b.op('Concat', [first, states], { axis: 0 }), b.int64s([0]), b.int64s([-1]), axis]);
  if (!reverse || layer.inside === undefined) return shifted;
  // Going backwards, the first real step of a short sequence stands before padding, where states are 0.
  const next = b.op('Pad', [castTo(b, layer.inside, 'int32'), b.int64s([-1, 0, 0, 1, 0, 0])]);
  return b.op('Where', [castTo(b, next, 'bool'), shifted, first]);
}

/** Gradient of a final state, [B, hidden]. A sequence without steps ends in zeros, so nothing flows back through it. */
function finalGradient(layer: RecurrentLayer, gradient: string | undefined): string | undefined {
  if (gradient === undefined || layer.nonEmpty === undefined) return gradient;
  return layer.e.where(layer.nonEmpty, gradient, 0);
}

/** [T·B, n] → [T, B, n]. */
export function bySteps(layer: RecurrentLayer, value: string, n: number): string {
  const { c } = layer;
  const [steps, batch] = c.shape(c.inputs[X]!);
  if (typeof batch === 'number' && batch > 0) return reshape(c, value, [-1, batch, n]);
  if (typeof steps === 'number' && steps > 0) return reshape(c, value, [steps, -1, n]);
  const leading = c.b.op('Shape', [c.inputs[X]!], { start: 0, end: 2 });
  return c.b.op('Reshape', [value, c.b.op('Concat', [leading, c.b.int64s([n])], { axis: 0 })], { allowzero: 1 });
}

/** [T, B, n] → [T·B, n]. */
export function flat(layer: RecurrentLayer, value: string, n: number): string {
  return reshape(layer.c, value, [-1, n]);
}

/** Zeros of one state, [B, hidden]. */
export function zeroState(layer: RecurrentLayer): string {
  const { c, hidden } = layer;
  const batch = dimValue(c, c.inputs[X]!, 1);
  return c.b.op('Expand', [layer.e.scalar(0), c.b.op('Concat', [batch, c.b.int64s([hidden])], { axis: 0 })]);
}

/** The pre-activations of gates of all steps, [T·B, n]: x·wᵀ + h·rᵀ + biases, two products over the whole sequence. */
export function preActivations(
  layer: RecurrentLayer,
  x: string,
  w: string,
  h: string | undefined,
  r: string,
  bias: string | undefined,
): string {
  const { b } = layer.c;
  const input = b.op('Gemm', [x, w, bias], { transB: 1 });
  return h === undefined ? input : b.op('Gemm', [h, r, input], { transB: 1 });
}

/** A value at real steps, `padding` at padding. */
export function masked(layer: RecurrentLayer, value: string, padding: number): string {
  return layer.inside === undefined ? value : layer.e.where(layer.inside, value, padding);
}

/** A sequence [T, B, width] that a recurrence reads step by step. */
export interface Track {
  readonly value: string;
  readonly width: number;
  /** The layer's type where omitted. */
  readonly dtype?: DataType;
}

/** The gradient that flows into every state from outside, as a track; 0 at padding. */
export function outputTrack({ layer, dY }: Direction): Track | undefined {
  return dY === undefined ? undefined : { value: masked(layer, dY, 0), width: layer.hidden };
}

/** Which steps are no padding, as a track. */
export function insideTrack({ inside }: RecurrentLayer): Track | undefined {
  return inside === undefined ? undefined : { value: inside, width: 1, dtype: 'bool' };
}

/** What the backward pass of one direction finds; the weights' gradients are products of it over all steps. */
export interface DirectionGradients {
  /** Gradients of the pre-activations as the input weights see them, [T·B, gates·hidden]. */
  readonly input: string;
  /** The same as rows of the recurrent weights see them, in order, with the states that they multiply, [T·B, …]. */
  readonly recurrent: readonly { readonly gates: string; readonly states: string }[];
  /** The same as the recurrent biases see them, [T·B, gates·hidden]. */
  readonly recurrentBias: string;
  /** [B, hidden]. */
  readonly initialH: string;
  readonly initialC?: string;
  /** Emits the gradient of the peepholes, [3·hidden]. */
  readonly peepholes?: () => string;
}
