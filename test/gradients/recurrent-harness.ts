/** @file Builds and runs recurrent layers with a loss over their outputs, static or symbolic, for the gradient tests. */
import {
  float,
  GraphBuilder,
  makeModel,
  Tensor,
  tensorType,
  type AttributeInput,
  type Model,
  type Shape,
} from '../../src/ir/index.js';
import { appendGradients } from '../../src/passes/index.js';
import { random } from './harness.js';
import { directionsOf, GATES, type RecurrentCase, type RecurrentInputs } from './recurrent-reference.js';

export const INPUTS = ['X', 'W', 'R', 'B', 'lengths', 'initial_h', 'initial_c', 'P'] as const;
export type InputName = Exclude<(typeof INPUTS)[number], 'lengths'>;

/** Dims of the inputs that a case has. */
export function dimsOf(test: RecurrentCase): ReadonlyMap<InputName, readonly number[]> {
  const { op, time, batch, features, hidden } = test;
  const rows = GATES[op] * hidden;
  const directions = directionsOf(test);
  const dims = new Map<InputName, readonly number[]>([
    ['X', [time, batch, features]],
    ['W', [directions, rows, features]],
    ['R', [directions, rows, hidden]],
  ]);
  if (test.bias ?? true) dims.set('B', [directions, 2 * rows]);
  if (test.initial) dims.set('initial_h', [directions, batch, hidden]);
  if (test.initial && op === 'LSTM') dims.set('initial_c', [directions, batch, hidden]);
  if (test.peepholes) dims.set('P', [directions, 3 * hidden]);
  return dims;
}

/** Seeded inputs; the values are exact in float32. */
export function inputsOf(test: RecurrentCase, seed = 5): RecurrentInputs {
  const next = random(seed);
  return Object.fromEntries(
    [...dimsOf(test)].map(([name, dims]) => [
      name,
      Float64Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => Math.fround(next() * 2.4 - 1.2)),
    ]),
  ) as unknown as RecurrentInputs;
}

/** Weights of the outputs in the loss, as the operator gives them. */
export function seedsOf(test: RecurrentCase): readonly (Float64Array | undefined)[] {
  const { op, time, batch, hidden } = test;
  const state = directionsOf(test) * batch * hidden;
  const sizes = op === 'LSTM' ? [time * state, state, state] : [time * state, state];
  const next = random(11);
  return sizes.map((length, index) => {
    const seed = Float64Array.from({ length }, () => Math.fround(next() * 2 - 1));
    return (test.outputs ?? sizes.map((_, i) => i)).includes(index) ? seed : undefined;
  });
}

export function attributesOf(test: RecurrentCase): Record<string, AttributeInput> {
  return {
    hidden_size: test.hidden,
    ...(test.direction && { direction: test.direction }),
    ...(test.activations && { activations: { type: 'strings', value: test.activations } }),
    ...(test.alpha && { activation_alpha: { type: 'floats', value: test.alpha } }),
    ...(test.beta && { activation_beta: { type: 'floats', value: test.beta } }),
    ...(test.clip !== undefined && { clip: float(test.clip) }),
    ...(test.linearBeforeReset && { linear_before_reset: 1 }),
    ...(test.inputForget && { input_forget: 1 }),
  };
}

export interface BuiltLayer {
  readonly forward: Model;
  readonly backward: Model;
  readonly gradients: ReadonlyMap<string, string | undefined>;
  readonly feeds: Record<string, Tensor>;
}

/** The layer, its loss and its gradients; with `symbolic`, time and batch are symbols. */
export function buildLayer(
  test: RecurrentCase,
  inputs: RecurrentInputs,
  symbolic: boolean,
  seeds = seedsOf(test),
  attributes: Readonly<Record<string, AttributeInput>> = {},
): BuiltLayer {
  const dims = dimsOf(test);
  const b = new GraphBuilder();
  const feeds: Record<string, Tensor> = {};
  const shapeOf = (name: string, known: readonly number[]): Shape => {
    if (!symbolic) return known;
    if (name === 'X') return ['time', 'batch', known[2]!];
    return name.startsWith('initial') ? [known[0]!, 'batch', known[2]!] : known;
  };
  const names = INPUTS.map((name) => {
    if (name === 'lengths') {
      if (test.lengths === undefined) return undefined;
      feeds[name] = Tensor.of('int32', [test.batch], test.lengths);
      return b.input(name, tensorType('int32', [symbolic ? 'batch' : test.batch]));
    }
    const known = dims.get(name);
    if (known === undefined) return undefined;
    feeds[name] = Tensor.floats(Float32Array.from(inputs[name]!), known);
    return b.input(name, tensorType('float32', shapeOf(name, known)));
  });
  const wanted = seeds.map((seed) => seed !== undefined);
  const outputs = b.ops(
    test.op,
    names,
    { ...attributesOf(test), ...attributes },
    { outputs: wanted.lastIndexOf(true) + 1, name: 'y' },
  );
  // An output that nobody asks for has no name, as exporters write it.
  const layer = b.nodes.pop()!;
  b.nodes.push({ ...layer, outputs: outputs.map((output, i) => (wanted[i] ? output : '')) });
  const state = [directionsOf(test), test.batch, test.hidden];
  const terms = outputs.flatMap((output, index) => {
    const seed = seeds[index];
    if (seed === undefined) return [];
    const weight = `seed${index}`;
    const known = index === 0 ? [test.time, ...state] : state;
    feeds[weight] = Tensor.floats(Float32Array.from(seed), known);
    const shape: Shape = symbolic
      ? known.map((dim, axis) => (axis === known.length - 2 ? 'batch' : index === 0 && axis === 0 ? 'time' : dim))
      : known;
    b.input(weight, tensorType('float32', shape));
    return [b.op('ReduceSum', [b.op('Mul', [output, weight])], { keepdims: 0 })];
  });
  const loss = terms.length === 1 ? terms[0]! : b.op('Sum', terms);
  const opsets = new Map([['', 18]]);
  const shown = outputs.filter((_, i) => wanted[i]);
  const graph = b.graph(
    'layer',
    [loss, ...shown].map((name) => ({ name, type: tensorType('float32') })),
  );
  const forward = makeModel(graph, { opsets });
  const { graph: both, gradients } = appendGradients(forward, loss, [...dims.keys()]);
  const fetched = [...new Set([...gradients.values()].filter((name) => name !== undefined))];
  const backward = {
    ...forward,
    graph: { ...both, outputs: fetched.map((name) => ({ name, type: tensorType('float32') })) },
  };
  return { forward, backward, gradients, feeds };
}
