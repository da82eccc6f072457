/** @file Backward pass of one direction of RNN (ONNX RNN-14; Elman 1990): h = f(x·W + h₋·R + b). */
import { gateOf, slopeFromValue } from './recurrent-activations.js';
import type { Operand } from './arith.js';
import {
  bySteps,
  flat,
  insideTrack,
  masked,
  outputTrack,
  preActivations,
  zeroState,
  type Direction,
  type DirectionGradients,
} from './recurrent-layer.js';
import { recur } from './recurrent-scan.js';

/** Backwards, dx = dh·f′ and dh₋ = dx·R. f′ comes from h alone where it can. */
export function rnnBackward(direction: Direction): DirectionGradients {
  const { layer } = direction;
  const { e, hidden } = layer;
  const previous = flat(layer, direction.previous, hidden);
  const slope = slopeOf(direction, previous);
  const factor = typeof slope === 'string' ? slope : e.add(e.mul(direction.y, 0), slope);
  const { states, outputs } = recur(layer, {
    reverse: !direction.reverse,
    states: { h: direction.dH ?? zeroState(layer) },
    tracks: { factor: { value: masked(layer, factor, 0), width: hidden } },
    optional: { y: outputTrack(direction), inside: insideTrack(layer) },
    step: ({ b, e: step, states: { h }, tracks }) => {
      const dh = tracks.y === undefined ? h : step.add(tracks.y, h);
      const gate = step.mul(dh, tracks.factor);
      const before = b.op('MatMul', [gate, direction.r]);
      // Padding hands the gradient of the state on as it is.
      const next = tracks.inside === undefined ? before : step.where(tracks.inside, before, dh);
      return { states: { h: next }, outputs: { gate } };
    },
  });
  const gate = flat(layer, outputs.gate, hidden);
  return {
    input: gate,
    recurrent: [{ gates: gate, states: previous }],
    recurrentBias: gate,
    initialH: states.h,
  };
}

function slopeOf(direction: Direction, previous: string): Operand {
  const { layer, bias } = direction;
  const { e, hidden } = layer;
  const activation = direction.activations[0]!;
  const known = layer.clip === undefined ? slopeFromValue(e, direction.y, activation) : undefined;
  if (known !== undefined) return known;
  const pre = preActivations(layer, direction.x, direction.w, previous, direction.r, bias && e.add(...bias));
  return gateOf(e, bySteps(layer, pre, hidden), activation, layer.clip).slope();
}
