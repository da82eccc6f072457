/** @file Gradients through control flow against PyTorch's autograd (test/oracles/record-control-flow.py), on both back ends. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { appendGradients } from '../../src/passes/index.js';
import type { Backend } from '../../src/runtime/index.js';
import { buildControlFlow, controlFlowCases } from './control-flow-cases.js';
import { compare, runModel } from './harness.js';

interface Recorded {
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
}

const recorded = JSON.parse(
  readFileSync(new URL('../fixtures/control-flow-gradients.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, Recorded>>;

describe.each<Backend>(['native', 'wasm'])('gradients through control flow equal PyTorch’s on %s', (backend) => {
  it.each(controlFlowCases)('$name', async (test) => {
    const expected = recorded[test.name]!;
    const built = buildControlFlow(test, 'float32');
    const { graph, gradients } = appendGradients(built.model, built.loss, built.wanted);
    const outputs = [...new Set([built.loss, ...gradients.values()])].flatMap((name) =>
      name === undefined ? [] : [{ name, type: undefined }],
    );
    const result = await runModel({ ...built.model, graph: { ...graph, outputs } }, built.feeds, backend);
    expect(result[built.loss]!.numbers()[0]! / expected.loss).toBeCloseTo(1, 4);
    for (const [name, values] of Object.entries(expected.gradients)) {
      const gradient = gradients.get(name);
      if (gradient === undefined)
        expect(
          values.every((value) => value === 0),
          `${name} got no gradient`,
        ).toBe(true);
      else compare(name, result[gradient]!, built.values.get(name)!.dims, [...values.entries()], 1e-4);
    }
    // A value that PyTorch never read has no gradient there.
    for (const name of built.wanted)
      if (expected.gradients[name] === undefined && gradients.get(name) !== undefined)
        expect(result[gradients.get(name)!]!.numbers().every((value) => value === 0)).toBe(true);
  });
});
