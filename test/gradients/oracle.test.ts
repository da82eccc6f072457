/** @file Gradients against PyTorch's autograd (test/oracles/record-*gradients.py), on both back ends. */
import { readFileSync } from 'node:fs';
import { describe, it } from 'vitest';
import { float, Tensor, type AttributeInput } from '../../src/ir/index.js';
import type { Backend } from '../../src/runtime/index.js';
import { buildCase, compare, gradientsOf, type OpCase } from './harness.js';

interface Recorded {
  readonly name: string;
  readonly op: string;
  readonly domain?: string;
  readonly opset: number;
  readonly attributes: Readonly<Record<string, number | string | readonly number[]>>;
  readonly outputs: number;
  readonly tolerance: number;
  readonly inputs: readonly ({
    readonly dtype: 'float32' | 'int64' | 'int32' | 'int8' | 'bool';
    readonly dims: readonly number[];
    readonly values: readonly number[];
    readonly constant: boolean;
  } | null)[];
  readonly seed: { readonly dims: readonly number[]; readonly values: readonly number[] };
  readonly gradients: readonly (readonly number[] | null)[];
}

const cases = ['gradients', 'operator-gradients'].flatMap((name) => {
  const file = new URL(`../fixtures/${name}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { cases: readonly Recorded[] }).cases;
});

/** Attributes that ONNX has as floats, whatever JSON makes of 0 and 2. */
const FLOATS = new Set(['alpha', 'beta', 'bias', 'epsilon', 'momentum', 'lambd', 'spatial_scale', 'cubic_coeff_a']);

function toCase(recorded: Recorded): OpCase {
  const attributes = Object.entries(recorded.attributes).map(([name, value]): [string, AttributeInput] => [
    name,
    typeof value === 'number' && FLOATS.has(name) ? float(value) : value,
  ]);
  return {
    name: recorded.name,
    op: recorded.op,
    opset: recorded.opset,
    ...(recorded.domain ? { domain: recorded.domain } : {}),
    outputs: recorded.outputs,
    lossOutputs: [0],
    attributes: Object.fromEntries(attributes),
    inputs: recorded.inputs.map((input) =>
      input === null
        ? undefined
        : input.constant
          ? Tensor.of(input.dtype, input.dims, input.values)
          : { dims: input.dims, values: input.values },
    ),
  };
}

describe.each<Backend>(['native', 'wasm'])('gradients equal PyTorch’s on %s', (backend) => {
  it.each(cases)('$name', async (recorded) => {
    const seed = Tensor.of('float32', recorded.seed.dims, recorded.seed.values);
    const built = await buildCase(toCase(recorded), 'float32', { seeds: [seed] });
    const found = await gradientsOf(built, backend);
    recorded.gradients.forEach((gradient, i) => {
      if (gradient === null) return;
      const expected = gradient.map((value, element) => [element, value] as const);
      compare(`in${i}`, found.get(`in${i}`)!, recorded.inputs[i]!.dims, expected, recorded.tolerance);
    });
  });
});
