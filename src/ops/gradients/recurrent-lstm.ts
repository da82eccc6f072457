/** @file Backward pass of one direction of LSTM (ONNX LSTM-14; Hochreiter & Schmidhuber 1997 with Gers' peepholes). */
import { intOf } from '../../ir/index.js';
import type { Operand } from './arith.js';
import { gateOf, type Activation, type Gate } from './recurrent-activations.js';
import {
  bySteps,
  flat,
  INITIAL_C,
  insideTrack,
  masked,
  outputTrack,
  PEEPHOLES,
  pickDirection,
  preActivations,
  zeroState,
  type Direction,
  type DirectionGradients,
} from './recurrent-layer.js';
import { recur } from './recurrent-scan.js';

/** Gates and cell states of all steps, [T, B, hidden] each. */
interface Cell {
  readonly input: Gate;
  readonly output: Gate;
  readonly forget: Gate;
  readonly block: Gate;
  /** Cell state before and after each step. */
  readonly before: string;
  readonly after: string;
}

/**
 * With i, o, f, g the gates, c = f·c₋ + i·g and h = o·tanh c. All h are known, so the gates of all steps are formed again
 * by two products over the whole sequence; only c needs a recurrence. Backwards, with dh and dc what later steps ask for,
 *   dc ← dc + dh·(o·tanh′ + o′·tanh c·P_o),  gates (dc·g·i′, dh·tanh c·o′, dc·c₋·f′, dc·i·g′),
 *   dh ← gates·R + dY,  dc ← dc·(f + g·i′·P_i + c₋·f′·P_f):
 * every factor is known before, so that a step is one product and a few sums.
 */
export function lstmBackward(direction: Direction): DirectionGradients {
  const { layer } = direction;
  const { c, e, hidden } = layer;
  const coupled = intOf(c.node, 'input_forget', 0) === 1;
  const peepholes = splitPeepholes(direction);
  const cell = cellsOf(direction, peepholes, coupled);
  const squashed = gateOf(e, cell.after, direction.activations[2]!, undefined);

  // A coupled forget gate is 1 − i: it has no weights of its own.
  const towardsInput = coupled ? e.sub(cell.block.value, cell.before) : cell.block.value;
  const ofInput = e.mul(towardsInput, cell.input.slope());
  const ofOutput = e.mul(squashed.value, cell.output.slope());
  const ofForget = coupled ? undefined : e.mul(cell.before, cell.forget.slope());
  const ofBlock = e.mul(cell.input.value, cell.block.slope());
  const plus = (x: string, factor: string | undefined, peephole: string | undefined): string =>
    factor === undefined || peephole === undefined ? x : e.add(x, e.mul(factor, peephole));
  const intoCell = plus(e.mul(cell.output.value, squashed.slope()), ofOutput, peepholes?.output);
  const through = plus(plus(cell.forget.value, ofInput, peepholes?.input), ofForget, peepholes?.forget);
  const parts: readonly Operand[] = [ofInput, ofOutput, ofForget ?? e.mul(ofInput, 0), ofBlock];
  const factors = c.b.op('Concat', parts as readonly string[], { axis: 2 });

  const { states, outputs } = recur(layer, {
    reverse: !direction.reverse,
    states: { h: direction.dH ?? zeroState(layer), c: direction.dC ?? zeroState(layer) },
    tracks: {
      into: { value: masked(layer, intoCell, 0), width: hidden },
      factors: { value: masked(layer, factors, 0), width: 4 * hidden },
      through: { value: masked(layer, through, 1), width: hidden },
    },
    optional: { y: outputTrack(direction), inside: insideTrack(layer) },
    step: ({ b, e: inner, states: { h, c: later }, tracks }) => {
      const dh = tracks.y === undefined ? h : inner.add(tracks.y, h);
      const dc = inner.add(later, inner.mul(dh, tracks.into));
      const gates = inner.mul(b.op('Concat', [dc, dh, dc, dc], { axis: 1 }), tracks.factors);
      const before = b.op('MatMul', [gates, direction.r]);
      return {
        // Padding hands the gradient of the state on as it is.
        states: {
          h: tracks.inside === undefined ? before : inner.where(tracks.inside, before, dh),
          c: inner.mul(dc, tracks.through),
        },
        outputs: { gates },
      };
    },
  });
  const previous = flat(layer, direction.previous, hidden);
  const gates = flat(layer, outputs.gates, 4 * hidden);
  return {
    input: gates,
    recurrent: [{ gates, states: previous }],
    recurrentBias: gates,
    initialH: states.h,
    initialC: states.c,
    peepholes: () => peepholeGradient(direction, outputs.gates, cell),
  };
}

interface Peepholes {
  readonly input: string;
  readonly output: string;
  readonly forget: string;
}

function splitPeepholes({ layer, index }: Direction): Peepholes | undefined {
  const value = layer.c.inputs[PEEPHOLES];
  if (value === undefined) return undefined;
  const [input, output, forget] = layer.c.b.ops(
    'Split',
    [pickDirection(layer, value, index, 0)],
    { axis: 0, num_outputs: 3 },
    { outputs: 3 },
  ) as [string, string, string];
  return { input, output, forget };
}

function cellsOf(direction: Direction, peepholes: Peepholes | undefined, coupled: boolean): Cell {
  const { layer, activations, bias } = direction;
  const { c, e, hidden, clip } = layer;
  const [gateFunction, blockFunction] = activations as readonly [Activation, Activation, Activation];
  const pre = bySteps(
    layer,
    preActivations(
      layer,
      direction.x,
      direction.w,
      flat(layer, direction.previous, hidden),
      direction.r,
      bias && e.add(...bias),
    ),
    4 * hidden,
  );
  const [preInput, preOutput, preForget, preBlock] = c.b.ops(
    'Split',
    [pre],
    { axis: 2, num_outputs: 4 },
    { outputs: 4 },
  ) as [string, string, string, string];
  const initial = c.inputs[INITIAL_C] && pickDirection(layer, c.inputs[INITIAL_C], direction.index, 0);
  const block = gateOf(e, preBlock, blockFunction, clip);
  const forgetOf = (input: Gate, preActivation: string): Gate =>
    coupled ? { value: e.sub(1, input.value), slope: () => 0 } : gateOf(e, preActivation, gateFunction, clip);
  const begin = { states: { c: initial ?? zeroState(layer) }, reverse: direction.reverse };
  if (peepholes === undefined) {
    const input = gateOf(e, preInput, gateFunction, clip);
    const forget = forgetOf(input, preForget);
    const { outputs } = recur(layer, {
      ...begin,
      tracks: {
        keep: { value: masked(layer, forget.value, 1), width: hidden },
        add: { value: masked(layer, e.mul(input.value, block.value), 0), width: hidden },
      },
      step: ({ e: inner, states, tracks }) => {
        const next = inner.add(inner.mul(states.c, tracks.keep), tracks.add);
        return { states: { c: next }, outputs: { c: next, before: states.c } };
      },
    });
    const output = gateOf(e, preOutput, gateFunction, clip);
    return { input, output, forget, block, before: outputs.before, after: outputs.c };
  }
  // With peepholes the gates read the cell state, so that they belong into the recurrence.
  const { outputs } = recur(layer, {
    ...begin,
    tracks: {
      input: { value: preInput, width: hidden },
      forget: { value: preForget, width: hidden },
      block: { value: block.value, width: hidden },
    },
    optional: { inside: insideTrack(layer) },
    step: ({ e: inner, states, tracks }) => {
      const gate = (x: string, peephole: string): string =>
        gateOf(inner, inner.add(x, inner.mul(states.c, peephole)), gateFunction, clip).value;
      const input = gate(tracks.input, peepholes.input);
      const forget = coupled ? inner.sub(1, input) : gate(tracks.forget, peepholes.forget);
      const next = inner.add(inner.mul(forget, states.c), inner.mul(input, tracks.block));
      const kept = tracks.inside === undefined ? next : inner.where(tracks.inside, next, states.c);
      return { states: { c: kept }, outputs: { c: kept, before: states.c } };
    },
  });
  const { before, c: after } = outputs;
  const input = gateOf(e, e.add(preInput, e.mul(before, peepholes.input)), gateFunction, clip);
  const forget = forgetOf(input, e.add(preForget, e.mul(before, peepholes.forget)));
  const output = gateOf(e, e.add(preOutput, e.mul(after, peepholes.output)), gateFunction, clip);
  return { input, output, forget, block, before, after };
}

/** Σ over steps and sequences of gate gradients times the cell state that each peephole sees, [3·hidden]. */
function peepholeGradient({ layer }: Direction, gates: string, { before, after }: Cell): string {
  const { c, e, hidden } = layer;
  const [input, output, forget] = c.b.ops(
    'Split',
    [gates, c.b.int64s([hidden, hidden, hidden, hidden])],
    { axis: 2 },
    { outputs: 4 },
  ) as [string, string, string, string];
  const seen = [e.mul(input, before), e.mul(output, after), e.mul(forget, before)];
  return e.sum(c.b.op('Concat', seen, { axis: 2 }), [0, 1], 0);
}
