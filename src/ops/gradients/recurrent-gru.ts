/** @file Backward pass of one direction of GRU (ONNX GRU-14; Cho et al. 2014), both places of the reset gate. */
import { intOf } from '../../ir/index.js';
import { gateOf, type Gate } from './recurrent-activations.js';
import {
  bySteps,
  flat,
  masked,
  outputTrack,
  preActivations,
  zeroState,
  type Direction,
  type DirectionGradients,
} from './recurrent-layer.js';
import { recur } from './recurrent-scan.js';

/**
 * With z, r and the candidate n, h = (1 − z)·n + z·h₋. All h are known, so that every gate is formed again by products over
 * the whole sequence. Backwards, with dh what the output and later steps ask for, dz = dh·(h₋ − n)·z′,
 * dn = dh·(1 − z)·n′. Where the reset gate acts on the product (`linear_before_reset`), n = g(x·W + r·q) with q = h₋·R:
 * dr = dn·q·r′, dq = dn·r; else n = g(x·W + (r·h₋)·R), and with u = dn·R: dr = u·h₋·r′, dh₋ gets u·r.
 */
export function gruBackward(direction: Direction): DirectionGradients {
  return intOf(direction.layer.c.node, 'linear_before_reset', 0) === 0
    ? resetBeforeProduct(direction)
    : resetAfterProduct(direction);
}

/** Splits rows of gates [3·hidden, …] (or [3·hidden]) into those of z with r, and n. */
function splitRows({ layer }: Direction, value: string): readonly [gates: string, candidate: string] {
  const { b } = layer.c;
  const sizes = b.int64s([2 * layer.hidden, layer.hidden]);
  return b.ops('Split', [value, sizes], { axis: 0 }, { outputs: 2 }) as unknown as [string, string];
}

function resetBeforeProduct(direction: Direction): DirectionGradients {
  const { layer, bias } = direction;
  const { c, e, hidden } = layer;
  const { b } = c;
  const before = direction.previous;
  const [gateWeights, candidateWeights] = splitRows(direction, direction.w);
  const [gateRows, candidateRows] = splitRows(direction, direction.r);
  const biases = bias && splitRows(direction, e.add(...bias));
  const flatBefore = flat(layer, before, hidden);
  const gates = bySteps(
    layer,
    preActivations(layer, direction.x, gateWeights, flatBefore, gateRows, biases?.[0]),
    2 * hidden,
  );
  const [update, reset] = gatesOf(direction, gates);
  const dimmed = flat(layer, e.mul(reset.value, before), hidden);
  const candidate = gateOf(
    e,
    bySteps(layer, preActivations(layer, direction.x, candidateWeights, dimmed, candidateRows, biases?.[1]), hidden),
    direction.activations[1]!,
    layer.clip,
  );
  const shares = stateShares(direction, update, candidate);
  const { states, outputs } = recur(layer, {
    reverse: !direction.reverse,
    states: { h: direction.dH ?? zeroState(layer) },
    tracks: {
      ofUpdate: { value: masked(layer, shares.ofUpdate, 0), width: hidden },
      ofCandidate: { value: masked(layer, shares.ofCandidate, 0), width: hidden },
      update: { value: masked(layer, shares.update, 1), width: hidden },
      reset: { value: reset.value, width: hidden },
      ofReset: { value: e.mul(before, reset.slope()), width: hidden },
    },
    optional: { y: outputTrack(direction) },
    step: ({ b: inner, e: step, states: { h }, tracks }) => {
      const dh = tracks.y === undefined ? h : step.add(tracks.y, h);
      const dn = step.mul(dh, tracks.ofCandidate);
      const u = inner.op('MatMul', [dn, candidateRows]);
      const zr = inner.op('Concat', [step.mul(dh, tracks.ofUpdate), step.mul(u, tracks.ofReset)], { axis: 1 });
      const direct = step.add(step.mul(dh, tracks.update), step.mul(u, tracks.reset));
      return { states: { h: step.add(inner.op('MatMul', [zr, gateRows]), direct) }, outputs: { zr, dn } };
    },
  });
  const zr = flat(layer, outputs.zr, 2 * hidden);
  const dn = flat(layer, outputs.dn, hidden);
  const whole = b.op('Concat', [zr, dn], { axis: 1 });
  return {
    input: whole,
    recurrent: [
      { gates: zr, states: flatBefore },
      { gates: dn, states: dimmed },
    ],
    recurrentBias: whole,
    initialH: states.h,
  };
}

function resetAfterProduct(direction: Direction): DirectionGradients {
  const { layer, bias } = direction;
  const { c, e, hidden } = layer;
  const { b } = c;
  const before = flat(layer, direction.previous, hidden);
  const input = bySteps(
    layer,
    preActivations(layer, direction.x, direction.w, undefined, direction.r, bias?.[0]),
    3 * hidden,
  );
  const recurrent = bySteps(layer, b.op('Gemm', [before, direction.r, bias?.[1]], { transB: 1 }), 3 * hidden);
  const sizes = b.int64s([2 * hidden, hidden]);
  const [inputGates, inputCandidate] = b.ops('Split', [input, sizes], { axis: 2 }, { outputs: 2 }) as unknown as [
    string,
    string,
  ];
  const [recurrentGates, product] = b.ops('Split', [recurrent, sizes], { axis: 2 }, { outputs: 2 }) as unknown as [
    string,
    string,
  ];
  const [update, reset] = gatesOf(direction, e.add(inputGates, recurrentGates));
  const candidate = gateOf(
    e,
    e.add(inputCandidate, e.mul(reset.value, product)),
    direction.activations[1]!,
    layer.clip,
  );
  const shares = stateShares(direction, update, candidate);
  const factors = b.op(
    'Concat',
    [shares.ofUpdate, e.mul(shares.ofCandidate, e.mul(product, reset.slope())), e.mul(shares.ofCandidate, reset.value)],
    { axis: 2 },
  );
  const { states, outputs } = recur(layer, {
    reverse: !direction.reverse,
    states: { h: direction.dH ?? zeroState(layer) },
    tracks: {
      factors: { value: masked(layer, factors, 0), width: 3 * hidden },
      update: { value: masked(layer, shares.update, 1), width: hidden },
    },
    optional: { y: outputTrack(direction) },
    step: ({ b: inner, e: step, states: { h }, tracks }) => {
      const dh = tracks.y === undefined ? h : step.add(tracks.y, h);
      const gates = step.mul(inner.op('Concat', [dh, dh, dh], { axis: 1 }), tracks.factors);
      const next = step.add(inner.op('MatMul', [gates, direction.r]), step.mul(dh, tracks.update));
      return { states: { h: next }, outputs: { gates, dh } };
    },
  });
  const gates = flat(layer, outputs.gates, 3 * hidden);
  const zr = b.op('Slice', [gates, b.int64s([0]), b.int64s([2 * hidden]), b.int64s([1])]);
  const dn = flat(layer, e.mul(outputs.dh, masked(layer, shares.ofCandidate, 0)), hidden);
  return {
    input: b.op('Concat', [zr, dn], { axis: 1 }),
    recurrent: [{ gates, states: before }],
    recurrentBias: gates,
    initialH: states.h,
  };
}

/** The update and reset gates from their pre-activations [T, B, 2·hidden]. */
function gatesOf({ layer, activations }: Direction, gates: string): readonly [update: Gate, reset: Gate] {
  const [update, reset] = layer.c.b.ops('Split', [gates], { axis: 2, num_outputs: 2 }, { outputs: 2 }) as unknown as [
    string,
    string,
  ];
  const activation = activations[0]!;
  return [gateOf(layer.e, update, activation, layer.clip), gateOf(layer.e, reset, activation, layer.clip)];
}

/** What the gradient of a state is multiplied by to give those of z's and the candidate's pre-activations, and of h₋. */
function stateShares(
  { layer, previous }: Direction,
  update: Gate,
  candidate: Gate,
): { readonly ofUpdate: string; readonly ofCandidate: string; readonly update: string } {
  const { e } = layer;
  return {
    ofUpdate: e.mul(e.sub(previous, candidate.value), update.slope()),
    ofCandidate: e.mul(e.sub(1, update.value), candidate.slope()),
    update: update.value,
  };
}
