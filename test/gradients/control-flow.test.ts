/** @file Gradients through If, Scan and Loop against central differences. */
import { describe, it } from 'vitest';
import { encodeModel } from '../../src/onnx/index.js';
import { appendGradients } from '../../src/passes/index.js';
import { openSession } from '../../src/runtime/index.js';
import { buildControlFlow, controlFlowCases, type ControlFlowCase } from './control-flow-cases.js';
import { centralDifferences, compare, runModel } from './harness.js';

async function check(test: ControlFlowCase): Promise<void> {
  const built = buildControlFlow(test, 'float64');
  const { graph, gradients } = appendGradients(built.model, built.loss, built.wanted);
  const fetched = built.wanted.filter((name) => gradients.get(name) !== undefined);
  const outputs = [...new Set(fetched.map((name) => gradients.get(name)!))].map((name) => ({ name, type: undefined }));
  const result = await runModel({ ...built.model, graph: { ...graph, outputs } }, built.feeds);
  const open = buildControlFlow(test, 'float64', true);
  await using session = await openSession(encodeModel(open.model), { backend: 'native', threads: 1 });
  for (const name of built.wanted) {
    const expected = await centralDifferences(session, open.feeds, name, 1e-5);
    const gradient = gradients.get(name);
    if (gradient === undefined) {
      if (expected.some(([, slope]) => Math.abs(slope) > 1e-9)) throw new Error(`${name} got no gradient`);
      continue;
    }
    compare(name, result[gradient]!, built.values.get(name)!.dims, expected, 2e-6);
  }
}

describe('gradients through control flow', () => {
  it.each(controlFlowCases)('$name', check);
});
