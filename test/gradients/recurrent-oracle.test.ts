/** @file Gradients of recurrent layers against PyTorch's autograd (test/oracles/record-recurrent.py), on both back ends. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/runtime/index.js';
import { compare, runModel } from './harness.js';
import { buildLayer } from './recurrent-harness.js';
import type { RecurrentCase, RecurrentInputs } from './recurrent-reference.js';

interface Case extends Omit<RecurrentCase, 'lengths' | 'activations' | 'outputs'> {
  readonly lengths: readonly number[] | null;
  readonly activations: readonly string[] | null;
  readonly inputs: Readonly<Record<string, Numbers>>;
  readonly outputs: readonly Numbers[];
  readonly seeds: readonly Numbers[];
  readonly gradients: Readonly<Record<string, Numbers>>;
}

interface Numbers {
  readonly dims: readonly number[];
  readonly values: readonly number[];
}

const { cases } = JSON.parse(readFileSync(new URL('../fixtures/recurrent.json', import.meta.url), 'utf8')) as {
  cases: readonly Case[];
};

const pairs = ({ values }: Numbers): (readonly [number, number])[] => values.map((value, i) => [i, value] as const);

describe.each<Backend>(['native', 'wasm'])('recurrent gradients equal PyTorch’s on %s', (backend) => {
  it.each(cases)('$name', async (recorded) => {
    const { lengths, activations, inputs: given, outputs, seeds, gradients, ...rest } = recorded;
    const inputs = Object.fromEntries(
      Object.entries(given).map(([name, { values }]) => [name, Float64Array.from(values)]),
    ) as unknown as RecurrentInputs;
    const built = buildLayer(
      {
        ...rest,
        bias: 'B' in given,
        initial: true,
        linearBeforeReset: rest.op === 'GRU',
        ...(lengths && { lengths }),
        ...(activations && { activations }),
      },
      inputs,
      true,
      seeds.map(({ values }) => Float64Array.from(values)),
    );
    const [, ...shown] = Object.entries(await runModel(built.forward, built.feeds, backend));
    expect(shown).toHaveLength(outputs.length);
    shown.forEach(([name, tensor], i) => compare(name, tensor, outputs[i]!.dims, pairs(outputs[i]!), 1e-5));
    const found = await runModel(built.backward, built.feeds, backend);
    for (const [name, gradient] of Object.entries(gradients))
      compare(name, found[built.gradients.get(name)!]!, gradient.dims, pairs(gradient), 2e-5);
  });
});
