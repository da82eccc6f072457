/** @file Gradients of RNN, GRU and LSTM in all their forms: forward pass against float64 loops, gradients against their central differences. */
import { describe, expect, it } from 'vitest';
import type { AttributeInput } from '../../src/ir/index.js';
import type { Backend } from '../../src/runtime/index.js';
import { compare, random, runModel } from './harness.js';
import { buildLayer, dimsOf, inputsOf, seedsOf } from './recurrent-harness.js';
import { forward, type Cell, type RecurrentCase, type RecurrentInputs } from './recurrent-reference.js';

const base = { time: 4, batch: 3, features: 2, hidden: 3 } as const;
const lengths = [4, 2, 3] as const;
const of = (op: Cell, name: string, more: Partial<RecurrentCase> = {}): RecurrentCase => ({
  ...base,
  op,
  ...more,
  name: `${op} ${name}`,
});
const cells: readonly Cell[] = ['RNN', 'GRU', 'LSTM'];
const FUNCTIONS: readonly (readonly [string, number?, number?])[] = [
  ['Affine', 0.4, 0.1],
  ['Relu'],
  ['LeakyRelu', 0.2],
  ['ThresholdedRelu', 0.1],
  ['Tanh'],
  ['ScaledTanh', 0.7, 1.3],
  ['Sigmoid'],
  ['HardSigmoid', 0.3, 0.4],
  ['Elu', 0.8],
  ['Softsign'],
  ['Softplus'],
];
const count = { RNN: 1, GRU: 2, LSTM: 3 } as const;

const forms = cells.flatMap((op) => [
  of(op, 'plain', { bias: false }),
  of(op, 'with bias and initial states', { initial: true }),
  of(op, 'reverse', { direction: 'reverse', initial: true }),
  of(op, 'reverse without initial states', { direction: 'reverse' }),
  of(op, 'bidirectional', { direction: 'bidirectional', initial: true }),
  of(op, 'padded', { lengths, initial: true }),
  of(op, 'padded, reverse', { lengths, initial: true, direction: 'reverse' }),
  of(op, 'padded, bidirectional', { lengths, initial: true, direction: 'bidirectional' }),
  of(op, 'padded without initial states', { lengths, direction: 'bidirectional' }),
  of(op, 'padded everywhere', { lengths: [2, 1, 2], initial: true, direction: 'bidirectional' }),
  of(op, 'clipped', { clip: 0.5, initial: true }),
  of(op, 'of batch 1', { batch: 1, initial: true }),
  of(op, 'of one hidden unit', { hidden: 1, initial: true }),
  of(op, 'of one step', { time: 1, initial: true, direction: 'bidirectional' }),
  of(op, 'of one step, feature, sequence and unit', { time: 1, batch: 1, features: 1, hidden: 1 }),
  of(op, 'read at Y only', { outputs: [0], initial: true }),
  of(op, 'read at Y_h only', { outputs: [1], initial: true, direction: 'bidirectional' }),
  of(op, 'read at Y_h only, padded', { outputs: [1], initial: true, lengths }),
  ...FUNCTIONS.map(([name, alpha, beta]) =>
    of(op, `with ${name}`, {
      activations: new Array<string>(count[op]).fill(name),
      ...(alpha !== undefined && { alpha: new Array<number>(count[op]).fill(alpha) }),
      ...(beta !== undefined && { beta: new Array<number>(count[op]).fill(beta) }),
      initial: true,
    }),
  ),
]);

const special = [
  ...cells.map((op) =>
    of(op, 'with an empty sequence', { lengths: [0, 2, 4], initial: true, direction: 'bidirectional' }),
  ),
  of('RNN', 'with functions by direction', {
    direction: 'bidirectional',
    activations: ['LeakyRelu', 'Affine'],
    alpha: [0.3, 0.6],
    beta: [0.1],
  }),
  of('RNN', 'with the default slope', { activations: ['LeakyRelu'] }),
  of('RNN', 'with the default threshold', { activations: ['ThresholdedRelu'] }),
  of('GRU', 'with functions and defaults by direction', {
    direction: 'bidirectional',
    activations: ['HardSigmoid', 'Elu', 'Sigmoid', 'LeakyRelu'],
    alpha: [0.3, 0.6],
  }),
  of('GRU', 'reset after the product', { linearBeforeReset: true, initial: true }),
  of('GRU', 'reset after the product, without bias', { linearBeforeReset: true, bias: false, direction: 'reverse' }),
  of('GRU', 'reset after the product, padded', {
    linearBeforeReset: true,
    initial: true,
    lengths,
    direction: 'bidirectional',
  }),
  of('GRU', 'reset after the product, clipped', { linearBeforeReset: true, initial: true, clip: 0.6 }),
  of('LSTM', 'with peepholes', { peepholes: true, initial: true }),
  of('LSTM', 'with peepholes, padded', { peepholes: true, initial: true, lengths, direction: 'bidirectional' }),
  of('LSTM', 'with peepholes, clipped', { peepholes: true, initial: true, clip: 0.7 }),
  of('LSTM', 'with coupled gates', { inputForget: true, initial: true }),
  of('LSTM', 'with coupled gates and peepholes', {
    inputForget: true,
    peepholes: true,
    initial: true,
    lengths,
    direction: 'bidirectional',
  }),
  of('LSTM', 'read at Y_c only', { outputs: [2], initial: true }),
  of('LSTM', 'read at Y and Y_c, padded', { outputs: [0, 2], initial: true, lengths }),
  of('LSTM', 'with functions by direction', {
    direction: 'bidirectional',
    activations: ['HardSigmoid', 'Softsign', 'Tanh', 'Sigmoid', 'ScaledTanh', 'Elu'],
    alpha: [0.25, 0.9, 0.7],
    beta: [0.45, 1.2],
  }),
];

/** Σ output·seed in float64. */
function lossOf(test: RecurrentCase, inputs: RecurrentInputs): number {
  const seeds = seedsOf(test);
  return forward(test, inputs).reduce(
    (sum, values, index) => sum + (seeds[index]?.reduce((part, seed, i) => part + seed * values[i]!, 0) ?? 0),
    0,
  );
}

/** Central differences of up to 24 elements. */
function slopes(
  test: RecurrentCase,
  inputs: RecurrentInputs,
  name: keyof RecurrentInputs,
): (readonly [number, number])[] {
  const values = inputs[name]!;
  const next = random(values.length);
  const picked =
    values.length <= 24
      ? [...values.keys()]
      : [...new Set(Array.from({ length: 24 }, () => Math.floor(next() * values.length)))];
  const step = 1e-6;
  return picked.map((element) => {
    const at = (moved: number): number => {
      const copy = Float64Array.from(values);
      copy[element]! += moved;
      return lossOf(test, { ...inputs, [name]: copy });
    };
    return [element, (at(step) - at(-step)) / (2 * step)] as const;
  });
}

async function check(test: RecurrentCase, backend: Backend): Promise<void> {
  const inputs = inputsOf(test);
  const seeds = seedsOf(test);
  const expected = forward(test, inputs).filter((_, index) => seeds[index] !== undefined);
  for (const symbolic of backend === 'native' ? [false, true] : [true]) {
    const built = buildLayer(test, inputs, symbolic);
    const shown = Object.entries(await runModel(built.forward, built.feeds, backend)).slice(1);
    expect(shown).toHaveLength(expected.length);
    shown.forEach(([name, tensor], index) =>
      compare(
        name,
        tensor,
        tensor.dims,
        Array.from(expected[index]!, (value, i) => [i, value] as const),
        1e-5,
      ),
    );
    const found = await runModel(built.backward, built.feeds, backend);
    for (const [name, dims] of dimsOf(test)) {
      const gradient = built.gradients.get(name);
      expect(gradient, name).toBeDefined();
      compare(`${name}${symbolic ? ' (symbolic)' : ''}`, found[gradient!]!, dims, slopes(test, inputs, name), 2e-5);
    }
  }
}

describe('on native', () => {
  it.each([...forms, ...special])('$name', (test) => check(test, 'native'));
});

it.each(['RNN', 'LSTM'] as const)('a known length of 0 gives gradients of 0: %s', async (op) => {
  // ONNX Runtime's GRU ends the process there, and its Scan refuses: only a length that is known beforehand can be served.
  const test = of(op, 'without steps', { time: 0, initial: true, outputs: [0] });
  const built = buildLayer(test, inputsOf(test), false);
  const found = await runModel(built.backward, built.feeds);
  for (const [name, dims] of dimsOf(test)) {
    const gradient = found[built.gradients.get(name)!]!;
    expect(gradient.dims).toEqual(dims);
    expect(gradient.numbers().every((value) => value === 0)).toBe(true);
  }
});

it('refuses an activation that no layer has', () => {
  const build = (attributes: Record<string, AttributeInput>): unknown => {
    const test = of('LSTM', 'refused', { initial: true });
    return buildLayer(test, inputsOf(test), false, seedsOf(test), attributes);
  };
  expect(() => build({ activations: { type: 'strings', value: ['Sigmoid', 'Gelu', 'Tanh'] } })).toThrow(
    /its activation 'gelu' is unknown/,
  );
});

describe('on wasm', () => {
  const chosen = [...forms.filter(({ name }) => /bidirectional|clipped|plain/.test(name)), ...special];
  it.each(chosen)('$name', (test) => check(test, 'wasm'));
});
